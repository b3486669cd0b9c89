"""What a gallery is asked and answers, between the protocol and its backends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Literal, NamedTuple, get_args

import numpy as np

from bitreid.arrays import Bools, Features
from bitreid.coarse import CoarseCode
from bitreid.codes import Codes
from bitreid.errors import BadRequest
from bitreid.gallery.contract import Contract
from bitreid.gallery.filters.types import Filter
from bitreid.gallery.items import Hit, Hits
from bitreid.open_set import OpenSet

BATCH = 10_000
"""Items that are read or written together."""

RESCORED = 4
"""Items of a short list that is rescored, for each hit that is asked for."""
LEAST_RESCORED = 100
"""Items of a short list that is rescored, at least."""

Where = Filter | str | None
Method = Literal["exact", "two_stage", "clustered"]
"""How the nearest items are looked for (`Gallery.search`)."""
RECALL = 0.95
"""Recall of a search by a method that has one, where nothing is said."""


class Request(NamedTuple):
    """A search as a backend sees it: checked.

    `k` items of each query. With `w` in two stages: among the `w` items nearest by `short` code, which is the `coarse`
    one, or else the attribute code. `mask` says which bits of the long code count (None: all), `where` which items.
    With `clustered` the lists are visited that hold this share of the nearest items, in the mean.
    With `features`, `(n_queries, n_bits)`, the `n_short` items that such a search finds are rescored, and the first `k`
    of them are found.
    """

    queries: Codes
    short: Codes | None
    k: int
    w: int | None
    where: Filter | None
    mask: Bools | None
    n_threads: int
    features: Features | None = None
    coarse: CoarseCode | None = None
    clustered: float | None = None

    @property
    def n_short(self) -> int:
        """How many items are found by Hamming distance: `k`, or those to rescore."""
        return self.k if self.features is None else max(RESCORED * self.k, LEAST_RESCORED)


class Found(NamedTuple):
    """What a backend found: for each query its hits in order, without probabilities; how many items `where` let
    through, and to how many of them each query was compared."""

    hits: list[list[Hit]]
    n_compared: int
    n_visited: list[int]


@dataclass(frozen=True)
class Info:
    """What a gallery is and holds.

    place       where it is
    contract    what its codes are
    n_items     items that a search can find
    n_persons, n_tracklets  different ones among them, tracklets of each camera; None where counting would take too long
    n_bytes     bytes on disk, or None where that cannot be told
    details     what else the backend says, by name
    cameras     numbers of the cameras that items are of, ascending; None where looking would take too long
    """

    place: str
    contract: Contract
    n_items: int
    n_persons: int | None
    n_tracklets: int | None
    n_bytes: int | None
    details: Mapping[str, str | int]
    cameras: tuple[int, ...] | None = None


def check_limit(limit: object) -> None:
    """Check that it is a number of bits, or None; else `BadRequest`."""
    number = isinstance(limit, int) and not isinstance(limit, bool)
    if not number and limit is not None:
        raise BadRequest(f"expected max_distance to be a whole number of bits, or None, got {limit!r}")


def check_number(name: str, value: int) -> None:
    """Check that it is a number of items; else `BadRequest`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise BadRequest(f"expected {name} to be a number of items, at least 1, got {value!r}")


def check_search(
    contract: Contract,
    codes: Codes,
    attribute_codes: Codes | None,
    model: str,
    k: int,
    w: int | None,
    max_distance: int | None,
) -> None:
    """Check that a gallery of this contract can be searched so; else `WrongModel` or `BadRequest`."""
    contract.check(codes, attribute_codes, model)
    check_number("k", k)
    check_limit(max_distance)
    if w is not None:
        check_number("w", w)
    if attribute_codes is not None and len(attribute_codes) != len(codes):
        raise BadRequest(f"expected an attribute code for each of {len(codes)} queries, got {len(attribute_codes)}")


