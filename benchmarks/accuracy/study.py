"""A study: a grid of settings and seeds under equal conditions, scored on training identities that were held out.

    python benchmarks/accuracy/study.py GRID.yaml [--data DATA] [--out DIR] [--quick] [--json FILE] [--markdown]

`benchmarks/accuracy/studies/` has grids; `Grid` below says what one holds. Each run is the grid's recipe with the
changes of one row and one seed. A finished run is a line of `DIR/runs.jsonl` and is not repeated; a run that was
stopped goes on from its checkpoint (on frozen features, where a run takes a minute, it begins again).

Every picture of a held-out person is a query, once among the pictures of held-out people alone and once with all
training pictures as distractors; Market-1501's camera rule. Of each run: the float features of the student, prefixes
of its code where the bits of all parts are interleaved ("cut"), and prefixes of a nested code ("nested"), whose map is
fitted afterwards to the student's values before their activation on the same network's training pictures. Tables give
the mean and the standard deviation over seeds.

`--quick` makes two runs of one pass on a few people, and judges no bar.
"""

import argparse
import itertools
import json
import shutil
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pydantic
import torch
import yaml
from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from bitreid.arrays import Floats32, Ints
from bitreid.artifact import fingerprint, load_artifact
from bitreid.codes import pack
from bitreid.commands.console import TrainingReporter, as_markdown, progress_of, relaxation_label, show
from bitreid.data.manifest import Manifest
from bitreid.data.parsers import parse
from bitreid.data.samplers import held_out_pictures
from bitreid.drawn.data_set import DrawnSettings, draw_people
from bitreid.errors import SettingsError
from bitreid.models.nested import SUMMARY, NestedMap
from bitreid.models.parts import code_layout
from bitreid.training.export import network_of
from bitreid.training.heads import described, train_heads
from bitreid.training.nested import features_of, fit_nested
from bitreid.training.recipe import Recipe, faults_of, load_recipe, make_recipe
from bitreid.training.run import train
from bitreid.training.task import task_from

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.accuracy.frozen import pooled_features
from benchmarks.accuracy.held_out import CROWDS, LENGTHS, HeldOut
from benchmarks.bars import write_json


class Claim(BaseModel):
    """That rows are ahead of others: the bars of a grid."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: tuple[str, ...]
    ahead_of: tuple[str, ...]


class Grid(BaseModel):
    """What a study compares."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    recipe: str
    """The recipe of every run, by name or file."""
    set: tuple[str, ...] = ()
    """Changes of it for all runs, as `bitreid train --set` takes them."""
    rows: dict[str, tuple[str, ...]]
    """By name, the changes of each row."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Runs of each row. A seed decides who is held out, first weights, batches and augmentation."""
    held_out: int = 100
    """Training identities that are held out."""
    nested: bool = True
    """Whether a nested code is fitted on each network too (its recipe has no `network.nested`)."""
    drawn: dict[str, int] | None = None
    """Settings of drawn people to train on, where no `--data` is given."""
    frozen: str | None = None
    """An artifact, whose backbone gives features that stay as they are. The people whom it held out are the judges."""
    views: int = 6
    """With `frozen`: pictures as they are, mirrored, and augmented, together so many."""
    claim: Claim | None = None
    """Makes the bars: at each length, by mAP among training pictures and seed by seed."""


class Conditions(NamedTuple):
    """What a run is made under."""

    grid: Grid
    data: Path
    out: Path
    quick: bool
    console: Console


