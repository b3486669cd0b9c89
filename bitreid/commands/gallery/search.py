"""`bitreid gallery search`: find a person, or who looks like a description."""

import argparse
from pathlib import Path
from typing import get_args

from rich.console import Console
from rich.table import Table

from bitreid.commands.console import hits_table, nobody_text
from bitreid.commands.gallery.action import Action, Answer, add_where, open_place, words_of
from bitreid.commands.options import add_search_options, loader_of, max_distance_of
from bitreid.errors import SettingsError
from bitreid.evaluation.settings import parse_share
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


def _arguments(search: argparse.ArgumentParser) -> None:
    search.add_argument(
        "inputs",
        type=Path,
        nargs="*",
        metavar="QUERY",
        help="codes (.npz): each row a query; or pictures of one person, with --model: one query",
    )
    search.add_argument("--model", type=Path, metavar="ARTIFACT", help="encodes pictures")
    search.add_argument("--like", metavar="ID", help="an item of the gallery instead, which is left out itself")
    search.add_argument(
        "--attributes", metavar="TEXT", help="a description instead, e.g. 'backpack, upper_colour=red, not hat'"
    )
    add_search_options(search)
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
        max_distance_of(arguments.max_distance),
        parse_share(arguments.fpir),
        arguments.by,
        arguments.person,
        arguments.threads,
    )
    with open_place(arguments) as gallery:
        if arguments.attributes is not None:
            names = [arguments.attributes]
            found = [search_description(gallery, description_of(arguments.attributes), request)]
        else:
            if arguments.like is not None:
                queries = query_of_item(gallery, ids_of(gallery, [arguments.like])[0])
            else:
                queries = queries_of_files(arguments.inputs, loader_of(arguments.model))
            names, found = queries.names, search_queries(gallery, queries, request)
    shown: list[str | Table] = []
    for name, hits in zip(names, found, strict=True):
        title = f"{name}: " if len(names) > 1 else ""
        nobody = nobody_text(hits, request.by, request.fpir)
        shown.append(f"{title}{nobody}" if hits.nobody else hits_table(title, hits))
    return Answer(shown, [hits_json(name, hits) for name, hits in zip(names, found, strict=True)])


ACTIONS = {"search": Action("find a person, or who looks like a description", _arguments, _search)}
