"""`bitreid gallery delete`: forget items."""

import argparse
import sys
from functools import reduce
from operator import and_
from typing import Any

from rich.console import Console

from bitreid.commands.gallery.action import Action, Answer, add_where, moment_of, open_place
from bitreid.errors import SettingsError
from bitreid.gallery import Filter, Gallery, IdIn, OlderThan, PersonIn, parse_filter
from bitreid.gallery.fields import microseconds
from bitreid.gallery.query import ids_of
from bitreid.gallery.unmet import nearest_person, unmet


def _arguments(delete: argparse.ArgumentParser) -> None:
    delete.add_argument("--ids", nargs="+", metavar="ID", help="items with these ids")
    delete.add_argument("--person", metavar="NAME", help="items known to show this person")
    delete.add_argument(
        "--older-than",
        metavar="AGE",
        help="30d, 12h, 2w, or before a time such as 2026-01-31 (of addition, if unknown)",
    )
    add_where(delete)
    delete.add_argument("--blank-audit", action="store_true", help="take the ids out of the audit log, too")
    delete.add_argument("--missing-ok", action="store_true", help="end with 0 where nothing was there to delete, too")
    delete.add_argument("--dry-run", action="store_true", help="only say how many would go")
    delete.add_argument("--yes", action="store_true", help="do not ask, where a terminal could answer")


def _delete(arguments: argparse.Namespace, console: Console) -> Answer:
    with open_place(arguments) as gallery:
        total, where = gallery.count(), _condition(arguments, gallery)
        n, unknown = gallery.count(where), unmet(gallery, where)
        lines = [f"no item has {each}" for each in unknown]
        near = nearest_person(gallery, arguments.person) if unknown and arguments.person is not None else None
        if near is not None and near != arguments.person:
            lines.append(f"the nearest person to {arguments.person} is {near}")
        value: dict[str, Any] = {"unknown": unknown} if unknown else {}
        if arguments.dry_run:
            shown = [f"{n} of {total} items would be deleted", *lines]
            return Answer(shown, {"deleted": 0, "would_delete": n, **value})
        if n and not arguments.yes and sys.stdin.isatty():
            answer = console.input("".join(f"{line}\n" for line in lines) + f"delete {n} of {total} items? [y/N] ")
            if answer.strip().lower() not in ("y", "yes"):
                return Answer(["nothing was deleted"], {"deleted": 0})
        n = gallery.delete_where(where, blank_audit=arguments.blank_audit)
        if n and arguments.person is not None and gallery.audited and not arguments.blank_audit:
            lines.append("the audit log still has the ids of the items; --blank-audit takes them out")
    # That nothing is older than an age is no surprise.
    named = [arguments.where, arguments.ids, arguments.person] != [None] * 3
    code = int(named and not n and not arguments.missing_ok)
    return Answer([f"{n} of {total} items deleted", *lines], {"deleted": n, **value}, code=code)


def _condition(arguments: argparse.Namespace, gallery: Gallery) -> Filter:
    """Return what an item must be to be deleted: all that the command line says."""
    conditions = (
        [] if arguments.where is None else [parse_filter(arguments.where, gallery.contract, gallery.camera_names)]
    )
    if arguments.ids is not None:
        conditions.append(IdIn(frozenset(ids_of(gallery, arguments.ids))))
    if arguments.person is not None:
        conditions.append(PersonIn(frozenset([arguments.person])))
    if arguments.older_than is not None:
        conditions.append(OlderThan(microseconds(moment_of(arguments.older_than))))
    if not conditions:
        raise SettingsError("expected what to delete (--ids, --person, --older-than or --where), got nothing")
    return reduce(and_, conditions)


ACTIONS = {
    "delete": Action(
        "forget the items that meet all conditions given",
        _arguments,
        _delete,
        (
            "bitreid gallery delete people.gallery --older-than 30d",
            "bitreid gallery delete people.gallery --person 41 --dry-run",
        ),
    )
}
