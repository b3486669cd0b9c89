"""SSR against the usual relaxations on drawn people, everything else equal: rank-1 and mAP of code and float.

    python benchmarks/accuracy/relaxations.py [--quick] [--json FILE] [--markdown] [--out DIR]

Each run is the recipe `drawn_tiny` with another `network.relaxation` and `network.n_bits`, scored on people that were
never trained on. Runs already in the folder `--out` are not repeated, so a stopped benchmark goes on where it stopped.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bitreid.artifact import load_artifact
from bitreid.commands.console import TrainingReporter, as_markdown, relaxation_label
from bitreid.data.parsers import parse
from bitreid.drawn.data_set import DrawnSettings, draw_people
from bitreid.encoding.files import encode_manifest, side_of
from bitreid.evaluation.summary import evaluate_model
from bitreid.training.load import load_encoder
from bitreid.training.recipe import load_recipe, make_recipe
from bitreid.training.run import train
from bitreid.training.task import task_from

RUNS = {
    "ssr": ["network.relaxation=ssr"],
    "ssr-tanh-student": ["network.relaxation=ssr", "network.student_activation=tanh"],
    **{rival: [f"network.relaxation={rival}"] for rival in ("tanh", "sigmoid", "hardsigmoid", "none", "ste")},
}
"""Settings of each row."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two relaxations, one pass, few people")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/relaxations"), help="folder of the runs (default %(default)s)"
    )
    parser.add_argument("--epochs", type=int, help="passes of each run (default: the recipe's)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    out = arguments.out / "quick" if arguments.quick else arguments.out
    data = out / "people"
    if not data.is_dir():
        draw_people(data, DrawnSettings(n_train=16, n_test=8, n_distractors=10) if arguments.quick else DrawnSettings())
    epochs = 1 if arguments.quick else arguments.epochs
    lengths = (128,) if arguments.quick else (2048, 128)
    names = ["ssr", "tanh"] if arguments.quick else list(RUNS)
    console = Console()
    rows = [
        run_one(data, out, name, n_bits, epochs, arguments.seed, arguments.quick, console)
        for n_bits in lengths
        for name in names
    ]
    console.print(as_markdown(table_of(rows)) if arguments.markdown else table_of(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": rows, "bars": {}}, indent=1) + "\n", encoding="utf-8")


def run_one(
    data: Path, out: Path, name: str, n_bits: int, epochs: int | None, seed: int, quick: bool, console: Console
) -> dict[str, Any]:
    """Return the scores of one of `RUNS` at a length, from the folder of its run if it is there already."""
    run = out / f"{name}-{n_bits}-{seed}"
    scores = run / "scores.json"
    changes = [f"name={run.name}", *RUNS[name], f"network.n_bits={n_bits}", f"seed={seed}"]
    if epochs:
        changes += [f"epochs={epochs}", f"warmup_epochs={min(1, epochs - 1)}"]
    if quick:
        changes += ["held_out_identities=4", "identities_per_batch=4"]
    recipe = load_recipe("drawn_tiny", changes)
    if scores.is_file():
        row: dict[str, Any] = json.loads(scores.read_text(encoding="utf-8"))
        if make_recipe(row["recipe"]) != recipe:
            raise SystemExit(f"expected the run of this recipe in {run}, got another's; choose another folder: --out")
        return row
    task = task_from(recipe, data, None)
    console.print(f"{run.name}: {recipe.epochs} passes over {len(task.split.train)} pictures")
    with TrainingReporter(console, recipe.epochs) as reporter:
        train(recipe, task, run, reporter, resume=(run / "checkpoint.pt").is_file())
    encoder = load_encoder(run / "artifact")
    manifest = parse(data)
    query, gallery = (encode_manifest(encoder, manifest.split(split)) for split in ("query", "gallery"))
    evaluation = evaluate_model(side_of(query), side_of(gallery), ())
    assert evaluation.floats is not None, "an encoder always gives features"
    metrics = load_artifact(run / "artifact").card.metrics
    row = {
        "relaxation": name,
        "n_bits": n_bits,
        "seed": seed,
        "rank1": evaluation.main.expected.rank1,
        "mAP": evaluation.main.expected.mAP,
        "float_rank1": evaluation.floats.expected.rank1,
        "float_mAP": evaluation.floats.expected.mAP,
        "agreement": metrics.get("val_agreement"),
        "gap": metrics.get("val_gap"),
        "recipe": recipe.model_dump(mode="json"),
    }
    scores.write_text(json.dumps(row, indent=1) + "\n", encoding="utf-8")
    return row


def table_of(rows: list[dict[str, Any]]) -> Table:
    """Return a table of scores in per cent, a line a run; the gap is the mean of | |s| - 1 | of the student."""
    table = Table("bits", "relaxation", "rank-1 / mAP", "float rank-1 / mAP", "agreement", "gap")
    for row in rows:
        watched = ["-" if row[name] is None else f"{row[name]:.3f}" for name in ("agreement", "gap")]
        table.add_row(
            str(row["n_bits"]),
            relaxation_label(row["relaxation"], row["agreement"]),
            f"{100 * row['rank1']:.1f} / {100 * row['mAP']:.1f}",
            f"{100 * row['float_rank1']:.1f} / {100 * row['float_mAP']:.1f}",
            *watched,
        )
    return table


if __name__ == "__main__":
    main()
