"""A training run from a recipe to an artifact: the folder, the start, the end."""

import copy
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from bitreid.artifact import Artifact, Card, fingerprint, load_artifact, save_artifact
from bitreid.data.files import new_file
from bitreid.encoding.calibrating import spaced
from bitreid.errors import ArtifactError, DataWarning, SettingsError
from bitreid.models import HashingNetwork, build_network, load_backbone_weights
from bitreid.training.attributes import fit_attributes
from bitreid.training.checkpoint import load_learner
from bitreid.training.export import UNTOLD, deployed_weights, environment, make_card, start_from
from bitreid.training.exporting import INT8, ONNX, Known, export_engine, known_from
from bitreid.training.exporting.proof import MOST_CALIBRATED
from bitreid.training.fit import Reporter, run_passes
from bitreid.training.memory import keep_freed_memory
from bitreid.training.nested import nest
from bitreid.training.recipe import Recipe, load_recipe
from bitreid.training.task import Task
from bitreid.training.teacher import TeacherModel
from bitreid.training.twin import as_twin, twin_of, with_twin
from bitreid.training.validation import calibrated, validate, validate_lengths

LICENCE = "LICENSE"
"""The file with a licence's text, in a run's folder as in an artifact."""
_MOST_TEXT = 2**20  # bytes of one, or of the record of a run


def train(
    recipe: Recipe,
    task: Task,
    run: Path,
    reporter: Reporter,
    *,
    resume: bool = False,
    init: Path | None = None,
    teacher: Path | None = None,
    twin: Path | None = None,
    backbone: nn.Module | None = None,
) -> Artifact:
    """Train a network and return its artifact, saved in `run/artifact`.

    The folder `run` holds the effective recipe, a record of what made it (versions, commit, what was told about the
    data), a log of JSON lines and the checkpoint; and a LICENSE where the data or the first weights have one.
    `resume` continues a stopped run exactly; `init` starts from an artifact's weights, or from all that another run's
    folder has learned, its teacher and classifiers too (a next stage on the same identities, say with larger
    pictures); `teacher` is an artifact (or the folder of a run that has one) to distil from, which a run that is
    resumed needs again; `twin`, where the recipe holds nobody out, is a model of the same recipe that did, whose
    calibration and scores the card takes over; `backbone` is the caller's module where the recipe says `custom`. Raises
    `fit.Interrupted` when stopped, with the state saved.
    """
    check_run_folder(run, resume)
    if twin is not None and recipe.held_out_identities:
        raise SettingsError(
            f"expected nobody held out where a twin is given, got {recipe.held_out_identities}; "
            "add --set held_out_identities=0, or leave --twin out"
        )
    twins = None if twin is None else twin_of(twin)
    if twins is not None:
        task = as_twin(task, twins)
        with_twin(make_card(recipe, task, {}, {}), twins)  # it refuses another kind of model before hours of training
    keep_freed_memory()
    start, first = None, init
    if init is not None and (init / "checkpoint.pt").is_file():
        start, init = load_learner(init / "checkpoint.pt", recipe.network.backbone, task.fingerprint()), None
    if teacher is not None and not (teacher / "card.json").is_file() and (teacher / "artifact").is_dir():
        teacher = teacher / "artifact"
    taught_by = None if teacher is None else TeacherModel(teacher, recipe.input)
    network = first_network(recipe, task, init, backbone)
    if not resume:
        _begin(run, recipe, task, {"init": first, "teacher": teacher})
    log = _Log(run / "log.jsonl", reporter, resume)
    run_passes(recipe, task, network, run, log, resume, start, taught_by)
    metrics = {name: value for name, value in log.last.items() if name.startswith("val_")}
    return finish(recipe, task, network, run, metrics, twins)


