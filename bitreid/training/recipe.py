"""Recipes: how a training run goes, from a YAML file. What depends on the pictures is none of theirs."""

import difflib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import pydantic
import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator, with_config

from bitreid.artifact import InputSpec
from bitreid.errors import ArtifactError, DataWarning, SettingsError
from bitreid.models import NetworkSettings
from bitreid.text import brief, shown


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


# A card's dataclass knows nothing of pydantic; in a recipe it is shown and checked as the other settings are.
with_config(_Settings.model_config)(InputSpec)


class AugmentationSettings(_Settings):
    """Random changes of training pictures, drawn anew for each picture."""

    flip: float = Field(0.5, ge=0, le=1)
    """Probability of a mirror image."""
    pad: int = Field(10, ge=0)
    """Pixels of padding before a crop at the old size; 0: none."""
    scale: float = Field(0.0, ge=0, le=0.5)
    """People in half of the pictures shrink or grow by up to this share of their width, and of their height."""
    erase: float = Field(0.5, ge=0, le=1)
    """Probability of random erasing (Zhong et al., AAAI 2020)."""
    colour: float = Field(0.15, ge=0, le=0.5)
    """Strength of colour changes: brightness moves by up to this (white is 1), contrast and saturation are scaled by
    1 +- this, hue turns by up to a tenth of it (a full circle is 1)."""
    grey: float = Field(0.0, ge=0, le=1)
    """Probability of a patch without colour (Gong et al., CVPRW 2021): people must be told apart by more than it."""


class LossSettings(_Settings):
    """Weights and constants of `L_id + L_tri + w_attr * L_attr + w_ssr * L_ssr + w_distil * L_distil`."""

    label_smoothing: float = Field(0.1, ge=0, lt=1)
    """Share of an identity's target spread over all."""
    triplet_margin: float = Field(0.3, ge=0)
    """Between descriptors of unit length."""
    triplet_global: float = Field(0.0, ge=0)
    """Weight of a second triplet loss, of the global part's bits alone."""
    attribute_weight: float = Field(1.0, ge=0)
    """w_attr."""
    ssr_weight: float = Field(2.0, ge=0)
    """w_ssr, after its warm-up. Large weights (20) make a network that starts from random weights collapse: signs are
    easiest to copy when all pictures have the same."""
    ssr_warmup_epochs: float = Field(5.0, ge=0)
    """Passes over which w_ssr rises from 0 in a straight line."""
    ssr_consensus: bool = False
    """SSR: the student learns the signs of the teacher's mean over the pictures of an identity in the batch, not the
    signs of each picture alone."""
    distil_weight: float = Field(30.0, gt=0)
    """w_distil, where there is a model to learn from (`--teacher`): pictures are to be as alike as they are to it."""


class Recipe(_Settings):
    """A training run."""

    name: str
    """Names the run and its artifact."""
    notes: str = ""
    """What a reader of the card should know about this way of training; what the pictures are, their data says."""
    network: NetworkSettings = NetworkSettings()
    """What the network is made of."""
    weights: str = "none"
    """Where the backbone starts: `none` (random), `imagenet`, or a file of torchvision's weights."""
    input: InputSpec = InputSpec()
    """How pictures are prepared."""
    augmentation: AugmentationSettings = AugmentationSettings()
    """Random changes of training pictures."""
    losses: LossSettings = LossSettings()
    """Weights of the losses."""
    epochs: int = Field(60, ge=1)
    """Passes over the training pictures."""
    identities_per_batch: int = Field(16, ge=2)
    """P of the P x K sampler."""
    pictures_per_identity: int = Field(4, ge=2)
    """K of the P x K sampler."""
    optimiser: Literal["adamw", "sgd"] = "adamw"
    """AdamW, or SGD with Nesterov momentum 0.9."""
    learning_rate: float = Field(7e-4, gt=0)
    """At the end of the warm-up; a cosine leads to 0."""
    backbone_rate: float = Field(1.0, ge=0, le=1)
    """The backbone's learning rate as a share of `learning_rate`."""
    weight_decay: float = Field(5e-4, ge=0)
    """Of matrices and kernels; biases and norms have none."""
    drop_path: float = Field(0.0, ge=0, lt=1)
    """Probability that a picture skips a block of an EfficientNet-Lite, the last one; less for those before (stochastic
    depth). Other backbones refuse it."""
    warmup_epochs: float = Field(2.0, ge=0)
    """Passes over which the learning rate rises in a straight line."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 on a GPU and for ResNets on CPUs with bf16 instructions, else fp32."""
    backbone_batch: int = Field(0, ge=0)
    """Pictures that pass the backbone at once, 0: all. In training each batch norm then sees that many pictures."""
    held_out_identities: int = Field(60, ge=0)
    """Training identities kept for validation; 0: none."""
    validate_every: int = Field(5, ge=1)
    """Passes between validations; the last pass always has one."""
    int8: bool = True
    """Whether the run also ends with an engine of 8 bits, beside the exported network, if that is within its limits."""
    seed: int = Field(0, ge=0, le=2**32 - 1)
    """Decides the split, the batches, the augmentation and the first weights."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"expected warmup_epochs below epochs, got {self.warmup_epochs} and {self.epochs}; lower it, too"
            )
        return self


class Setting(NamedTuple):
    """A setting of recipes: its name as `--set` has it, its value in a recipe or its default, what it means, and the
    values that it can have where those are few. A value of None has to be given."""

    name: str
    value: Any
    meaning: str
    choices: tuple[str, ...]


def settings(recipe: Recipe | None = None) -> list[Setting]:
    """Return every setting with its value in `recipe`, or its default; those of a group as `group.name`."""
    schema = Recipe.model_json_schema()
    kinds = schema["$defs"]

    def of(kind: dict[str, Any], group: str, values: dict[str, Any]) -> list[Setting]:
        found = []
        for name, field in kind["properties"].items():
            inner = kinds.get(field.get("$ref", "").rpartition("/")[2])
            if inner is not None and "properties" in inner:
                found += of(inner, f"{group}{name}.", values.get(name, {}))
                continue
            meaning = " ".join(field.get("description", "").split())
            value = values.get(name, field.get("default"))
            found.append(Setting(group + name, value, meaning, tuple((inner or field).get("enum", ()))))
        return found

    return of(schema, "", {} if recipe is None else recipe.model_dump(mode="json"))


def shipped_recipes() -> list[Path]:
    """Return the files of the recipes that bitreid ships, by name."""
    folders = (Path(__file__).parents[2] / "recipes", Path(__file__).parents[1] / "recipes")  # a checkout, a wheel
    return sorted((path for folder in folders for path in folder.glob("*.yaml")), key=lambda path: path.stem)


def recipe_path(name: str) -> Path:
    """Return the file of a recipe: `name` is a path, or the name of one that bitreid ships (`drawn_tiny`)."""
    shipped = {path.stem: path for path in shipped_recipes()}
    if not Path(name).is_file() and name not in shipped:
        raise SettingsError(f"expected a recipe's file, or one of {', '.join(shipped)}, got {name!r}")
    return Path(name) if Path(name).is_file() else shipped[name]


class _Loader(yaml.SafeLoader):
    """Safe YAML with a limit on brackets within brackets: PyYAML's time grows with the square of their number."""

    def fetch_flow_collection_start(self, token: type[yaml.Token]) -> None:
        if self.flow_level >= _MOST_BRACKETS:
            raise yaml.YAMLError(f"brackets stand more than {_MOST_BRACKETS} deep in each other")
        super().fetch_flow_collection_start(token)


