"""The training loop."""

import math
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from bitreid.arrays import Ints
from bitreid.data.samplers import pk_batches
from bitreid.errors import ArtifactError, SettingsError
from bitreid.losses import (
    attribute_loss,
    binary_gap,
    bit_agreement,
    distillation_loss,
    identity_loss,
    positive_weights,
    ssr_loss,
    triplet_loss,
)
from bitreid.models import HashingNetwork, ModelOutput
from bitreid.models.descriptors import IdentityClassifiers
from bitreid.models.parts import code_layout
from bitreid.training.augment import Augment
from bitreid.training.checkpoint import Position, load_checkpoint, save_checkpoint
from bitreid.training.recipe import Recipe
from bitreid.training.task import Task
from bitreid.training.teacher import TeacherModel
from bitreid.training.validation import validate


class Reporter(Protocol):
    """What `run_passes` tells of its progress."""

    def on_step(self, position: Position, n_steps: int, losses: dict[str, float], pictures_per_s: float) -> None:
        """After each batch: running means of the pass's named losses."""

    def on_epoch(self, record: dict[str, Any]) -> None:
        """After each pass: the record that also goes into the run's log."""


class Learner(nn.Module):
    """The network and what only training needs: identity classifiers."""

    def __init__(self, network: HashingNetwork, n_identities: int) -> None:
        super().__init__()
        self.network = network
        descriptors = ["student"] if network.teacher is None else ["student", "teacher"]
        self.classifiers = nn.ModuleDict(
            {name: IdentityClassifiers(network.layout, n_identities) for name in descriptors}
        )

    def forward(self, pictures: Tensor) -> tuple[ModelOutput, list[Tensor]]:
        output = self.network(pictures)
        logits = [each for name, head in self.classifiers.items() for each in head(getattr(output, name))]
        return output, logits


class Interrupted(Exception):
    """The run was asked to stop (Ctrl-C or SIGTERM) and has saved itself."""


def run_passes(
    recipe: Recipe,
    task: Task,
    network: HashingNetwork,
    run: Path,
    reporter: Reporter,
    resume: bool = False,
    start: Mapping[str, Tensor] | None = None,
    teacher: TeacherModel | None = None,
) -> None:
    """Train `network` in place; the run's folder gets `checkpoint.pt` after each pass.

    `start` is the state of another run's learner: its tensors that fit by name and shape, the teacher's and the
    classifiers' too, are the first values. `teacher` is a model to distil from.

    Each step's randomness depends on the seed and the step alone, so on one machine's CPU a resumed run equals an
    uninterrupted one. Raises `Interrupted` when asked to stop, after saving; `SettingsError` when the loss is no
    longer finite; `ArtifactError` when there is nothing that this recipe and task can resume.
    """
    training = _Training(recipe, task, network, start, teacher)
    checkpoint, position = run / "checkpoint.pt", training.position
    if resume:
        training.restore(checkpoint)
    with stop_requests() as stop:
        while position.epoch < recipe.epochs:
            batches = epoch_batches(recipe, task, position.epoch)
            training.learner.train()
            while position.step < len(batches):
                training.step(batches)
                reporter.on_step(position, len(batches), training.sums.means(), training.sums.rate())
                if stop.is_set():
                    training.save(checkpoint)
                    raise Interrupted
            record = training.end_pass()
            if len(task.split.query) and (
                position.epoch % recipe.validate_every == 0 or position.epoch == recipe.epochs
            ):
                record |= validate(recipe, task, network)
            reporter.on_epoch(record)
            training.save(checkpoint)


