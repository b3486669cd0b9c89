"""`bitreid gallery search`: find a person, or who looks like a description."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from rich.console import Console
from rich.table import Table

from bitreid.commands.gallery.action import Action, Answer, add_where, open_place, words_of
from bitreid.commands.hits import hits_shown, titles_of
from bitreid.commands.options import add_encoding, add_one_person, add_search_options, loader_of
from bitreid.data.files import check_outputs
from bitreid.errors import SettingsError
from bitreid.evaluation.settings import parse_share
from bitreid.evaluation.sheets import NEAREST, SheetHit, SheetRow, details_of, draw_ranked_sheet
from bitreid.gallery import Gallery, Hits
from bitreid.gallery.items import Id
from bitreid.gallery.people import By
from bitreid.gallery.query import (
    SearchRequest,
    description_of,
    hits_json,
    ids_of,
    queries_of_files,
    query_of_item,
    search_description,
    search_queries,
)
from bitreid.gallery.requests import Method

_ROWS = 50
"""Queries on a sheet, at most."""


def _arguments(search: argparse.ArgumentParser) -> None:
    search.add_argument(
        "inputs",
        type=Path,
        nargs="*",
        metavar="QUERY",
        help="codes (.npz, or a folder of encode): each row a query; or pictures of one person, with --model: one",
    )
    search.add_argument("--model", type=Path, metavar="MODEL", help="encodes pictures")
    add_encoding(search)
    search.add_argument("--like", metavar="ID", help="an item of the gallery instead, which is left out itself")
    search.add_argument(
        "--attributes", metavar="TEXT", help="a description instead, e.g. 'backpack, upper_colour=red, not jacket'"
    )
    add_one_person(search)
    add_search_options(search)
    search.add_argument(
        "--method",
        choices=get_args(Method),
        help="what a query is compared with: all items; the nearest by short code; or the nearest clusters, which in a "
        "large gallery are a small part, and hold the share --recall of the nearest items, 0.95 where that is not said "
        "(default: two_stage with --w or --recall, else exact)",
    )
    add_where(search)
    search.add_argument("--parts", metavar="A,B", help="only these parts of the body count")
    search.add_argument(
        "--by", choices=get_args(By), default=SearchRequest().by, help="what hits are (default %(default)s)"
    )
    search.add_argument("--person", metavar="NAME", help="who is asked for: items rejected as NAME are left out")


def _search(arguments: argparse.Namespace, console: Console) -> Answer:
    n_asked = bool(arguments.inputs) + (arguments.like is not None) + (arguments.attributes is not None)
    if n_asked != 1:
        raise SettingsError(f"expected one of QUERY, --like and --attributes to search for, got {n_asked} of them")
    request = SearchRequest(
        arguments.k,
        arguments.w,
        arguments.where,
        words_of(arguments.parts),
        arguments.max_distance,
        arguments.only_certain,
        parse_share(arguments.fpir),
        arguments.by,
        arguments.person,
        arguments.rescore,
        arguments.threads,
        None if arguments.recall is None else parse_share(arguments.recall),
        arguments.method,
    )
    if arguments.sheet and arguments.attributes is not None:
        raise SettingsError("expected a query with a picture for --sheet, got a description; leave --sheet out")
    load = loader_of(arguments)
    check_outputs([arguments.sheet, None if arguments.json == Path("-") else arguments.json], arguments.inputs)
    n_pictures: tuple[int, ...] = ()
    with open_place(arguments) as gallery:
        if arguments.attributes is not None:
            names = [arguments.attributes]
            found = [search_description(gallery, description_of(arguments.attributes), request)]
        else:
            if arguments.like is not None:
                queries = query_of_item(gallery, ids_of(gallery, [arguments.like])[0])
            else:
                queries = queries_of_files(arguments.inputs, load, arguments.one_person)
            names, n_pictures = queries.names, queries.n_pictures
            found = search_queries(gallery, queries, request)
            if arguments.sheet:
                asked = names if queries.item is None else _pictures_of(gallery, [queries.item])
                rows = [_row(gallery, picture, hits) for picture, hits in zip(asked, found[:_ROWS], strict=False)]
                draw_ranked_sheet(rows, arguments.sheet, NEAREST)
    shown: list[str | Table] = []
    for title, hits in zip(titles_of(names, n_pictures), found, strict=True):
        shown += hits_shown(title, hits, request)
    if arguments.sheet:
        first = f" (of the first {_ROWS} queries)" if len(found) > _ROWS else ""
        shown.append(f"ranked sheet: {arguments.sheet}{first}")
    return Answer(shown, [hits_json(name, hits) for name, hits in zip(names, found, strict=True)])


def _row(gallery: Gallery, picture: str, hits: Hits) -> SheetRow:
    """Return the row of a sheet that shows a query and its hits."""
    found = zip(hits, _pictures_of(gallery, hits.ids), strict=True)
    cells = [
        SheetHit(Path(path), hit.distance, None, details_of(hit.camera, hit.time, hits.camera_name(hit)))
        for hit, path in found
    ]
    return SheetRow(Path(picture), tuple(cells))


def _pictures_of(gallery: Gallery, ids: Sequence[Id]) -> list[str]:
    """Return the files of the items' pictures: what they refer to, else what they are called."""
    return [
        str(id if item is None or item.picture is None else item.picture)
        for id, item in zip(ids, gallery.get(ids), strict=True)
    ]


ACTIONS = {
    "search": Action(
        "find a person, or who looks like a description",
        _arguments,
        _search,
        (
            "bitreid gallery search people.gallery query.jpg --model runs/people/artifact --where 'camera in (2, 3)'",
            "bitreid gallery search people.gallery --like 0041_c1s1_001355_00.jpg --only-certain",
            "bitreid gallery search people.gallery --attributes 'backpack, not jacket'",
            "bitreid gallery search people.gallery query.npz --recall 0.95 --rescore",
            "bitreid gallery search people.gallery query.npz --method clustered --recall 0.99",
        ),
    )
}
