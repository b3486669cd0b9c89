"""`bitreid gallery export`, `import`, `copy`, `backup` and `restore`: items from one place to another."""

import argparse
from pathlib import Path

from rich.console import Console

from bitreid.commands.console import progress_of
from bitreid.commands.gallery.action import Action, Answer, actor_of, add_where, open_place
from bitreid.gallery import (
    copy_gallery,
    export_parquet,
    import_parquet,
    open_or_create_gallery,
    parse_filter,
    restore_gallery,
)
from bitreid.gallery.opening import hidden


def _exported(export: argparse.ArgumentParser) -> None:
    export.add_argument("out", type=Path, metavar="FILE.parquet")
    add_where(export)


def _export(arguments: argparse.Namespace, console: Console) -> Answer:
    with open_place(arguments, read_only=True) as gallery, progress_of(console, "exporting") as progress:
        where = (
            None if arguments.where is None else parse_filter(arguments.where, gallery.contract, gallery.camera_names)
        )
        n = export_parquet(gallery, arguments.out, where, progress)
    return Answer([f"{n} items: {arguments.out}"], {"items": n})


def _imported(import_: argparse.ArgumentParser) -> None:
    import_.add_argument("inputs", type=Path, nargs="+", metavar="FILE.parquet")


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


def _copied(backup: argparse.ArgumentParser) -> None:
    backup.add_argument("out", type=Path, metavar="FILE")


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