def _parsed(text: str) -> Any:
    """Return the values of a text in YAML; nothing in it is run."""
    return yaml.load(text, _Loader)


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Return the recipe called `name` (see `recipe_path`), changed by overrides such as `network.n_bits=512`."""
    path = recipe_path(name)
    try:
        values = _parsed(path.read_text(encoding="utf-8"))
    # PyYAML raises whatever Python does for an impossible date, a tag on something else or endless nesting.
    except Exception as error:
        raise SettingsError(f"expected a recipe in YAML at {path}, could not read it: {brief(error)}") from error
    if not isinstance(values, dict):
        raise SettingsError(f"expected settings with names in {path}, got {type(values).__name__}")
    for override in overrides:
        _apply(values, override)
    if old := [name for name in _RETIRED if values.get(name)]:
        warnings.warn(
            f"passing over {' and '.join(old)} in {path}: what depends on the pictures comes from their folder's "
            "about.json, or from `bitreid train --licence`, `--licence-file` and `--notes`",
            DataWarning,
            stacklevel=2,
        )
    return make_recipe(values)


def make_recipe(values: dict[str, Any]) -> Recipe:
    """Return the recipe with these settings; a `SettingsError` names each impossible one.

    What older recipes said of their data is passed over.
    """
    values = {name: value for name, value in values.items() if name not in _RETIRED}
    try:
        return Recipe.model_validate(values)
    except pydantic.ValidationError as error:
        raise SettingsError(f"expected a valid recipe; {faults_of(error)}") from error
    except ArtifactError as error:  # of the input, which a card holds too
        raise SettingsError(f"expected a valid recipe; {error}") from error


def faults_of(error: pydantic.ValidationError) -> str:
    """Return a line that names each setting at fault, what is wrong with it and its value."""
    lines = []
    for fault in error.errors():
        name = ".".join(map(str, fault["loc"]))
        what = _FAULTS.get(fault["type"], fault["msg"]).removeprefix("Value error, ")
        line = f"{name}: {what}" if name else what
        line += "" if isinstance(fault["input"], dict) else f", got {shown(fault['input'])}"
        near = _near(name) if fault["type"] in _NO_SUCH else []
        lines.append(line + (f" (did you mean {' or '.join(near)}?)" if near else ""))
    return "; ".join(lines)


def _near(name: str) -> list[str]:
    """Return the names of settings that somebody who wrote `name` may have meant: in another group, or misspelt."""
    names = [setting.name for setting in settings()]
    known = [*names, *{each.partition(".")[0] for each in names if "." in each}]
    *_, last = name.split(".")
    elsewhere = [each for each in known if each.split(".")[-1] == last]
    if elsewhere:
        return elsewhere
    by_last = {each.split(".")[-1]: each for each in known}
    return difflib.get_close_matches(name, known, 1, 0.75) or [
        by_last[each] for each in difflib.get_close_matches(last, by_last, 1, 0.75)
    ]


_MOST_BRACKETS = 30
_RETIRED = ("licence", "licence_text")
_NO_SUCH = ("extra_forbidden", "unexpected_keyword_argument")
_FAULTS = {
    "extra_forbidden": "there is no such setting",
    "unexpected_keyword_argument": "there is no such setting",
    "missing": "this setting is missing",
}


def _apply(values: dict[str, Any], override: str) -> None:
    name, sign, text = override.partition("=")
    if not sign:
        raise SettingsError(f"expected a change of a setting as name=value, e.g. network.n_bits=512, got {override!r}")
    *rooms, last = name.strip().split(".")
    for room in rooms:
        values = values.setdefault(room, {})
        if not isinstance(values, dict):
            raise SettingsError(f"expected {room!r} in {override!r} to be a group of settings, got a single value")
    try:
        values[last] = _parsed(text)
    except Exception as error:
        raise SettingsError(
            f"expected a value in YAML in {shown(override)}, could not read it: {brief(error)}"
        ) from error