class Described(NamedTuple):
    """What a trained network's student says of pictures before its activation: `own` (n, n_bits) of held-out people,
    `views` (v, m, n_bits) of the training pictures, plain and mirrored, and who is on these (m,)."""

    people: HeldOut
    own: Floats32
    views: Floats32
    classes: Ints
    activation: Callable[[Tensor], Tensor]
    nested: nn.Module | None
    watched: dict[str, float | None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("grid", type=Path)
    parser.add_argument("--data", type=Path, help="the data set (default: the grid's drawn people)")
    parser.add_argument("--out", type=Path, help="folder of the runs (default: runs/studies/GRID)")
    parser.add_argument("--quick", action="store_true", help="two rows, one seed, one pass, few people")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    arguments = parser.parse_args()
    console = Console()
    grid = load_grid(arguments.grid, arguments.quick)
    out = (arguments.out or Path("runs/studies") / arguments.grid.stem) / ("quick" if arguments.quick else "")
    out.mkdir(parents=True, exist_ok=True)
    conditions = Conditions(grid, arguments.data or drawn_people(grid, out), out, arguments.quick, console)
    lines = [run_one(conditions, name, seed) for seed in grid.seeds for name in grid.rows]
    for crowd, mark in itertools.product(CROWDS, ("mAP", "rank1")):
        table = table_of(lines, crowd, mark)
        console.print(f"\n{table.title}\n" if arguments.markdown else "")
        show(console, as_markdown(table) if arguments.markdown else table)
    bars = {} if arguments.quick or grid.claim is None else bars_of(lines, grid.claim)
    for name, bar in bars.items():
        console.print(f"{name}: {100 * bar['value']:.2f}, bar above 0: {'met' if bar['met'] else 'NOT met'}")
    if arguments.json:
        write_json(arguments.json, {"rows": lines, "bars": bars})


def load_grid(path: Path, quick: bool) -> Grid:
    """Return the grid in a file; `SettingsError` names what is wrong with it."""
    try:
        grid = Grid.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except pydantic.ValidationError as error:
        raise SettingsError(f"expected a study's grid in {path}; {faults_of(error)}") from error
    if not quick:
        return grid
    return grid.model_copy(
        update={
            "rows": dict(itertools.islice(grid.rows.items(), 2)),
            "seeds": grid.seeds[:1],
            "set": (*grid.set, "epochs=1", "warmup_epochs=0", "identities_per_batch=4"),
            "held_out": 6,
            "drawn": {"n_train": 24, "n_cameras": 3},
            "views": 2,
        }
    )


def drawn_people(grid: Grid, out: Path) -> Path:
    """Return the folder of the grid's drawn people, drawn if need be."""
    if grid.drawn is None:
        raise SettingsError("expected --data, since the grid draws no people, got none")
    data = out / "people"
    if not data.is_dir():
        draw_people(data, DrawnSettings(**{"n_test": 2, "n_distractors": 0, "n_junk": 0} | grid.drawn))
    return data


def run_one(conditions: Conditions, name: str, seed: int) -> dict[str, Any]:
    """Return the line of one run: out of the file if it is there, else made and written there."""
    grid, file = conditions.grid, conditions.out / "runs.jsonl"
    changes = [*grid.set, *grid.rows[name], f"name={name}", f"seed={seed}", f"held_out_identities={grid.held_out}"]
    frozen = None if grid.frozen is None else fingerprint(load_artifact(Path(grid.frozen)).card)
    if frozen is not None:
        changes += ["network.backbone=custom", "weights=none", "network.attributes=false", "network.attention=false"]
    recipe = load_recipe(grid.recipe, changes)
    made_by = {"data": conditions.data.name, "frozen": frozen}
    for text in file.read_text(encoding="utf-8").splitlines() if file.is_file() else ():
        line: dict[str, Any] = json.loads(text)
        if (line["row"], line["seed"]) == (name, seed):
            if make_recipe(line["recipe"]) != recipe or line["made_by"] != made_by:
                raise SettingsError(f"expected the run of this grid in {file}, got another's; choose another --out")
            return line
    conditions.console.print(f"{name}, seed {seed}: {recipe.epochs} passes", highlight=False)
    make = trained if frozen is None else trained_on_frozen
    line = {"row": name, "seed": seed, "made_by": made_by, **scores_of(conditions, recipe, make(conditions, recipe))}
    line["recipe"] = recipe.model_dump(mode="json")
    with file.open("a", encoding="utf-8") as opened:
        opened.write(json.dumps(line, allow_nan=False) + "\n")
    shutil.rmtree(conditions.out / f"{name}-{seed}", ignore_errors=True)
    return line


def trained(conditions: Conditions, recipe: Recipe) -> Described:
    """Train a network as `bitreid train` does, or go on with one, and describe all pictures with it."""
    run = conditions.out / f"{recipe.name}-{recipe.seed}"
    task = task_from(recipe, conditions.data, None)
    artifact = load_artifact(run / "artifact") if (run / "artifact").is_dir() else None
    if artifact is None:
        with TrainingReporter(conditions.console, recipe.epochs) as reporter:
            artifact = train(recipe, task, run, reporter, resume=(run / "checkpoint.pt").is_file())
    network = network_of(artifact)
    nested, network.nested = network.nested, nn.Identity()
    train_rows = task.split.train
    own, *views = (
        features_of(recipe, task, network, rows, mirrored)
        for rows, mirrored in ((task.held_out, False), (train_rows, False), (train_rows, True))
    )
    people = HeldOut(task.manifest.take(task.held_out), task.manifest.take(train_rows))
    metrics = artifact.card.metrics
    watched = {"agreement": metrics.get("val_agreement"), "gap": metrics.get("val_gap")}
    classes, activation = task.classes_of(train_rows), network.student.activation
    return Described(people, own, np.stack(views), classes, activation, nested, watched)


def trained_on_frozen(conditions: Conditions, recipe: Recipe) -> Described:
    """Train descriptors on the features of the grid's artifact, and describe all pictures with them."""
    artifact = Path(conditions.grid.frozen or "")
    manifest = parse(conditions.data)
    held_out = held_out_pictures(manifest, load_artifact(artifact).card.training)
    others = manifest.split("train")
    others = others.rows((others.pids > 0) & ~np.isin(others.pids, held_out.identities()))
    if conditions.quick:
        others = others.rows(np.isin(others.pids, others.identities()[:24]))
    own, views = (
        pooled_features(artifact, pictures, recipe.augmentation, n_views, conditions.out, progress)
        for pictures, n_views, progress in _with_progress(conditions, (held_out, 1), (others, conditions.grid.views))
    )
    classes = np.searchsorted(others.identities(), others.pids)
    heads = train_heads(recipe, views, classes)
    student, teacher = described(heads, own[0])
    watched: dict[str, float | None] = {"agreement": None, "gap": None}
    if teacher is not None:
        agreement, gap = ((student > 0) == (teacher > 0)).mean(), np.abs(np.abs(student) - 1).mean()
        watched = {"agreement": float(agreement), "gap": float(gap)}
    heads.nested = nn.Identity()
    values, *of_views = (described(heads, each)[0] for each in (own[0], views[0], views[1]))
    people = HeldOut(held_out, others)
    return Described(people, values, np.stack(of_views), classes, heads.student.activation, None, watched)


def _with_progress(conditions: Conditions, *what: tuple[Manifest, int]) -> Iterator[tuple[Manifest, int, Any]]:
    for pictures, n_views in what:
        with progress_of(conditions.console, "encoding") as progress:
            yield pictures, n_views, progress


def scores_of(conditions: Conditions, recipe: Recipe, found: Described) -> dict[str, Any]:
    """Return the marks of a run's floats and codes."""
    n_bits, n_parts = recipe.network.n_bits, recipe.network.n_parts
    layout, lengths = code_layout(n_bits, n_parts), [n for n in LENGTHS if n <= n_bits]
    people, both = found.people, (found.own, found.views[0])
    own, others = (found.activation(torch.from_numpy(each)).numpy() for each in both)
    scores: dict[str, Any] = {
        "float": people.of_features(own, others),
        "cut": people.of_codes(pack(own, layout).interleaved(), pack(others, layout).interleaved(), lengths),
    }
    nested = found.nested
    if nested is None and conditions.grid.nested and n_bits >= 2 * SUMMARY.n_bits:
        nested = NestedMap(layout, n_parts)
        fit_nested(nested, found.views, found.classes, recipe.seed)
    if nested is not None:
        with torch.inference_mode():
            codes = [pack(nested(torch.from_numpy(each)).numpy()) for each in both]
        scores["nested"] = people.of_codes(codes[0], codes[1], lengths)
    return {"scores": scores, **found.watched}


def table_of(lines: list[dict[str, Any]], crowd: str, mark: str) -> Table:
    """Return a table of one mark in per cent, mean and standard deviation over seeds: a line a row of the grid and kind
    of code."""
    others = " with all training pictures as distractors" if crowd == "among" else ""
    table = Table(
        "row", "code", "float", *map(str, LENGTHS), "agreement", title=f"{mark} of held-out people{others}, per cent"
    )
    for name in dict.fromkeys(line["row"] for line in lines):
        of_row = [line for line in lines if line["row"] == name]
        for kind in ("cut", "nested"):
            if kind in of_row[0]["scores"]:
                agreements = [line["agreement"] for line in of_row if line["agreement"] is not None]
                agreement = statistics.mean(agreements) if agreements else None
                values = [[line["scores"]["float"][crowd][mark] for line in of_row]]
                for n in map(str, LENGTHS):
                    values.append(
                        [line["scores"][kind][n][crowd][mark] for line in of_row if n in line["scores"][kind]]
                    )
                cells = ["" if agreement is None else f"{agreement:.3f}"]
                table.add_row(relaxation_label(name, agreement), kind, *map(_spread, values), *cells)
    return table


def _spread(values: list[float]) -> str:
    if not values:
        return "-"
    spread = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.1f}{spread}"


def bars_of(lines: list[dict[str, Any]], claim: Claim) -> dict[str, dict[str, Any]]:
    """Return the bars of a claim, a row, length and kind of code each: how much mAP the row is ahead of the best rival.

    The difference is taken seed by seed, and its standard deviation over seeds subtracted from its mean.
    """

    def by_seed(name: str, kind: str, length: str) -> dict[int, float]:
        return {
            line["seed"]: line["scores"][kind][length]["among"]["mAP"]
            for line in lines
            if line["row"] == name and length in line["scores"].get(kind, {})
        }

    bars = {}
    for row, kind, length in itertools.product(claim.rows, ("cut", "nested"), map(str, LENGTHS)):
        ahead = by_seed(row, kind, length)
        margins = []
        for rival in claim.ahead_of if ahead else ():
            behind = by_seed(rival, kind, length)
            differences = [ahead[seed] - behind[seed] for seed in ahead]
            margins.append(statistics.mean(differences) - (statistics.stdev(differences) if len(ahead) > 1 else 0.0))
        if margins:
            name = f"{row} ahead beyond the spread, {length} bits, {kind}"
            bars[name] = {"value": min(margins), "bar": 0.0, "met": min(margins) > 0}
    return bars


if __name__ == "__main__":
    main()
