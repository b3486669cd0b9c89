"""The demo: drawn people from nothing to a ranked sheet."""

import json
import shutil
from pathlib import Path

from rich.console import Console

from bitreid.artifact import Artifact
from bitreid.console import TrainingReporter, evaluation_table, progress_of
from bitreid.data.drawn import DrawnSettings, draw_people
from bitreid.data.parsers import parse
from bitreid.encoding.pipeline import encode_manifest, search_person, side_of
from bitreid.encoding.sheets import sheet_of_queries
from bitreid.errors import SettingsError
from bitreid.evaluation.summary import Evaluation, evaluate_model, short_list
from bitreid.training.load import load_encoder
from bitreid.training.recipe import load_recipe
from bitreid.training.run import train
from bitreid.training.task import task_from

SETTINGS = DrawnSettings(n_train=120, n_test=60)


def run_demo(out: Path, epochs: int | None, console: Console) -> None:
    """Draw people into `out`, train SSR and its tanh twin on them, score both, search, write a ranked sheet."""
    if out.exists() and any(out.iterdir()) and not (out / "people").is_dir():
        raise SettingsError(f"expected an empty folder for the demo, {out} holds other things; choose one with --out")
    shutil.rmtree(out, ignore_errors=True)
    data = out / "people"
    with progress_of(console, "1/4 drawing people") as progress:
        draw_people(data, SETTINGS, progress)
    console.print(f"1/4 drew {SETTINGS.n_train} people to train on and {SETTINGS.n_test} to find: {data}")
    console.print("2/4 training the SSR model, then the same with tanh (the usual relaxation)")
    evaluations = {}
    for relaxation in ("ssr", "tanh"):
        _train_one(data, out / relaxation, relaxation, epochs, console)
        evaluations[relaxation] = _evaluate_one(data, out, relaxation, console)
    console.print("3/4 scores on people that were never trained on, in per cent")
    for relaxation, evaluation in evaluations.items():
        console.print(evaluation_table(f"drawn people, {relaxation}", evaluation))
    record = {relaxation: evaluation.to_json() for relaxation, evaluation in evaluations.items()}
    (out / "scores.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    console.print(f"4/4 ranked sheet, look at it: {out / 'sheet.png'}")


def _train_one(data: Path, run: Path, relaxation: str, epochs: int | None, console: Console) -> Artifact:
    changes = [f"name=drawn-{relaxation}", f"network.relaxation={relaxation}"]
    changes += [] if epochs is None else [f"epochs={epochs}", "warmup_epochs=0"]
    recipe = load_recipe("drawn_tiny", changes)
    task = task_from(recipe, data, None)
    with TrainingReporter(console, recipe.epochs) as reporter:
        return train(recipe, task, run, reporter)


def _evaluate_one(data: Path, out: Path, relaxation: str, console: Console) -> Evaluation:
    encoder = load_encoder(out / relaxation / "artifact")
    manifest = parse(data)
    with progress_of(console, "encoding") as progress:
        query, gallery = (encode_manifest(encoder, manifest.split(split), progress) for split in ("query", "gallery"))
    if relaxation == "ssr":
        sheet_of_queries(query, gallery, out / "sheet.png", "Drawn people: queries and their ten nearest, SSR codes")
        person = encoder.merge(encoder.encode_files(query.paths[:1]))
        hits = search_person(encoder, person, gallery, 5, short_list(0.1, len(gallery.paths)))
        found = ", ".join(
            f"{gallery.paths[row].name} ({distance})"
            for row, distance in zip(hits.positions[0], hits.distances[0], strict=True)
        )
        console.print(f"two-stage search for {query.paths[0].name}, nearest five (bits): {found}", soft_wrap=True)
    ws = [short_list(share, len(gallery.paths)) for share in (0.05, 0.1, 0.2)]
    return evaluate_model(side_of(query), side_of(gallery), ws)
