"""Features as another toolkit has them, of people who are easy to tell apart, and the files that it writes."""

from pathlib import Path
from typing import Any

import numpy as np

from bitreid.arrays import Floats32
from bitreid.data.manifest import Manifest
from bitreid.encoding.imported.features import FeatureSet

D = 64


def features_of(n_people: int = 30, first: int = 1, seed: int = 0, relu: bool = False) -> FeatureSet:
    """Eight pictures of each person by two cameras, named as Market-1501 names them."""
    rng = np.random.default_rng(seed)
    directions = np.random.default_rng(99).normal(size=(10, D))
    pids = np.repeat(np.arange(first, first + n_people), 8)
    camids = np.tile(np.repeat([1, 2], 4), n_people)
    people = np.random.default_rng(5).normal(size=(1000, 10)) @ directions
    features = people[pids] + 4 * rng.normal(size=(len(pids), D))
    features = np.maximum(features, 0) if relu else features
    paths = tuple(
        Path(f"{pid:04}_c{cam}s1_{i:06}_00.jpg") for i, (pid, cam) in enumerate(zip(pids, camids, strict=True))
    )
    manifest = Manifest(paths, pids.astype(np.int64), camids.astype(np.int64), ("gallery",) * len(pids))
    return FeatureSet(features.astype(np.float32), manifest)


def written(found: FeatureSet, path: Path) -> tuple[Path, Path]:
    """An `.npy` and the list of names beside it."""
    np.save(path, found.features)
    names = path.with_suffix(".txt")
    names.write_text("".join(f"data/query/{each}\n" for each in found.manifest.paths), encoding="utf-8")
    return path, names


def as_market_mat(query: FeatureSet, gallery: FeatureSet) -> dict[str, Any]:
    """The variables of the file that evaluation code of Market-1501 reads."""
    found: dict[str, Any] = {}
    for side, each in (("gallery", gallery), ("query", query)):
        found[f"{side}_f"] = each.features
        found[f"{side}_label"] = each.manifest.pids.tolist()
        found[f"{side}_cam"] = each.manifest.camids.tolist()
    return found


def random_features(n: int, seed: int) -> Floats32:
    return np.random.default_rng(seed).normal(size=(n, D)).astype(np.float32)