class _Training:
    """What changes as a run goes on: the learner, its optimiser, the position and the pass's running means."""

    def __init__(
        self,
        recipe: Recipe,
        task: Task,
        network: HashingNetwork,
        start: Mapping[str, Tensor] | None,
        teacher: TeacherModel | None,
    ) -> None:
        network.check_input(recipe.input.height, recipe.input.width)
        network.backbone_batch = recipe.backbone_batch
        if recipe.drop_path:
            network.set_drop_path(recipe.drop_path)
        self.recipe, self.task = recipe, task
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.bf16 = trains_in_bf16(recipe, self.device)
        torch.manual_seed(recipe.seed)
        self.learner = Learner(network, len(task.identities)).to(self.device)
        if start is not None:
            own = self.learner.state_dict()
            fitting = {name: value for name, value in start.items() if name in own and own[name].shape == value.shape}
            self.learner.load_state_dict(fitting, strict=False)
        self.teacher = None if teacher is None else teacher.to(self.device)
        self.optimiser = make_optimiser(recipe, self.learner)
        self.augment = Augment(recipe.augmentation, recipe.input).to(self.device)
        self.attribute_weights = self._on_device(positive_weights(torch.from_numpy(task.labels[task.split.train])))
        self.position, self.sums = Position(), RunningMeans()

    def step(self, batches: Sequence[Ints]) -> None:
        """Learn from the next of a pass's batches."""
        started = time.perf_counter()
        recipe, position, rows = self.recipe, self.position, batches[self.position.step]
        step = position.epoch * len(batches) + position.step
        epoch = step / len(batches)
        set_learning_rate(self.optimiser, recipe, epoch)
        torch.manual_seed(recipe.seed * 1_000_003 + step)
        classes, labels = (
            self._on_device(torch.from_numpy(each)) for each in (self.task.classes_of(rows), self.task.labels[rows])
        )
        pictures = self._pictures(rows)
        # Matrix products in bf16 where that is asked for; the losses and the weights stay in single precision.
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            output, logits = self.learner(pictures)
            taught = None if self.teacher is None else self.teacher(pictures)
        losses = step_losses(recipe, output, logits, classes, labels, self.attribute_weights, epoch, taught)
        torch.autograd.backward(losses["total"])
        self.optimiser.step()
        self.optimiser.zero_grad()
        position.step += 1
        values = {name: float(value.detach()) for name, value in losses.items()}
        if not math.isfinite(values["total"]):
            raise SettingsError(
                f"expected a finite loss, got {values['total']} in pass {position.epoch + 1}, "
                f"step {position.step}; lower learning_rate, or train with precision=fp32"
            )
        self.sums.add(values, len(rows), time.perf_counter() - started)

    def _pictures(self, rows: Ints) -> Tensor:
        pictures: Tensor = self.augment(self._on_device(torch.from_numpy(self.task.pictures[rows])))
        return pictures.contiguous(memory_format=torch.channels_last)

    def _on_device(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device)

    def _teacher_fingerprint(self) -> str | None:
        return None if self.teacher is None else self.teacher.fingerprint

    def end_pass(self) -> dict[str, Any]:
        """The record of the pass that is over; the position moves to the next."""
        record = {"epoch": self.position.epoch + 1, **self.sums.means(), "pictures_per_s": self.sums.rate()}
        self.position.epoch, self.position.step, self.sums = self.position.epoch + 1, 0, RunningMeans()
        return record

    def save(self, checkpoint: Path) -> None:
        """Write the whole state."""
        states = {
            "learner": self.learner.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "sums": self.sums.sums,
            "seconds": self.sums.seconds,
            "data": self.task.fingerprint(),
            "teacher": self._teacher_fingerprint(),
        }
        save_checkpoint(checkpoint, self.position, self.recipe, states)

    def restore(self, checkpoint: Path) -> None:
        """Take over a saved state; `ArtifactError` if another recipe, other data or another teacher made it."""
        position, states = load_checkpoint(checkpoint, self.recipe)
        if states["data"] != self.task.fingerprint():
            raise ArtifactError(
                f"expected the pictures and labels that {checkpoint} was made with, got others; "
                "resume with the old data, or start a new run"
            )
        teacher = states.get("teacher")  # older checkpoints have none
        if teacher != self._teacher_fingerprint():
            raise ArtifactError(
                f"expected the teacher that {checkpoint} was made with ({teacher or 'none'}), "
                f"got {self._teacher_fingerprint() or 'none'}; resume with that one, or start a new run"
            )
        self.learner.load_state_dict(states["learner"])
        self.optimiser.load_state_dict(states["optimiser"])
        self.position.epoch, self.position.step = position.epoch, position.step
        self.sums = RunningMeans(states["sums"], states["seconds"])


def step_losses(
    recipe: Recipe,
    output: ModelOutput,
    logits: list[Tensor],
    classes: Tensor,
    labels: Tensor,
    attribute_weights: Tensor,
    epoch: float,
    taught: Tensor | None = None,
) -> dict[str, Tensor]:
    """Return the named losses of a batch, scalars; `total` is minimised, `agreement` and `gap` are only watched.

    `taught` (N, d) is what another model, to distil from, makes of the pictures.
    """
    settings = recipe.losses
    descriptors = [each.float() for each in (output.student, output.teacher) if each is not None]
    losses = {
        "id": identity_loss([each.float() for each in logits], classes, settings.label_smoothing),
        "tri": _triplet_loss(descriptors, classes, settings.triplet_margin),
    }
    total = losses["id"] + losses["tri"]
    if settings.triplet_global:
        n_global = code_layout(recipe.network.n_bits, recipe.network.n_parts)[0].n_bits
        losses["tri_global"] = _triplet_loss(
            [each[:, :n_global] for each in descriptors], classes, settings.triplet_margin
        )
        total = total + settings.triplet_global * losses["tri_global"]
    if output.attribute_logits is not None:
        losses["attr"] = attribute_loss(output.attribute_logits.float(), labels, attribute_weights)
        total = total + settings.attribute_weight * losses["attr"]
    if output.teacher is not None:
        student, teacher = descriptors
        losses["ssr"] = ssr_loss(
            student, teacher, recipe.network.detach_teacher, classes if settings.ssr_consensus else None
        )
        total = total + ssr_weight(recipe, epoch) * losses["ssr"]
        losses["agreement"] = bit_agreement(student, teacher)
        losses["gap"] = binary_gap(student)
    if taught is not None:
        losses["distil"] = torch.stack([distillation_loss(each, taught.float()) for each in descriptors]).mean()
        total = total + settings.distil_weight * losses["distil"]
    return {"total": total, **losses}


