"""`bitreid gallery export`, `import`, `copy`, `reencode`, `backup` and `restore`: items from one place to another."""

import argparse
from pathlib import Path

from rich.console import Console

from bitreid.commands import left_out
from bitreid.commands.console import progress_of
from bitreid.commands.gallery.action import Action, Answer, actor_of, add_where, open_place
from bitreid.commands.options import add_bits, add_encoding, encoder_of
from bitreid.gallery import (
    Contract,
    copy_gallery,
    export_parquet,
    import_parquet,
    open_or_create_gallery,
    parse_filter,
    restore_gallery,
)
from bitreid.gallery.opening import hidden
from bitreid.gallery.reencode import Reencoded, reencode_gallery


def _exported(export: argparse.ArgumentParser) -> None:
    export.add_argument("out", type=Path, metavar="FILE.parquet", help="the file to write")
    add_where(export)


def _export(arguments: argparse.Namespace, console: Console) -> Answer:
    with open_place(arguments, read_only=True) as gallery, progress_of(console, "exporting") as progress:
        where = (
            None if arguments.where is None else parse_filter(arguments.where, gallery.contract, gallery.camera_names)
        )
        n = export_parquet(gallery, arguments.out, where, progress)
    return Answer([f"{n} items: {arguments.out}"], {"items": n})


def _imported(import_: argparse.ArgumentParser) -> None:
    import_.add_argument("inputs", type=Path, nargs="+", metavar="FILE.parquet", help="files that export wrote")


def _import(arguments: argparse.Namespace, console: Console) -> Answer:
    with open_place(arguments) as gallery, progress_of(console, "importing") as progress:
        n = sum(import_parquet(gallery, file, progress) for file in arguments.inputs)
    return Answer([f"{n} items added"], {"added": n})


def _target(copy: argparse.ArgumentParser) -> None:
    copy.add_argument("to", metavar="TO", help="the place of the other gallery")


def _copy(arguments: argparse.Namespace, console: Console) -> Answer:
    with open_place(arguments, read_only=True) as source:
        target = open_or_create_gallery(
            arguments.to, source.contract, audited=source.audited, actor=actor_of(arguments)
        )
        with target, progress_of(console, "copying") as progress:
            n = copy_gallery(source, target, progress)
            others = source.count() - n
    return Answer([f"{n} items copied, {max(others, 0)} were there already: {hidden(arguments.to)}"], {"copied": n})


def _new_model(reencode: argparse.ArgumentParser) -> None:
    reencode.add_argument("to", metavar="NEW", help="the place of the new gallery, which is made if there is none")
    reencode.add_argument("--model", type=Path, required=True, metavar="MODEL", help="encodes the pictures")
    add_bits(reencode)
    add_encoding(reencode)
    reencode.add_argument(
        "--pictures",
        type=Path,
        metavar="ROOT",
        help="the folder that the pictures' paths are relative to (default: the gallery's own)",
    )
    left_out.add_report(reencode)


def _reencode(arguments: argparse.Namespace, console: Console) -> Answer:
    pictures = arguments.pictures
    if pictures is None:
        pictures = Path() if "://" in arguments.place else Path(arguments.place).parent
    encoder = encoder_of(arguments.model, arguments)
    done = Reencoded()
    with open_place(arguments, read_only=True) as old:
        contract = Contract.of(encoder.card, arguments.n_bits)
        new = open_or_create_gallery(arguments.to, contract, audited=old.audited, actor=actor_of(arguments))
        with new, progress_of(console, "encoding") as progress:
            reencode_gallery(old, new, encoder, pictures, progress, done)
    code = left_out.tell(done.findings, arguments.report)
    bad = [
        {"id": id, "path": str(error.path), "reason": error.reason}
        for id, error in zip(done.left_out, done.findings.bad, strict=True)
    ]
    said = f"{done.new} items encoded anew, {done.there} were there already: {hidden(arguments.to)}"
    return Answer([said], {"encoded": done.new, "there": done.there, "left_out": bad}, code=code)


def _copied(backup: argparse.ArgumentParser) -> None:
    backup.add_argument("out", type=Path, metavar="FILE", help="the copy to write")


def _backup(arguments: argparse.Namespace, console: Console) -> Answer:
    with open_place(arguments) as gallery:
        gallery.backup(arguments.out)
    return Answer([f"backup: {arguments.out}"], {"backup": str(arguments.out)})


def _restored(restore: argparse.ArgumentParser) -> None:
    restore.add_argument("to", type=Path, metavar="TO", help="the gallery's file, which nobody may have open")


def _restore(arguments: argparse.Namespace, console: Console) -> Answer:
    restore_gallery(Path(arguments.place), arguments.to)
    return Answer([f"restored: {arguments.to}"], {"restored": str(arguments.to)})


ACTIONS = {
    "export": Action(
        "write items to a Parquet file",
        _exported,
        _export,
        ("bitreid gallery export people.gallery people.parquet --where 'camera = 1'",),
    ),
    "import": Action(
        "add the items of files that export wrote; those that are there stay as they are",
        _imported,
        _import,
        ("bitreid gallery import other.gallery people.parquet",),
    ),
    "copy": Action(
        "bring all items to another gallery, which is made if there is none; stopped, it goes on",
        _target,
        _copy,
        ("bitreid gallery copy people.gallery milvus://localhost:19530/people",),
    ),
    "reencode": Action(
        "encode the pictures of all items anew, with another model, into another gallery; stopped, it goes on",
        _new_model,
        _reencode,
        ("bitreid gallery reencode people.gallery better.gallery --model runs/mine/artifact --pictures .",),
    ),
    "backup": Action(
        "write a copy of a gallery while it is used",
        _copied,
        _backup,
        ("bitreid gallery backup people.gallery backups/people.gallery",),
    ),
    "restore": Action(
        "put the backup PLACE in the place of a gallery, which is lost",
        _restored,
        _restore,
        ("bitreid gallery restore backups/people.gallery people.gallery",),
    ),
}
