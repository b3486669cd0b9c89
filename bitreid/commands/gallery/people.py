"""`bitreid gallery confirm`, `reject`, `merge` and `undo`: who is who."""

import argparse

from rich.console import Console

from bitreid.commands.gallery.action import Action, Answer, no_arguments, open_place
from bitreid.gallery.query import ids_of


def _person_and_items(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("person", metavar="PERSON", help="the person's name or number, known or new")
    parser.add_argument("ids", nargs="+", metavar="ID", help="an item's id, as searches show it")


def _confirm(arguments: argparse.Namespace, console: Console) -> Answer:
    with open_place(arguments) as gallery:
        n = gallery.confirm(ids_of(gallery, arguments.ids), arguments.person)
    return Answer([f"{n} items are now known to be {arguments.person}"], {"items": n})


def _reject(arguments: argparse.Namespace, console: Console) -> Answer:
    with open_place(arguments) as gallery:
        n = gallery.reject(ids_of(gallery, arguments.ids), arguments.person)
    return Answer([f"{n} items are now known not to be {arguments.person}"], {"items": n})


def _two_persons(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("person", metavar="PERSON", help="the person whose name stays")
    parser.add_argument("other", metavar="OTHER", help="the same person under another name, which goes")


def _merge(arguments: argparse.Namespace, console: Console) -> Answer:
    with open_place(arguments) as gallery:
        n = gallery.merge(arguments.person, arguments.other)
    return Answer([f"{n} items of {arguments.other} are now known to be {arguments.person}"], {"items": n})


def _undo(arguments: argparse.Namespace, console: Console) -> Answer:
    with open_place(arguments) as gallery:
        undone = gallery.undo()
    return Answer([f"undone: {undone}" if undone else "there was nothing to undo"], {"undone": undone})


ACTIONS = {
    "confirm": Action(
        "say that items, and those of their tracklets, show a person",
        _person_and_items,
        _confirm,
        ("bitreid gallery confirm people.gallery Ada people/bounding_box_test/0041_c1s1_001355_00.jpg",),
    ),
    "reject": Action(
        "say that items, and those of their tracklets, do not show a person",
        _person_and_items,
        _reject,
        ("bitreid gallery reject people.gallery Ada people/bounding_box_test/0042_c1s1_000889_00.jpg",),
    ),
    "merge": Action(
        "say that two persons are one", _two_persons, _merge, ("bitreid gallery merge people.gallery Ada 41",)
    ),
    "undo": Action(
        "take the last of confirm, reject and merge back", no_arguments, _undo, ("bitreid gallery undo people.gallery",)
    ),
}
