"""What a run learns from: pictures, identities and attributes, and the identities held out of them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bitreid.arrays import Ints
from bitreid.data.about import NOTHING_TOLD, Facts, about_of
from bitreid.data.attributes import AttributeSchema, AttributeTable
from bitreid.data.labels import read_attributes
from bitreid.data.manifest import Manifest
from bitreid.data.parsers import parse
from bitreid.data.pictures import PictureStore, Progress
from bitreid.data.samplers import ValidationSplit, check_training_identities, hold_out_identities, split_validation
from bitreid.errors import DataError, SettingsError
from bitreid.text import printable
from bitreid.training.recipe import Recipe


@dataclass(frozen=True)
class Task:
    """A training set, ready for `run_passes`.

    manifest    the rows of the split `train` that show a known person
    pictures    their pixels, by row
    split       rows that train, and the validation queries and gallery (empty when nothing is held out)
    identities  (n_identities,) pids that train, sorted: the classes
    schema      of the attributes, None without
    labels      (n, A) int8, the attributes of each row; A is 0 without
    source      where the data came from, for the card
    about       what somebody told about the data, for the card
    """

    manifest: Manifest
    pictures: PictureStore
    split: ValidationSplit
    identities: Ints
    schema: AttributeSchema | None
    labels: npt.NDArray[np.int8]
    source: str
    about: Facts = NOTHING_TOLD

    @property
    def held_out(self) -> Ints:
        """The rows of the held-out identities: the validation queries, then their gallery."""
        return np.concatenate([self.split.query, self.split.gallery])

    def classes_of(self, rows: Ints) -> Ints:
        """Return the class (position in `identities`) of each training row."""
        return np.searchsorted(self.identities, self.manifest.pids[rows])

    def fingerprint(self) -> str:
        """Return 16 hex digits that differ for other pictures (by file name), identities, cameras or labels."""
        names = "\n".join(path.name for path in self.manifest.paths).encode("utf-8", "surrogateescape")
        numbers = (self.manifest.pids, self.manifest.camids, self.labels)
        return hashlib.sha256(b"".join([names, *(array.tobytes() for array in numbers)])).hexdigest()[:16]


def prepare_task(
    recipe: Recipe,
    manifest: Manifest,
    attributes: AttributeTable | None,
    source: str,
    progress: Progress | None = None,
    about: Facts = NOTHING_TOLD,
) -> Task:
    """Return the training set of a recipe from a manifest's split `train` and its attribute labels."""
    if recipe.network.attributes and attributes is None:
        raise SettingsError(
            "expected attribute labels, got none; give them with --attributes FILE, "
            "or train without: --set network.attributes=false --set network.attention=false"
        )
    manifest = manifest.split("train")
    manifest = manifest.rows(manifest.pids > 0)
    check_training_identities(manifest)
    if recipe.held_out_identities:
        held_out = hold_out_identities(manifest.pids, recipe.held_out_identities, recipe.seed)
        split = split_validation(manifest, held_out)
    else:
        none = np.empty(0, dtype=np.int64)
        split = ValidationSplit(np.arange(len(manifest)), none, none)
    pictures = PictureStore(manifest.paths, recipe.input.height, recipe.input.width, progress=progress)
    identities = np.unique(manifest.pids[split.train])
    schema = None
    labels = np.zeros((len(manifest), 0), dtype=np.int8)
    if attributes is not None and recipe.network.attributes:
        schema = attributes.with_code_bits(identities).schema
        labels = attributes.labels_of(manifest.pids)
    return Task(manifest, pictures, split, identities, schema, labels, source, about)


def task_from(
    recipe: Recipe,
    data: Path,
    attributes: Path | None,
    progress: Progress | None = None,
    pattern: str | None = None,
) -> Task:
    """Return the training set in a folder or CSV; attribute labels from their file, else from the one beside the data.

    With a `pattern` the data is a folder of pictures that all train, identity and camera in their names.
    """
    manifest = parse(data, pattern, "train")
    table = None
    labels = attributes or attributes_beside(data)
    if recipe.network.attributes and labels is not None:
        try:
            table = read_attributes(labels, manifest.identities(), manifest.split("train").identities())
        except DataError as error:
            if attributes is not None:
                raise
            raise DataError(
                f"{error}; this file lies beside the data: name another with --attributes, or train without: "
                "--set network.attributes=false --set network.attention=false"
            ) from error
    return prepare_task(recipe, manifest, table, printable(data.resolve().name), progress, about_of(data))


def attributes_beside(data: Path) -> Path | None:
    """Return the file of training attributes that lies in a data set's folder (or beside its CSV), if there is one."""
    folder = data if data.is_dir() else data.parent
    names = ("attributes_train.csv", "market_attribute.mat", "duke_attribute.mat")
    return next((folder / name for name in names if (folder / name).is_file()), None)