def average(runs: Sequence[Path], task: Task, out: Path, *, backbone: nn.Module | None = None) -> Artifact:
    """Return an artifact, saved in `out/artifact`, of the mean of the weights that runs have learned.

    The runs are of one network, each but the first a stage that started from another of them: weights of runs that have
    nothing in common do not average (Wortsman et al., Model soups, ICML 2022). All else is as in the last run's recipe;
    `backbone` is the caller's module where that says `custom`.
    `SettingsError` for other networks, `ArtifactError` for a run without a checkpoint.
    """
    if len(runs) < 2:
        raise SettingsError(f"expected two runs or more to average, got {len(runs)}")
    check_run_folder(out, resume=False)
    recipes = [load_recipe(str(run / "recipe.yaml")) for run in runs]
    recipe = recipes[-1]
    for run, other in zip(runs, recipes, strict=True):
        if other.network != recipe.network:
            raise SettingsError(
                f"expected runs of one network, got other settings of it in {run} than in {runs[-1]}; "
                "average stages of one training"
            )
    learned = [load_learner(run / "checkpoint.pt", recipe.network.backbone, task.fingerprint()) for run in runs]
    network = build_network(recipe.network, len(task.schema) if task.schema else 0, backbone)
    own = network.state_dict()
    for name, value in own.items():
        found = [each[f"network.{name}"] for each in learned if f"network.{name}" in each]
        if len(found) < len(runs) or any(each.shape != value.shape for each in found):
            raise SettingsError(f"expected runs that learned {name} of the same people and attributes, got others")
        own[name] = torch.stack(found).mean(0) if value.is_floating_point() else found[-1]
    network.load_state_dict(own)
    _begin(out, recipe, task, {f"averaged_{i}": run for i, run in enumerate(runs, 1)})
    return finish(recipe, task, network, out, validate(recipe, task, network) if len(task.split.query) else {})


def finish(
    recipe: Recipe,
    task: Task,
    network: HashingNetwork,
    run: Path,
    metrics: dict[str, float],
    twin: Card | None = None,
) -> Artifact:
    """Return the artifact of a trained network, saved in `run/artifact`: its second attribute head and nested map
    fitted, calibrated and exported.

    A network trained on all people takes what held-out ones would say from the card of its twin, if it has one:
    as many attribute heads, too.
    """
    made_with = _made_with(run)
    card = make_card(recipe, task, metrics, made_with)
    if task.schema is not None and (twin is None or twin.training.get("attribute_heads") == 2):
        n_heads = 2 if fit_attributes(recipe, task, network) else 1
        card = replace(card, training=card.training | {"attribute_heads": n_heads})
    if recipe.network.nested:
        network.nested = nest(recipe, task, network)
        scores = validate(recipe, task, network) if len(task.split.query) else {}
        card = replace(card, metrics=metrics | scores, lengths=validate_lengths(recipe, task, network))
    card = calibrated(card, task, network) if twin is None else with_twin(card, twin)
    text = (run / LICENCE).read_text(encoding="utf-8") if (run / LICENCE).is_file() else None
    artifact = save_artifact(run / "artifact", card, deployed_weights(network, half=True), text)
    own = copy.deepcopy(network.backbone).cpu() if recipe.network.backbone == "custom" else None
    known = _known(task)
    for engine in (ONNX, INT8) if recipe.int8 else (ONNX,):
        try:
            artifact = replace(artifact, card=export_engine(run / "artifact", engine, known, own))
        except ArtifactError as error:  # the model is there, and PyTorch runs it
            text = f"the model was saved, but not exported as {engine}: {error}"
            warnings.warn(text, DataWarning, stacklevel=2)
            break
    return artifact


def _known(task: Task) -> Known:
    """Return the held-out people, to prove exported engines on, and pictures of the others to quantise with."""
    training = task.split.train[spaced(len(task.split.train), MOST_CALIBRATED)]
    people = task.manifest.take(task.held_out)
    return known_from(task.pictures[task.held_out], task.pictures[training], people, task.source)


