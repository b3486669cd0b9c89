"""`bitreid search`: one person in a gallery of codes or pictures, which lives in memory for this one search."""

import argparse
from pathlib import Path

from bitreid.commands import left_out
from bitreid.commands.options import add_one_person, add_people, add_search_options, max_distance_of

HELP = "find a person: query pictures against a gallery"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `bitreid search`."""
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--query", type=Path, nargs="+", required=True, help="pictures of one person: one query")
    parser.add_argument(
        "--gallery", type=Path, nargs="+", required=True, help="files of codes (.npz), pictures, folders or a CSV"
    )
    add_one_person(parser)
    add_people(parser)
    add_search_options(parser)
    parser.add_argument("--sheet", type=Path, metavar="FILE.png", help="write a ranked sheet")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the hits")


def run(arguments: argparse.Namespace) -> int:
    """Show who is nearest to the query, or that nobody is near enough."""
    from bitreid.commands.console import console_of, hits_table, nobody_text, progress_of, say
    from bitreid.data.files import check_outputs
    from bitreid.data.parsers.inputs import manifest_of
    from bitreid.errors import SettingsError
    from bitreid.evaluation.score_files import write_json
    from bitreid.evaluation.settings import parse_share
    from bitreid.evaluation.sheets import sheet_of_search
    from bitreid.gallery import Contract, create_gallery
    from bitreid.gallery.ingest import add_sources, sources_of
    from bitreid.gallery.opening import MEMORY
    from bitreid.gallery.query import SearchRequest, hits_json, queries_of_people, search_queries
    from bitreid.training.load import load_encoder

    check_outputs([arguments.json, arguments.sheet], [arguments.artifact, *arguments.query, *arguments.gallery])
    request = SearchRequest(
        arguments.k,
        arguments.w,
        max_distance=max_distance_of(arguments.max_distance),
        fpir=parse_share(arguments.fpir),
        n_threads=arguments.threads,
    )
    encoder = load_encoder(arguments.artifact)
    contract = Contract.of(encoder.card)
    console = console_of()
    pictures = manifest_of(arguments.query, same_people=arguments.one_person or arguments.same_people)
    if arguments.sheet and not arguments.one_person and len(set(pictures.pids.tolist())) > 1:
        raise SettingsError("expected pictures of one person for --sheet, got several people's; say --one-person")
    sources = sources_of(
        arguments.gallery,
        lambda: encoder,
        ids="path",
        time_unit=None,
        attributes=bool(contract.attributes),
        same_people=arguments.same_people,
    )
    with create_gallery(MEMORY, contract, audited=False) as gallery:
        with progress_of(console, "reading the gallery") as progress:
            added = add_sources(gallery, sources, progress=progress)
        queries = queries_of_people(encoder, pictures, arguments.one_person)
        found = search_queries(gallery, queries, request)
    for name, hits in zip(queries.names, found, strict=True):
        title = f"{name}: " if len(found) > 1 else ""
        if hits.nobody:
            say(console, f"{title}{nobody_text(hits, request.by, request.fpir)}")
        else:
            console.print(hits_table(title, hits))
    if arguments.json:
        write_json(arguments.json, [hits_json(name, hits) for name, hits in zip(queries.names, found, strict=True)])
    if arguments.sheet:
        sheet_of_search(pictures.paths, [(Path(str(hit.id)), hit.distance) for hit in found[0]], arguments.sheet)
        say(console, f"ranked sheet: {arguments.sheet}")
    return left_out.tell(added.findings)
