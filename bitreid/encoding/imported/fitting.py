"""Fitting a map from features to codes: by plain sign, by iterative quantisation, or as a head that is trained."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np

from bitreid.arrays import Floats32, Ints
from bitreid.artifact import Card, InputSpec, save_artifact
from bitreid.codes import nested_lengths
from bitreid.data.manifest import UNKNOWN
from bitreid.data.samplers import ValidationSplit, hold_out_identities, split_validation
from bitreid.encoding.calibrating import MOST_OTHERS, calibrated_on, spaced
from bitreid.encoding.imported.feature_map import Affine, FeatureMap, unit
from bitreid.encoding.imported.features import FeatureSet
from bitreid.encoding.rotation import STEPS, rotated_directions
from bitreid.errors import DataError, SettingsError
from bitreid.evaluation.ranking import evaluate_lengths, evaluate_ranking

FitName = Literal["sign", "itq", "ssr"]
TrainHead = Callable[[Floats32, Ints, int, int], Affine]
"""Trains a head on unit features (n, d), of which the classes (n,) say who is who, for a number of bits, by a seed."""

BITS = 512
"""Length of a code where nobody says another, or as many bits as there are features if these are fewer."""
MOST_ROWS = 20_000
"""Features that a map is fitted to, at most."""
HELD_OUT = 60
"""People who are held out where nobody says how many, or a fifth of all if these are fewer."""
UNTOLD = "not told (of the features; see `bitreid import --licence`)"

_LEARNED = 512  # beyond this many bits ITQ takes long, and fewer steps do
_FEWER_STEPS = 10
_ONE_SIDED = 0.9
"""Share of features of one sign past which their signs are no code: those after a ReLU are never negative."""


@dataclass(frozen=True)
class FitSettings:
    """How a map is fitted, and what its card says."""

    by: FitName
    """`sign`: each bit is the sign of a feature, and nothing is learned. `itq`: principal directions, rotated block by
    block. `ssr`: a head that is trained on people."""
    source: str
    """What made the features, such as `osnet_x1_0 msmt17`; part of the fingerprint, so that the same signs of two
    networks' features are two models."""
    n_bits: int | None = None
    """Length of the codes; None for `BITS`."""
    held_out: int | None = None
    """People who are kept out to score and calibrate on; None for `HELD_OUT`."""
    seed: int = 0
    licence: str = UNTOLD
    notes: str = ""

    def __post_init__(self) -> None:
        if not self.source.strip():
            raise SettingsError("expected the name of what made the features as source, got an empty text")


class Fitted(NamedTuple):
    """A map that was fitted and saved, and its scores on held-out people by the length of the code in bits; of the
    float features under 0. Empty where nobody was held out."""

    map: FeatureMap
    scores: Mapping[int, Mapping[str, float]]


def fit_features(found: FeatureSet, settings: FitSettings, folder: Path, train_head: TrainHead | None = None) -> Fitted:
    """Fit a map to features, score and calibrate it on people held out, save it to `folder`, and return it.

    Who is held out, the seed says. People are scored where two cameras have seen some of those held out, and distances
    calibrated where these are enough. `SettingsError` for a length that the features cannot have, `DataError` for too
    few features or people.
    """
    split = _split(found, settings)
    rows = spaced_of(split.train, MOST_ROWS)
    x = unit(found.features[rows])
    pids = found.manifest.pids[rows]
    n_bits = _length(settings, found.n_features)
    lengths: tuple[int, ...] = ()
    if settings.by == "sign":
        affine = _signs(found)
    elif settings.by == "itq":
        lengths = nested_lengths(n_bits)
        affine = fit_itq(x, n_bits, settings.seed)
    else:
        affine, lengths = _head(x, pids, n_bits, settings.seed, train_head)
    card = Card(
        name=f"{settings.source} by {settings.by}",
        model={"takes": "features", "source": settings.source, "by": settings.by},
        input=InputSpec(),  # of pictures, which it never sees
        n_bits=n_bits,
        parts=(),
        n_features=found.n_features,
        attributes=None,
        thresholds={},
        training={
            "data": settings.source,
            "identities": len(np.unique(pids[pids > 0])),
            "pictures": len(rows),
            "held_out_identities": len(np.unique(found.manifest.pids[split.query])),
            "seed": settings.seed,
        },
        licence=settings.licence,
        metrics={},
        notes=settings.notes,
        lengths={str(length): {} for length in lengths},
    )
    scores = _scores(found, split, affine, card.code_lengths)
    if scores:
        metrics = {f"val_{name}": value for name, value in scores[n_bits].items()}
        metrics |= {f"val_float_{name}": value for name, value in scores[0].items()}
        card = replace(card, metrics=metrics, lengths={str(length): dict(scores[length]) for length in lengths})
        with suppress(DataError):
            card = _calibrated(card, found, split, affine)
    saved = save_artifact(folder, card, affine.weights())
    return Fitted(FeatureMap(saved.card, affine), scores)