def _begin(run: Path, recipe: Recipe, task: Task, models: Mapping[str, Path | None]) -> None:
    """Write what a new run's folder says from the start: its recipe, what made it, and licences.

    `models` says which it starts from and learns from, by name.
    """
    run.mkdir(parents=True, exist_ok=True)
    settings = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)
    (run / "recipe.yaml").write_text(settings, encoding="utf-8")
    given = {name: path for name, path in models.items() if path is not None}
    origins = {name: _origin(path) for name, path in given.items()}
    record = environment() | origins | _told(recipe, task, origins)
    (run / "environment.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    licences = [task.about.licence_text, *(text for path in given.values() for text in _licence_texts(path))]
    if any(licences):
        # Several of them may have one licence.
        (run / LICENCE).write_text("\n".join(dict.fromkeys(filter(None, licences))), encoding="utf-8")


def _origin(model: Path) -> dict[str, str]:
    """Return what the card says of the model that a run started or learns from: its name, licence and fingerprint.

    A run that was stopped has no artifact, so no fingerprint.
    """
    if (model / "checkpoint.pt").is_file():
        if not (model / "artifact").is_dir():
            recipe = load_recipe(str(model / "recipe.yaml"))
            return {"name": recipe.name, "licence": str(_made_with(model).get("licence", UNTOLD))}
        model = model / "artifact"
    card = load_artifact(model).card
    return {"name": card.name, "licence": card.licence, "fingerprint": fingerprint(card)}


def _told(recipe: Recipe, task: Task, origins: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return the licence and notes for the card: what is true of the recipe, the data and the models before it."""
    licence = task.about.licence or UNTOLD
    for name, origin in origins.items():
        how = {"init": "started from", "teacher": "distilled from"}.get(name, "averaged from")
        licence += f"; {how} {origin['name']}: {origin['licence']}"
    return {"licence": licence, "notes": " ".join(filter(None, [recipe.notes, task.about.notes]))}


def _licence_texts(model: Path) -> list[str]:
    """Return the text of the licence of the weights that a run starts or learns from, if they have one."""
    found = (path for path in (model / LICENCE, model / "artifact" / LICENCE) if path.is_file())
    return [_text_of(path) for path in found][:1]


def _made_with(run: Path) -> dict[str, Any]:
    """Return the record of what made a run; `ArtifactError` where there is none."""
    path = run / "environment.json"
    try:
        record = json.loads(_text_of(path))
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise ArtifactError(f"expected the record of a run at {path}, got something else; use a run's whole folder")
    return record


def _text_of(path: Path) -> str:
    """Return the text of a small file of a run's folder; `ArtifactError` where it is none."""
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_TEXT + 1)
        if len(text) <= _MOST_TEXT:
            return text.decode()
    except (OSError, UnicodeDecodeError):
        pass
    raise ArtifactError(f"expected a text of at most {_MOST_TEXT} bytes at {path}, got none; use a run's whole folder")


def check_run_folder(run: Path, resume: bool) -> None:
    """Check that a run can start in the folder, or be resumed there; `SettingsError` if not."""
    if resume and not (run / "checkpoint.pt").is_file():
        raise SettingsError(f"expected a stopped run to resume in {run}, found no checkpoint; start without --resume")
    if not resume and any((run / name).exists() for name in ("checkpoint.pt", "artifact")):
        raise SettingsError(
            f"expected an empty folder for the run, {run} holds one; continue it with --resume or choose another"
        )


def first_network(recipe: Recipe, task: Task, init: Path | None, backbone: nn.Module | None) -> HashingNetwork:
    """Return the network that a run starts from: random weights, published ones in the backbone, or an artifact's."""
    torch.manual_seed(recipe.seed)
    network = build_network(recipe.network, len(task.schema) if task.schema else 0, backbone)
    if recipe.weights != "none":
        load_backbone_weights(network.backbone, recipe.network.backbone, recipe.weights)
    if init is not None and (kept := start_from(network, task.schema, load_artifact(init))):
        parts = sorted({name.split(".")[0].replace("_", " ") for name in kept})
        warnings.warn(
            f"{len(kept)} tensors of the network start with random values, as {init} has none that fit, in: "
            f"{', '.join(parts)}",
            DataWarning,
            stacklevel=3,
        )
    return network


class _Log:
    """Writes each pass's record as a JSON line and passes everything on to the caller's reporter."""

    def __init__(self, path: Path, reporter: Reporter, resume: bool) -> None:
        self.path = path
        self.on_step = reporter.on_step
        self.reporter = reporter
        self.records: list[dict[str, Any]] = []
        if resume and path.exists():
            self.records = _read_log(path)
        else:
            self._write()

    @property
    def last(self) -> dict[str, Any]:
        """The record of the last pass; empty before the first."""
        return self.records[-1] if self.records else {}

    def on_epoch(self, record: dict[str, Any]) -> None:
        # A run killed between this record and its checkpoint does the pass again when it is resumed.
        self.records = [each for each in self.records if each["epoch"] < record["epoch"]] + [record]
        self._write()
        self.reporter.on_epoch(record)

    def _write(self) -> None:
        with new_file(self.path) as unfinished:
            unfinished.write_text("".join(json.dumps(record) + "\n" for record in self.records), encoding="utf-8")


def _read_log(path: Path) -> list[dict[str, Any]]:
    records = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            record = json.loads(line)
            records.append(dict(record, epoch=int(record["epoch"])))
        except (ValueError, TypeError, KeyError) as error:
            raise ArtifactError(
                f"expected the record of a pass in {path}, line {number}, got {line[:40]!r}; remove that line"
            ) from error
    return records
