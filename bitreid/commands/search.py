"""`bitreid search`: one person in a gallery of codes or pictures, which lives in memory for this one search."""

import argparse
from pathlib import Path

from bitreid.commands.options import add_search_options, max_distance_of

HELP = "find a person: query pictures against a gallery"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `bitreid search`."""
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--query", type=Path, nargs="+", required=True, help="pictures of one person: one query")
    parser.add_argument(
        "--gallery", type=Path, nargs="+", required=True, help="files of codes (.npz), pictures, folders or a CSV"
    )
    add_search_options(parser)
    parser.add_argument("--sheet", type=Path, metavar="FILE.png", help="write a ranked sheet")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the hits")


def run(arguments: argparse.Namespace) -> int:
    """Show who is nearest to the query, or that nobody is near enough."""
    from bitreid.commands.console import console_of, hits_table, nobody_text, progress_of, say
    from bitreid.data.files import check_outputs
    from bitreid.encoding.files import manifest_of
    from bitreid.evaluation.score_files import write_json
    from bitreid.evaluation.settings import parse_share
    from bitreid.evaluation.sheets import sheet_of_search
    from bitreid.gallery import Contract, create_gallery
    from bitreid.gallery.ingest import add_sources, sources_of
    from bitreid.gallery.opening import MEMORY
    from bitreid.gallery.query import SearchRequest, hits_json, query_of_pictures, search_queries
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
    pictures = manifest_of(arguments.query).paths
    sources = sources_of(
        arguments.gallery, lambda: encoder, ids="path", time_unit=None, attributes=bool(contract.attributes)
    )
    with create_gallery(MEMORY, contract, audited=False) as gallery:
        with progress_of(console, "reading the gallery") as progress:
            add_sources(gallery, sources, progress=progress)
        query = query_of_pictures(encoder, pictures)
        (hits,) = search_queries(gallery, query, request)
    if hits.nobody:
        say(console, nobody_text(hits, request.by, request.fpir))
    else:
        console.print(hits_table("", hits))
    if arguments.json:
        write_json(arguments.json, [hits_json(query.names[0], hits)])
    if arguments.sheet:
        sheet_of_search(pictures, [(Path(str(hit.id)), hit.distance) for hit in hits], arguments.sheet)
        say(console, f"ranked sheet: {arguments.sheet}")
    return 0
