"""`bitreid gallery add`: pictures and codes into a gallery."""

import argparse
from pathlib import Path
from typing import get_args

from rich.console import Console

from bitreid.commands.console import progress_of
from bitreid.commands.gallery.action import Action, Answer, open_place
from bitreid.commands.options import loader_of
from bitreid.gallery.ingest import IdKind, TimeUnit, add_sources, sources_of


def _arguments(add: argparse.ArgumentParser) -> None:
    add.add_argument(
        "inputs", type=Path, nargs="+", metavar="FILE", help="codes (.npz, of encode); pictures, folders, a CSV"
    )
    add.add_argument("--model", type=Path, metavar="ARTIFACT", help="encodes pictures")
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
    add.add_argument(
        "--time-unit",
        choices=get_args(TimeUnit),
        help="a CSV's times count so from 1970 on (default: they are left out)",
    )
    add.add_argument("--upsert", action="store_true", help="replace items that are there already")


def _add(arguments: argparse.Namespace, console: Console) -> Answer:
    root = arguments.root
    if root is None:
        root = Path("/") if "://" in arguments.place else Path(arguments.place).parent
    with open_place(arguments) as gallery:
        sources = sources_of(
            arguments.inputs,
            loader_of(arguments.model),
            ids=arguments.id,
            time_unit=arguments.time_unit,
            attributes=bool(gallery.contract.attributes),
            root=root,
            gallery=gallery,
        )
        with progress_of(console, "adding") as progress:
            new = add_sources(gallery, sources, upsert=arguments.upsert, progress=progress)
    total = sum(len(source.ids) for source in sources)
    others = "replaced" if arguments.upsert else "were there already"
    return Answer([f"{new} items added, {total - new} {others}"], {"items": total, "added": new})


ACTIONS = {"add": Action("add pictures or codes; those that are there already are left as they are", _arguments, _add)}
