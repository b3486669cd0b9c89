"""The demo: drawn people from nothing to a ranked sheet and a report."""

import json
import shutil
from pathlib import Path

from rich.console import Console

from bitreid.artifact import Artifact, load_artifact
from bitreid.commands.console import TrainingReporter, evaluation_table, progress_of, relaxation_label
from bitreid.data.parsers import parse
from bitreid.drawn.data_set import DrawnSettings, draw_people
from bitreid.encoding.files import encode_manifest, search_person, side_of
from bitreid.errors import SettingsError
from bitreid.evaluation.report import write_report
from bitreid.evaluation.report.build import labels_beside, report_of
from bitreid.evaluation.sheets import sheet_of_queries
from bitreid.evaluation.summary import Evaluation, evaluate_model, rows_of_share
from bitreid.training.load import load_encoder
from bitreid.training.recipe import Recipe, load_recipe
from bitreid.training.run import train
from bitreid.training.task import task_from

SETTINGS = DrawnSettings(n_train=120, n_test=60)

_MARK = "demo.txt"
_OURS = ("people", "ssr", "tanh", "scores.json", "sheet.png", "report.html")


def run_demo(out: Path, epochs: int | None, console: Console, settings: DrawnSettings = SETTINGS) -> None:
    """Draw people into `out`, train SSR and its tanh twin on them, score both, search, write a ranked sheet and a
    report.

    `out` is a new or empty folder, or that of an earlier demo, which is replaced; `SettingsError` for any other.
    """
    recipes = {relaxation: _recipe(relaxation, epochs) for relaxation in ("ssr", "tanh")}
    _make_room(out)
    data = out / "people"
    with progress_of(console, "1/4 drawing people") as progress:
        draw_people(data, settings, progress)
    console.print(
        f"1/4 drew {settings.n_train} people to train on and {settings.n_test} to find: {data}", soft_wrap=True
    )
    console.print("2/4 training the SSR model, then the same with tanh (the usual relaxation)")
    evaluations = {}
    for relaxation, recipe in recipes.items():
        _train_one(recipe, data, out / relaxation, console)
        evaluations[relaxation] = _evaluate_one(data, out, relaxation, console)
    console.print("3/4 scores on people that were never trained on, in per cent")
    for relaxation, evaluation in evaluations.items():
        agreement = load_artifact(out / relaxation / "artifact").card.metrics.get("val_agreement")
        console.print(evaluation_table(f"drawn people, {relaxation_label(relaxation, agreement)}", evaluation))
    record = {relaxation: evaluation.to_json() for relaxation, evaluation in evaluations.items()}
    (out / "scores.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    console.print(f"4/4 ranked sheet: {out / 'sheet.png'}", soft_wrap=True)
    console.print(f"    report of the SSR model, look at it in a browser: {out / 'report.html'}", soft_wrap=True)


def _make_room(out: Path) -> None:
    """Remove what an earlier demo left in `out`, and nothing else."""
    if out.exists() and not (out.is_dir() and (not any(out.iterdir()) or (out / _MARK).is_file())):
        raise SettingsError(f"expected a new or empty folder for the demo, got {out}; choose one with --out")
    out.mkdir(parents=True, exist_ok=True)
    (out / _MARK).write_text(
        "Made by `bitreid demo`, which replaces what it made when it runs again.\n", encoding="utf-8"
    )
    for path in (out / name for name in _OURS):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _recipe(relaxation: str, epochs: int | None) -> Recipe:
    changes = [f"name=drawn-{relaxation}", f"network.relaxation={relaxation}"]
    changes += [] if epochs is None else [f"epochs={epochs}", "warmup_epochs=0"]
    return load_recipe("drawn_tiny", changes)


def _train_one(recipe: Recipe, data: Path, run: Path, console: Console) -> Artifact:
    task = task_from(recipe, data, None)
    with TrainingReporter(console, recipe.epochs) as reporter:
        return train(recipe, task, run, reporter)


def _evaluate_one(data: Path, out: Path, relaxation: str, console: Console) -> Evaluation:
    encoder = load_encoder(out / relaxation / "artifact")
    manifest = parse(data)
    with progress_of(console, "encoding") as progress:
        encoded = [encode_manifest(encoder, manifest.split(split), progress) for split in ("query", "gallery")]
    query, gallery = (side_of(each) for each in encoded)
    ws = [rows_of_share(share, len(gallery)) for share in (0.05, 0.1, 0.2)]
    calibration = encoder.card.calibration
    evaluation = evaluate_model(
        query, gallery, ws, attribute_weights=calibration.attribute_weights if calibration else ()
    )
    if relaxation == "ssr":
        sheet_of_queries(query, gallery, out / "sheet.png", "Drawn people: queries and their ten nearest, SSR codes")
        person = encoder.merge(encoder.encode_files(query.paths[:1]))
        hits = search_person(encoder, person, encoded[1], 5, rows_of_share(0.1, len(gallery)))
        found = ", ".join(
            f"{gallery.paths[row].name} ({distance})"
            for row, distance in zip(hits.positions[0], hits.distances[0], strict=True)
        )
        console.print(f"two-stage search for {query.paths[0].name}, nearest five (bits): {found}", soft_wrap=True)
        report = report_of(
            "Drawn people: SSR codes",
            encoder.card,
            query,
            gallery,
            evaluation,
            "drawn people",
            command=("bitreid", "demo"),
            labels=labels_beside(data, encoder.card.attributes),
        )
        write_report(report, out / "report.html")
    return evaluation
