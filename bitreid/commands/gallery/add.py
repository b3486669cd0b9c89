"""`bitreid gallery add`: pictures and codes into a gallery."""

import argparse
import time
from pathlib import Path
from typing import get_args

from rich.console import Console

from bitreid.commands import left_out
from bitreid.commands.console import progress_of, say, show
from bitreid.commands.gallery.action import Action, Answer, open_place, writing_shown
from bitreid.commands.options import add_encoding, add_pattern, add_people, add_time_unit, loader_of
from bitreid.encoding.paces import Paces
from bitreid.errors import SettingsError
from bitreid.gallery.ingest import Added, add_sources, sources_of
from bitreid.gallery.naming import IdKind


def _arguments(add: argparse.ArgumentParser) -> None:
    add.add_argument(
        "inputs",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="codes (.npz or a folder, of encode); pictures, folders, a CSV",
    )
    add.add_argument("--model", type=Path, metavar="MODEL", help="encodes pictures")
    add_encoding(add)
    add.add_argument(
        "--id",
        choices=get_args(IdKind),
        default="path",
        help="what an item is called: its picture's path, the file's name without ending, numbers that go on where the "
        "gallery ends, or a hash that says nothing (default %(default)s)",
    )
    add.add_argument(
        "--root",
        type=Path,
        metavar="FOLDER",
        help="paths are relative to this folder, wherever you are; elsewhere absolute (default: the gallery's folder)",
    )
    add_pattern(add)
    add_people(add)
    add.add_argument(
        "--source",
        metavar="NAME",
        help="people and tracklets are kept apart from those of other sources: person 1 is NAME/1 (default: new items "
        "of people whom the gallery has from elsewhere are refused, but for --same-people)",
    )
    add_time_unit(add)
    add.add_argument(
        "--metadata",
        metavar="COLUMNS",
        help="further columns of a table that become the items' metadata: their names with commas between them, or all "
        "(default: they are passed over)",
    )
    add.add_argument("--upsert", action="store_true", help="replace items that are there already")
    left_out.add_arguments(add)


def add_encoded(arguments: argparse.Namespace, console: Console) -> int:
    """Add the pictures of `bitreid encode` to its `--gallery`, as `bitreid gallery add` does without options of its
    own, and return the exit code."""
    if arguments.features:
        raise SettingsError("expected --out with --features, since a gallery keeps codes alone, got --gallery")
    own = {"place": arguments.gallery, "model": arguments.artifact, "id": "path", "actor": None, "upsert": False}
    own |= {"root": None, "metadata": None, "source": None}
    answer = _add(argparse.Namespace(**{**vars(arguments), **own}), console)
    for line in answer.shown:
        show(console, line)
    return answer.code


def _add(arguments: argparse.Namespace, console: Console) -> Answer:
    root, named = arguments.root, arguments.metadata
    if root is None:
        root = Path("/") if "://" in arguments.place else Path(arguments.place).parent
    load = loader_of(arguments)
    paces, start = Paces(), time.perf_counter()
    with open_place(arguments) as gallery:
        sources = sources_of(
            arguments.inputs,
            load,
            ids=arguments.id,
            time_unit=arguments.time_unit,
            attributes=bool(gallery.contract.attributes),
            strict=arguments.strict,
            pattern=arguments.pattern,
            same_people=arguments.same_people,
            root=root,
            metadata="all" if named == "all" else [name.strip() for name in named.split(",")] if named else (),
            source=arguments.source,
            gallery=gallery,
            split=getattr(arguments, "split", None),
            paces=paces,
        )
        added = Added()
        try:
            with progress_of(console, "adding", paces) as progress:
                add_sources(gallery, sources, upsert=arguments.upsert, progress=progress, added=added, paces=paces)
        except BaseException:
            if added.new:
                say(console, f"{_said(added, arguments.upsert)} before it stopped; the same command goes on from there")
            raise
        with writing_shown(gallery, console):
            gallery.close()
    code = left_out.tell(added.findings, arguments.report)
    bad = [{"path": str(error.path), "reason": error.reason} for error in added.findings.bad]
    answer = {"items": added.new + added.there, "added": added.new, "left_out": bad}
    shown = [_said(added, arguments.upsert)]
    shown += [paces.summary(time.perf_counter() - start)] if paces.reading.pictures else []
    return Answer(shown, answer, code=code)


def _said(added: Added, upsert: bool) -> str:
    return f"{added.new} items added, {added.there} {'replaced' if upsert else 'were there already'}"


ACTIONS = {
    "add": Action(
        "add pictures or codes; those that are there already are left as they are",
        _arguments,
        _add,
        (
            "bitreid gallery add people.gallery gallery.npz",
            "bitreid gallery add people.gallery pictures/ --model runs/people/artifact",
            "bitreid gallery add people.gallery site_b.npz --source site_b",
        ),
    )
}