def _triplet_loss(descriptors: Sequence[Tensor], classes: Tensor, margin: float) -> Tensor:
    return torch.stack([triplet_loss(each, classes, margin) for each in descriptors]).mean()


def ssr_weight(recipe: Recipe, epoch: float) -> float:
    """w_ssr after `epoch` passes (a fraction counts): a straight line up to the recipe's weight, then constant."""
    warmup = recipe.losses.ssr_warmup_epochs
    return recipe.losses.ssr_weight * (min(1.0, epoch / warmup) if warmup else 1.0)


def epoch_batches(recipe: Recipe, task: Task, epoch: int) -> list[Ints]:
    """The rows of each batch of a pass."""
    train = task.split.train
    batches = pk_batches(
        task.manifest.pids[train], recipe.identities_per_batch, recipe.pictures_per_identity, recipe.seed, epoch
    )
    return [train[batch] for batch in batches]


def make_optimiser(recipe: Recipe, learner: Learner) -> torch.optim.Optimizer:
    """The optimiser: matrices and kernels decay, biases and norms do not; the backbone has a rate of its own."""
    groups: list[dict[str, Any]] = []
    for of_backbone in (True, False):
        for decays in (True, False):
            params = [
                parameter
                for name, parameter in learner.named_parameters()
                if name.startswith("network.backbone.") == of_backbone and (parameter.ndim > 1) == decays
            ]
            factor = recipe.backbone_rate if of_backbone else 1.0
            groups.append({"params": params, "factor": factor, "weight_decay": recipe.weight_decay if decays else 0.0})
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)


def set_learning_rate(optimiser: torch.optim.Optimizer, recipe: Recipe, epoch: float) -> None:
    """Set the rate of each group after `epoch` passes (a fraction counts): a straight line up, then a cosine to 0."""
    if epoch < recipe.warmup_epochs:
        share = (epoch + 0.01) / recipe.warmup_epochs
    else:
        share = 0.5 + 0.5 * math.cos(math.pi * (epoch - recipe.warmup_epochs) / (recipe.epochs - recipe.warmup_epochs))
    for group in optimiser.param_groups:
        group["lr"] = recipe.learning_rate * share * group["factor"]


class RunningMeans:
    """Means of named values over the pictures of a pass so far."""

    def __init__(self, sums: dict[str, float] | None = None, seconds: float = 0.0) -> None:
        self.sums = dict(sums or {})
        self.seconds = seconds

    def add(self, values: dict[str, float], n: int, seconds: float) -> None:
        self.sums["n"] = self.sums.get("n", 0.0) + n
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * n
        self.seconds += seconds

    def means(self) -> dict[str, float]:
        return {name: value / self.sums["n"] for name, value in self.sums.items() if name != "n"}

    def rate(self) -> float:
        """Pictures a second."""
        return self.sums["n"] / max(self.seconds, 1e-9)


@contextmanager
def stop_requests() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets, so that a step can end and the run be saved. Main thread only."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    old = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def trains_in_bf16(recipe: Recipe, device: torch.device) -> bool:
    """Return whether matrix products run in bf16 on the device."""
    if recipe.precision != "auto":
        return recipe.precision == "bf16"
    # On CPUs dense networks are twice as fast in bf16 where there are instructions for it. Depthwise ones are half as
    # fast again with AMX (benchmarks/accuracy/step.py), slower without; whether they learn as well was not measured.
    dense = recipe.network.backbone in ("resnet18", "resnet50")
    return device.type == "cuda" or (dense and _cpu_has_bf16())


def _cpu_has_bf16() -> bool:
    if not hasattr(os, "sched_getaffinity"):
        return False
    return "avx512_bf16" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
