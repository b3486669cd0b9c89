"""Which rows go into a batch, and which identities are held out for validation; the seed decides both."""

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bitreid.arrays import Ints
from bitreid.data.manifest import UNKNOWN, Manifest
from bitreid.errors import DataError, DataWarning, SettingsError


def pk_batches(pids: npt.NDArray[np.int64], n_identities: int, n_pictures: int, seed: int, epoch: int) -> list[Ints]:
    """The batches of one epoch, each `(n_identities * n_pictures,)` row numbers, the rows of an identity side by side.

    `pids` (n,) is the identity of each row; rows with pid <= 0 (junk, distractors, unknown) are never drawn. The
    batches depend on the arguments only, so that a resumed run draws what the interrupted one would have drawn.

    Each identity's pictures are shuffled and cut into chunks of `n_pictures`, the last one filled up with its first
    pictures (repeated if the identity has fewer than `n_pictures`). Every chunk is used once, in as few batches of
    different identities as that needs: `max(ceil(chunks / n_identities), most chunks of one identity)`. Where a batch
    finds too few identities with a chunk left, others give one more, at random.
    """
    if n_identities < 1 or n_pictures < 1 or seed < 0 or epoch < 0:
        raise SettingsError(
            f"expected n_identities and n_pictures of at least 1, seed and epoch of at least 0, "
            f"got {n_identities}, {n_pictures}, {seed}, {epoch}"
        )
    rng = np.random.default_rng([seed, epoch])
    chunks = [_chunks(rows, n_pictures, rng) for rows in _rows_by_identity(pids)]
    if len(chunks) < n_identities:
        raise DataError(
            f"expected at least {n_identities} identities for batches of {n_identities} x {n_pictures}, "
            f"got {len(chunks)}; use more data or smaller batches"
        )
    left = np.array([len(of_identity) for of_identity in chunks])
    n_batches = max(-(-int(left.sum()) // n_identities), int(left.max()))
    batches = []
    for batches_left in range(n_batches, 0, -1):
        chosen = _choose_identities(left, n_identities, batches_left, rng)
        # An identity without a chunk left shows a random one of its chunks again.
        parts = [chunks[i][left[i] - 1 if left[i] else rng.integers(len(chunks[i]))] for i in chosen]
        left[chosen] = np.maximum(left[chosen] - 1, 0)
        batches.append(np.concatenate(parts))
    return batches


def _rows_by_identity(pids: npt.NDArray[np.int64]) -> list[Ints]:
    """The rows of each real identity, by ascending identity."""
    order = np.argsort(pids, kind="stable")
    order = order[pids[order] > 0]
    if not len(order):
        return []
    return np.split(order, np.flatnonzero(np.diff(pids[order])) + 1)


def _chunks(rows: Ints, size: int, rng: np.random.Generator) -> Ints:
    """The rows shuffled, as `(ceil(len(rows) / size), size)`."""
    n_chunks = -(-len(rows) // size)
    return np.resize(rng.permutation(rows), (n_chunks, size))


def _choose_identities(left: Ints, n: int, batches_left: int, rng: np.random.Generator) -> Ints:
    """`n` different identities, those with many chunks left more often.

    An identity that needs every batch that is left is always chosen, which keeps the number of batches minimal.
    """
    # Keys u ** (1 / weight) and the largest n: sampling without replacement by weight (Efraimidis and Spirakis, 2006).
    u = rng.random(len(left))
    keys = np.where(left > 0, u ** (1 / np.maximum(left, 1)), u - 1)
    keys[left == batches_left] = 2
    return np.argsort(keys, kind="stable")[-n:]


def check_training_identities(manifest: Manifest) -> None:
    """Check that there are two identities or more to learn from; else raise `DataError`.

    A `DataWarning` counts the identities with a single picture: batches repeat it, and it teaches little.
    """
    real = manifest.pids > 0
    identities, counts = np.unique(manifest.pids[real], return_counts=True)
    if len(identities) < 2:
        raise DataError(f"expected pictures of at least 2 identities to train on, got {len(identities)}")
    single = identities[counts == 1]
    if len(single):
        path = manifest.paths[int(np.flatnonzero(manifest.pids == single[0])[0])]
        message = f"{len(single)} of {len(identities)} training identities have only one picture; first: {path}"
        warnings.warn(message, DataWarning, stacklevel=2)


def hold_out_identities(pids: npt.NDArray[np.int64], n: int, seed: int) -> npt.NDArray[np.int64]:
    """`n` of the real identities (pid > 0) in `pids`, sorted, chosen by the seed: those held out for validation."""
    identities = np.unique(pids[pids > 0])
    if not 0 <= n < len(identities) or seed < 0:
        raise SettingsError(
            f"expected to hold out 0 to {len(identities) - 1} of {len(identities)} identities (held_out_identities) "
            f"with a seed of at least 0, got {n} and seed {seed}"
        )
    return np.sort(np.random.default_rng(seed).choice(identities, size=n, replace=False))


def held_out_pictures(manifest: Manifest, training: Mapping[str, Any]) -> Manifest:
    """The pictures of the identities that a model's training held out, according to its card.

    `manifest` is the data that the model was trained on, `training` the card's `training`. `DataError` if the card does
    not say who was held out, if nobody was, or if the data does not have as many people and pictures as the card says.
    """
    recipe = training.get("recipe")
    record = recipe if isinstance(recipe, Mapping) else {}
    n, seed = record.get("held_out_identities"), record.get("seed")
    if not isinstance(n, int) or not isinstance(seed, int) or n < 1:
        raise DataError(
            "expected a card that says which training identities its run held out (held_out_identities from 1 and "
            f"seed), got {n} and {seed}; give the run that held some out (a twin, of a model of all), or train one"
        )
    train = manifest.split("train")
    n_people = len(train.identities())
    expected = {"identities": training.get("identities"), "pictures": training.get("pictures")}
    held_out = np.isin(train.pids, hold_out_identities(train.pids, n, seed)) if n < n_people else train.pids > 0
    found = {"identities": n_people - n, "pictures": int(((train.pids > 0) & ~held_out).sum())}
    if found != expected:
        raise DataError(
            f"expected the data that the model was trained on: {expected['pictures']} pictures of "
            f"{expected['identities']} people besides the {n} held out, got {found['pictures']} of "
            f"{found['identities']}; give that data"
        )
    return train.rows(held_out)


class ValidationSplit(NamedTuple):
    """Row numbers, each array ascending; together they are the real identities' rows, each once."""

    train: Ints
    query: Ints
    gallery: Ints


def split_validation(manifest: Manifest, held_out: npt.NDArray[np.int64]) -> ValidationSplit:
    """The rows to train on, and the queries and gallery made of the held-out identities.

    A query is the first picture (by path) of a held-out identity from each camera that has two or more pictures of it,
    or its very first picture where no camera has two. All other pictures are gallery, as are all pictures of an
    identity that only one camera has seen, which no other camera could find. `DataError` if that leaves no query.
    """
    held = np.isin(manifest.pids, held_out) & (manifest.pids > 0)
    queries = [row for pid in np.unique(manifest.pids[held]) for row in _queries(manifest, pid)]
    if not queries:
        raise DataError(
            f"expected held-out identities that two cameras have seen, got none among {len(held_out)}; "
            "hold out more identities, or none"
        )
    is_query = np.zeros(len(manifest), dtype=np.bool_)
    is_query[queries] = True
    train = (manifest.pids > 0) & ~held
    return ValidationSplit(np.flatnonzero(train), np.flatnonzero(is_query), np.flatnonzero(held & ~is_query))


def _queries(manifest: Manifest, pid: int) -> list[int]:
    """The rows of one identity that become validation queries."""
    rows = sorted(np.flatnonzero(manifest.pids == pid).tolist(), key=lambda row: manifest.paths[row])
    by_camera: dict[int, list[int]] = {}
    for row in rows:
        by_camera.setdefault(int(manifest.camids[row]), []).append(row)
    if len(by_camera) == 1 and (UNKNOWN not in by_camera or len(rows) == 1):
        return []
    return [of_camera[0] for of_camera in by_camera.values() if len(of_camera) > 1] or rows[:1]