def check_features(features: Features | None, n_queries: int, contract: Contract, by: str) -> Features:
    """Return the queries' features, as many columns as the gallery's codes have bits, for hits that are items.

    `BadRequest` where there are none, or too few, and for other hits: tracklets and persons vote by distance.
    """
    if features is None:
        raise BadRequest("expected the queries' float features to rescore by, got codes only; leave rescore out")
    if by != "item":
        raise BadRequest(f"expected hits by item to rescore, got {by!r}; leave rescore out")
    if features.ndim != 2 or len(features) != n_queries or features.shape[1] < contract.n_bits:
        raise BadRequest(
            f"expected features of shape ({n_queries}, {contract.n_bits}), one a bit of the codes, "
            f"got {features.shape}; encode the queries with the gallery's model"
        )
    features = features[:, : contract.n_bits]
    if features.dtype.kind != "f" or not np.isfinite(features).all():
        raise BadRequest(
            f"expected finite features of floats, got {features.dtype}, or NaN or infinity among them; encode the "
            "queries again"
        )
    return features


class How(NamedTuple):
    """What a search visits: with `share` in two stages, of which the first keeps this share of the items; with
    `clustered` the lists that hold this share of the nearest items."""

    share: float | None = None
    clustered: float | None = None


def how_to(contract: Contract, method: Method | None, w: int | None, recall: float | None) -> How:
    """Return what a search by a method visits, of two stages beside `w`; of no method that of what is given with it.

    `BadRequest` for an unknown method, for `w` or `recall` with one that has none, for both, for a `recall` that is no
    share, and for one in two stages without a coarse code.
    """
    if method not in (None, *get_args(Method)):
        raise BadRequest(f"expected method exact, two_stage or clustered, got {method!r}")
    if w is not None and method not in (None, "two_stage"):
        raise BadRequest(f"expected w for a search in two stages only, got it for method {method}; leave w out")
    if recall is not None and method == "exact":
        raise BadRequest("expected no recall for an exact search, which finds all, got one; leave recall out")
    if recall is not None and w is not None:
        raise BadRequest("expected w or recall for a search in two stages, got both; leave one out")
    if recall is None and (w is not None or method in (None, "exact")):
        return How()
    recall = RECALL if recall is None else recall
    if isinstance(recall, bool) or not isinstance(recall, Real) or not 0 < recall <= 1:
        raise BadRequest(f"expected recall to be a share of the matches above 0 and up to 1, got {recall!r}")
    if method == "clustered":
        return How(clustered=float(recall))
    if contract.coarse is None:
        raise BadRequest(
            "expected a gallery with a coarse code, whose table says what a recall takes, got none; give w instead"
        )
    return How(share=contract.coarse.share(float(recall)))


def open_set_of(contract: Contract, mask: Bools | None, only_certain: bool) -> OpenSet | None:
    """Return what distances by the bits of a mask mean; None where nobody knows, `BadRequest` if it must be known."""
    known = contract.open_set if mask is None else None
    if only_certain and known is None:
        raise BadRequest(
            "expected a calibrated gallery and whole codes to know which hits are certain, got "
            f"{'no calibration' if contract.open_set is None else 'a search by parts'}; leave only_certain out"
        )
    return known


def judged(
    hits: Sequence[Hit],
    n_compared: int,
    n_visited: int,
    open_set: OpenSet | None,
    max_distance: int | None,
    fpir: float,
    only_certain: bool,
    camera_names: Mapping[int, str],
) -> Hits:
    """Return hits with their probabilities and the threshold, those that are near enough."""
    n = max(n_compared, 1)
    threshold = None if open_set is None else open_set.threshold(fpir, n)
    limits = [limit for limit in (max_distance, threshold if only_certain else None) if limit is not None]
    kept = [hit for hit in hits if all(hit.distance <= limit for limit in limits)]
    if open_set is not None and kept:
        probabilities = open_set.probability([hit.distance for hit in kept], n).tolist()
        kept = [Hit._make((*hit[:2], p, *hit[3:])) for hit, p in zip(kept, probabilities, strict=True)]
    return Hits(tuple(kept), n_compared, threshold, camera_names, n_visited)