def fit_itq(x: Floats32, n_bits: int, seed: int = 0) -> Affine:
    """Return a map of unit features `(n, d)` by iterative quantisation in nested blocks, see `rotated_directions`.

    The first bits of its codes, of each length of `nested_lengths`, are codes in their own right.
    """
    if len(x) <= n_bits:
        raise DataError(f"expected more than {n_bits} features to fit as many bits to, got {len(x)}; choose fewer bits")
    mean = x.mean(0, dtype=np.float64)
    steps = STEPS if n_bits <= _LEARNED else _FEWER_STEPS
    directions = rotated_directions(x - mean, nested_lengths(n_bits), np.random.default_rng(seed), steps)
    return Affine(directions.astype(np.float32), (-(mean @ directions)).astype(np.float32))


def spaced_of(rows: Ints, most: int) -> Ints:
    """Return at most `most` of some rows, evenly spaced."""
    return rows[spaced(len(rows), most)]


def _length(settings: FitSettings, d: int) -> int:
    """Return the number of bits that is asked for, checked."""
    if settings.by == "sign":
        if d % 8 or settings.n_bits not in (None, d):
            raise SettingsError(
                f"expected signs of a multiple of 8 features, a bit each, got {d} features and "
                f"{settings.n_bits or 'no number of'} bits; choose itq, or leave the number of bits out"
            )
        return d
    n_bits = min(BITS, d // 32 * 32) if settings.n_bits is None else settings.n_bits
    most = d if settings.by == "itq" else 4096
    if not 0 < n_bits <= most or n_bits % 32:
        why = f" of {d} features" if settings.by == "itq" else ""
        raise SettingsError(f"expected a multiple of 32 bits, at most {most // 32 * 32}{why}, got {n_bits}")
    return n_bits


def _signs(found: FeatureSet) -> Affine:
    share = float((found.features > 0).mean())
    if not 1 - _ONE_SIDED <= share <= _ONE_SIDED:
        raise DataError(
            f"expected features of both signs, whose signs can be a code, got {share:.0%} above 0, as after a ReLU; "
            "choose itq or ssr, which centre them"
        )
    return Affine(None, np.zeros(found.n_features, np.float32))


def _head(
    x: Floats32, pids: Ints, n_bits: int, seed: int, train_head: TrainHead | None
) -> tuple[Affine, tuple[int, ...]]:
    known = pids > 0
    people, classes = np.unique(pids[known], return_inverse=True)
    if len(people) < 2:
        raise DataError(
            f"expected features of at least 2 people to train a head on, got {len(people)}; say who they show with "
            "--names, count people from 1, or choose itq, which needs nobody"
        )
    if train_head is None:
        raise SettingsError("expected PyTorch to train a head, got none; choose itq, which needs numpy alone")
    affine = train_head(x[known], classes.astype(np.int64), n_bits, seed)
    return affine, nested_lengths(n_bits) if n_bits >= 256 else ()


def _split(found: FeatureSet, settings: FitSettings) -> ValidationSplit:
    """Return the rows to fit to, and the queries and gallery of people held out: none where nobody is."""
    nobody = np.empty(0, np.int64)
    everybody = ValidationSplit(np.arange(len(found)), nobody, nobody)
    people = found.manifest.identities()
    n = min(HELD_OUT, len(people) // 5) if settings.held_out is None else settings.held_out
    if not n:
        return everybody
    held_out = hold_out_identities(found.manifest.pids, n, settings.seed)
    try:
        split = split_validation(found.manifest, held_out)
    except DataError:
        if settings.held_out is not None:
            raise
        return everybody
    # People of no known name teach ITQ, too.
    return split._replace(train=np.flatnonzero(~np.isin(found.manifest.pids, held_out)))


def _scores(
    found: FeatureSet, split: ValidationSplit, affine: Affine, lengths: tuple[int, ...]
) -> Mapping[int, Mapping[str, float]]:
    if not len(split.query):
        return MappingProxyType({})
    query, gallery = found.take(split.query), found.take(split.gallery)
    people = (query.manifest.pids, query.manifest.camids, gallery.manifest.pids, gallery.manifest.camids)
    floats = evaluate_ranking(query.features, gallery.features, *people)
    codes = [affine.encoded(each.features) for each in (query, gallery)]
    by_length = {0: floats} | dict(evaluate_lengths(codes[0].codes, codes[1].codes, *people, lengths))
    return {n: {"rank1": each.expected.rank1, "mAP": each.expected.mAP} for n, each in by_length.items()}


def _calibrated(card: Card, found: FeatureSet, split: ValidationSplit, affine: Affine) -> Card:
    held_out = found.take(np.sort(np.concatenate([split.query, split.gallery])))
    known = split.train[found.manifest.pids[split.train] != UNKNOWN]
    others = affine.encoded(found.features[spaced_of(known, MOST_OTHERS)])
    return calibrated_on(card, affine.encoded(held_out.features), held_out.manifest, others)
