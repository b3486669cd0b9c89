"""`bitreid demo`: drawn people, found by the model that comes with bitreid, without PyTorch."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from bitreid.drawn.data_set import DrawnSettings

MODEL = "drawn"
"""The model that comes with bitreid."""


def quick_demo(data: Path, out: Path, console: Console, settings: DrawnSettings) -> None:
    """Draw people into `data`, encode them, keep them in a gallery and search it; then score the model.

    `out` gets the gallery, the hits and queries as ranked sheets, scores and a report.
    """
    from bitreid.commands.console import evaluation_table, progress_of, say, show
    from bitreid.commands.hits import hits_shown
    from bitreid.data.parsers import parse
    from bitreid.drawn.data_set import draw_people
    from bitreid.encoding.encoder import Encoder
    from bitreid.encoding.files import encode_manifest, side_of
    from bitreid.evaluation.report import write_report
    from bitreid.evaluation.report.build import labels_beside, report_of
    from bitreid.evaluation.score_files import write_json
    from bitreid.evaluation.sheets import SheetHit, details_of, sheet_of_queries, sheet_of_search
    from bitreid.evaluation.summary import evaluate_model, rows_of_share
    from bitreid.gallery import Contract, create_gallery
    from bitreid.gallery.ingest import items_of
    from bitreid.gallery.query import SearchRequest, query_of_pictures, search_queries

    started = time.monotonic()
    with progress_of(console, "1/4 drawing people") as progress:
        draw_people(data, settings, progress)
    say(console, f"1/4 drew {settings.n_test} people, whom six cameras see: {data}")
    encoder, manifest = Encoder.open(MODEL), parse(data)
    with progress_of(console, "2/4 encoding their pictures") as progress:
        encoded = encode_manifest(encoder, manifest.split("gallery"), progress)
    place = out / "people.gallery"
    n_bits = encoder.card.n_bits
    say(console, f"2/4 {len(encoded)} codes of {n_bits} bits, made by the model {MODEL!r}: {place}")
    queries = encode_manifest(encoder, manifest.split("query"))
    person = queries.pids[len(queries) // 2]
    pictures = [path for path, pid in zip(queries.paths, queries.pids, strict=True) if pid == person][:2]
    with create_gallery(place, Contract.of(encoder.card)) as gallery:
        gallery.add(items_of(encoded, [str(path) for path in encoded.paths], attributes=True))
        request = SearchRequest(k=5)
        (hits,) = search_queries(gallery, query_of_pictures(encoder, pictures), request)
    for each in hits_shown(f"3/4 person {person:04d}, two pictures: ", hits, request):
        show(console, each)
    cells = [SheetHit(Path(str(hit.id)), hit.distance, None, details_of(hit.camera, hit.time, None)) for hit in hits]
    sheet_of_search(pictures, cells, out / "found.png")
    say(console, f"    ranked sheet of these: {out / 'found.png'} ({time.monotonic() - started:.0f} s from the start)")
    query, side = side_of(queries), side_of(encoded)
    evaluation = evaluate_model(
        query, side, [rows_of_share(share, len(side)) for share in (0.05, 0.1)], coarse=encoder.card.coarse
    )
    console.print(evaluation_table("4/4 everybody searched for, scores in per cent", evaluation))
    write_json(out / "scores.json", evaluation.to_json())
    title = "Drawn people: queries and their five nearest"
    sheet_of_queries(query, side, out / "sheet.png", title, k=5)
    labels = labels_beside(data, encoder.card.attributes)
    report = report_of(
        "Drawn people",
        encoder.card,
        query,
        side,
        evaluation,
        "drawn people",
        command=("bitreid", "demo"),
        labels=labels,
    )
    write_report(report, out / "report.html")
    say(console, f"    ranked sheet of eight queries: {out / 'sheet.png'}")
    say(console, f"    report, look at it in a browser: {out / 'report.html'}")
