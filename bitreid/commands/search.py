"""`bitreid search`: one person in a gallery of codes or pictures, which lives in memory for this one search."""

import argparse
from pathlib import Path

from bitreid.commands import left_out
from bitreid.commands.options import (
    add_bits,
    add_encoding,
    add_model,
    add_one_person,
    add_people,
    add_search_options,
    encoder_of,
)

HELP = "find a person among pictures or codes, without a gallery that lasts"
EXAMPLES = (
    "bitreid search runs/people/artifact --query people/query/0057_*.jpg --gallery gallery.npz -k 5",
    "bitreid search runs/people/artifact --query query.jpg --gallery gallery.npz --recall 0.95 --rescore",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `bitreid search`."""
    add_model(parser)
    parser.add_argument(
        "--query", type=Path, nargs="+", required=True, help="pictures of whom to find; see --one-person"
    )
    parser.add_argument(
        "--gallery",
        type=Path,
        nargs="+",
        required=True,
        help="codes (.npz, or a folder of shards), pictures, folders or a CSV",
    )
    add_bits(parser)
    add_encoding(parser)
    add_one_person(parser)
    add_people(parser)
    add_search_options(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the hits")


def run(arguments: argparse.Namespace) -> int:
    """Show who is nearest to the query, and where certainty ends."""
    from bitreid.commands.console import console_of, progress_of, say, show
    from bitreid.commands.hits import hits_shown, titles_of
    from bitreid.data.files import check_outputs
    from bitreid.data.parsers.inputs import manifest_of
    from bitreid.errors import SettingsError
    from bitreid.evaluation.score_files import write_json
    from bitreid.evaluation.settings import parse_share
    from bitreid.evaluation.sheets import SheetHit, details_of, sheet_of_search
    from bitreid.gallery import Contract, create_gallery
    from bitreid.gallery.ingest import add_sources, sources_of
    from bitreid.gallery.opening import MEMORY
    from bitreid.gallery.query import SearchRequest, hits_json, queries_of_people, search_queries

    check_outputs([arguments.json, arguments.sheet], [arguments.artifact, *arguments.query, *arguments.gallery])
    request = SearchRequest(
        arguments.k,
        arguments.w,
        max_distance=arguments.max_distance,
        only_certain=arguments.only_certain,
        fpir=parse_share(arguments.fpir),
        rescore=arguments.rescore,
        n_threads=arguments.threads,
        recall=None if arguments.recall is None else parse_share(arguments.recall),
    )
    encoder = encoder_of(arguments.artifact, arguments)
    contract = Contract.of(encoder.card, encoder.n_bits)
    console = console_of()
    pictures = manifest_of(arguments.query, same_people=arguments.one_person or arguments.same_people)
    if arguments.sheet and not arguments.one_person and len(set(pictures.pids.tolist())) > 1:
        raise SettingsError("expected pictures of one person for --sheet, got several people's; say --one-person")
    with create_gallery(MEMORY, contract, audited=False) as gallery:
        sources = sources_of(
            arguments.gallery,
            lambda: encoder,
            ids="path",
            time_unit=None,
            attributes=bool(contract.attributes),
            same_people=arguments.same_people,
            gallery=gallery,
        )
        with progress_of(console, "reading the gallery") as progress:
            added = add_sources(gallery, sources, progress=progress)
        queries = queries_of_people(encoder, pictures, arguments.one_person)
        found = search_queries(gallery, queries, request)
    for title, hits in zip(titles_of(queries.names, queries.n_pictures), found, strict=True):
        for each in hits_shown(title, hits, request):
            show(console, each)
    if arguments.json:
        write_json(arguments.json, [hits_json(name, hits) for name, hits in zip(queries.names, found, strict=True)])
    if arguments.sheet:
        cells = [
            SheetHit(Path(str(hit.id)), hit.distance, None, details_of(hit.camera, hit.time, found[0].camera_name(hit)))
            for hit in found[0]
        ]
        sheet_of_search(pictures.paths, cells, arguments.sheet)
        say(console, f"ranked sheet: {arguments.sheet}")
    return left_out.tell(added.findings)
