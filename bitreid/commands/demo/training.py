"""`bitreid demo --train`: drawn people, from nothing to two models, a ranked sheet and a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from bitreid.drawn.data_set import DrawnSettings
    from bitreid.encoding.encoder import Encoder
    from bitreid.encoding.files import EncodedSet
    from bitreid.evaluation.summary import Evaluation
    from bitreid.training.recipe import Recipe


def train_demo(data: Path, out: Path, epochs: int | None, console: Console, settings: DrawnSettings) -> None:
    """Draw people into `data`, train SSR and its tanh twin on them, score both, search, write a ranked sheet and a
    report into `out`."""
    from bitreid.artifact import load_artifact
    from bitreid.commands.console import evaluation_table, progress_of, relaxation_label, say
    from bitreid.drawn.data_set import draw_people
    from bitreid.evaluation.score_files import write_json

    recipes = {relaxation: _recipe(relaxation, epochs) for relaxation in ("ssr", "tanh")}
    with progress_of(console, "1/4 drawing people") as progress:
        draw_people(data, settings, progress)
    say(console, f"1/4 drew {settings.n_train} people to train on and {settings.n_test} to find: {data}")
    console.print("2/4 training the SSR model, then the same with tanh (the usual relaxation)")
    evaluations = {}
    for relaxation, recipe in recipes.items():
        _train_one(recipe, data, out / relaxation, console)
        evaluations[relaxation] = _evaluate_one(data, out, relaxation, console)
    console.print("3/4 scores on people that were never trained on, in per cent")
    for relaxation, evaluation in evaluations.items():
        agreement = load_artifact(out / relaxation / "artifact").card.metrics.get("val_agreement")
        console.print(evaluation_table(f"drawn people, {relaxation_label(relaxation, agreement)}", evaluation))
    write_json(out / "scores.json", {name: evaluation.to_json() for name, evaluation in evaluations.items()})
    say(console, f"4/4 ranked sheet: {out / 'sheet.png'}")
    say(console, f"    report of the SSR model, look at it in a browser: {out / 'report.html'}")


def _recipe(relaxation: str, epochs: int | None) -> Recipe:
    from bitreid.training.recipe import load_recipe

    changes = [f"name=drawn-{relaxation}", f"network.relaxation={relaxation}", "int8=false"]
    changes += [] if epochs is None else [f"epochs={epochs}", "warmup_epochs=0"]
    return load_recipe("drawn_tiny", changes)


def _train_one(recipe: Recipe, data: Path, folder: Path, console: Console) -> None:
    from bitreid.commands.console import TrainingReporter
    from bitreid.training.run import train
    from bitreid.training.task import task_from

    task = task_from(recipe, data, None)
    with TrainingReporter(console, recipe.epochs) as reporter:
        train(recipe, task, folder, reporter)


def _evaluate_one(data: Path, out: Path, relaxation: str, console: Console) -> Evaluation:
    """Score a model; of the SSR model also show a search and write the sheet and the report."""
    from bitreid.commands.console import progress_of
    from bitreid.data.parsers import parse
    from bitreid.encoding.files import encode_manifest, side_of
    from bitreid.evaluation.report import write_report
    from bitreid.evaluation.report.build import labels_beside, report_of
    from bitreid.evaluation.sheets import sheet_of_queries
    from bitreid.evaluation.summary import evaluate_model, rows_of_share
    from bitreid.training.load import load_encoder

    encoder = load_encoder(out / relaxation / "artifact")
    manifest = parse(data)
    with progress_of(console, "encoding") as progress:
        encoded = [encode_manifest(encoder, manifest.split(split), progress) for split in ("query", "gallery")]
    query, gallery = (side_of(each) for each in encoded)
    ws = [rows_of_share(share, len(gallery)) for share in (0.05, 0.1, 0.2)]
    evaluation = evaluate_model(query, gallery, ws, coarse=encoder.card.coarse)
    if relaxation == "ssr":
        sheet_of_queries(query, gallery, out / "sheet.png", "Drawn people: queries and their ten nearest, SSR codes")
        _show_search(encoder, query.paths[0], encoded[1], console)
        report = report_of(
            "Drawn people: SSR codes",
            encoder.card,
            query,
            gallery,
            evaluation,
            "drawn people",
            command=("bitreid", "demo", "--train"),
            labels=labels_beside(data, encoder.card.attributes),
        )
        write_report(report, out / "report.html")
    return evaluation


def _show_search(encoder: Encoder, picture: Path, encoded: EncodedSet, console: Console) -> None:
    """Search for the person of a picture in two stages, and show the nearest five."""
    from bitreid.commands.console import say
    from bitreid.gallery import Contract, create_gallery
    from bitreid.gallery.ingest import items_of
    from bitreid.gallery.opening import MEMORY
    from bitreid.gallery.query import SearchRequest, query_of_pictures, search_queries

    with create_gallery(MEMORY, Contract.of(encoder.card), audited=False) as gallery:
        gallery.add(items_of(encoded, [path.name for path in encoded.paths], attributes=True))
        request = SearchRequest(k=5, w="10%", max_distance=None)
        (hits,) = search_queries(gallery, query_of_pictures(encoder, [picture]), request)
    found = ", ".join(f"{hit.id} ({hit.distance})" for hit in hits)
    say(console, f"two-stage search for {picture.name}, nearest five (bits): {found}")
