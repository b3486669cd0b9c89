"""Choose the bits of the coarse code, and how much of a gallery to keep by it, on held-out people.

Bits are taken one after the other: each time the one with which the distance tells pairs of one person best from pairs
of two, by Fisher's criterion (difference of the means / standard deviation). No bit is taken twice, and of the identity
code only the first are candidates: the few people who are held out tell which of some bits to take, not which of all.

Kept matches on 60 held-out identities of CUHK03-NP among all training pictures, by cross-validation over identities
(benchmarks/accuracy/coarse.py), at w = 2, 5, 10 and 20 %: 65.5, 80.5, 89.4 and 95.5 %; by the first 64 identity bits
59.0, 74.1, 84.0 and 91.9 %; by the attribute code 40.1, 57.3, 71.4 and 83.9 %. At 5 %, candidates from the first 256
identity bits kept 3 points less, bits at random 3 to 4, bits that may be taken up to four times 1. A greedy choice by
the matches' smoothed ranks was worse than Fisher's criterion, and took minutes.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bitreid.arrays import Bools, Floats, Ints
from bitreid.coarse import RECALLS, CoarseCode
from bitreid.codes import Codes, unpack
from bitreid.data.manifest import UNKNOWN
from bitreid.errors import DataError
from bitreid.evaluation.ranking import query_chunks
from bitreid.evaluation.side import Side, labels_of
from bitreid.hamming import distance_blocks

N_BITS = 64
"""Bits of a coarse code, if there are as many candidates."""
FIRST_BITS = 128
"""Bits of the identity code that are candidates."""
FOLDS = 5
"""Parts of the people: what is kept by a code is told on each by one that was chosen on the others."""
WHOLE = ((0.5, 1.0),)
"""The table of a code about which nothing is known: keep all."""
_PAIRS = 20_000  # of one person, and of two, at most
_CODES = ("codes", "attribute_codes")


def fit_coarse(people: Side, others: Side | None, n_attribute_bits: int, identity_bits: Sequence[int]) -> CoarseCode:
    """Return the coarse code that tells people best apart whom a model was not trained on.

    Its bits come from the first `n_attribute_bits` of the attribute code and from these `identity_bits`. `others` are
    pictures of other people, who make the galleries larger: those whom the model was trained on will do, and numbers
    of people are one numbering. Junk and distractors among the people are left out. How much of a gallery to keep is
    told by cross-validation over people: the share at which a match lies, ties in a mean order.

    `DataError` with fewer than two people whom two cameras have seen.
    """
    gallery, n_people = _gallery_of(people, others), int((people.pids > 0).sum())
    bits = _candidates(gallery, n_attribute_bits, identity_bits)
    rng = np.random.default_rng(0)
    one, two = _pairs_of_one(gallery, n_people, rng), _pairs_of_two(gallery, n_people, rng)
    known = np.unique(gallery.pids[one[:, 0]])
    if len(known) < 2 or not len(two):
        raise DataError(
            f"expected two or more people whom two cameras have seen to choose a coarse code with, got {len(known)}; "
            "hold out more identities"
        )

    def chosen_on(some: Ints) -> CoarseCode:
        of_some = [pairs[np.isin(gallery.pids[pairs[:, 0]], some)] for pairs in (one, two)]
        differ = [bits[pairs[:, 0]] != bits[pairs[:, 1]] for pairs in of_some]
        n_bits = min(N_BITS, bits.shape[1] // 8 * 8)
        places = choose_bits(differ[0], differ[1], gallery.pids[of_some[0][:, 0]], n_bits)
        n = sum(place < n_attribute_bits for place in places)
        return CoarseCode(tuple(places[:n]), tuple(identity_bits[i - n_attribute_bits] for i in places[n:]), WHOLE)

    found = []
    for judged in np.array_split(rng.permutation(known), min(FOLDS, len(known))):
        rows = np.flatnonzero(np.isin(gallery.pids, judged))
        found.append(_places(chosen_on(np.setdiff1d(known, judged)), gallery, rows))
    places, weights = np.concatenate(found, axis=1)
    return replace(chosen_on(known), recall=tuple(zip(RECALLS, shares_for(places, weights, RECALLS), strict=True)))


def choose_bits(differ_of_one: Bools, differ_of_two: Bools, pids: Ints, n_bits: int) -> list[int]:
    """Return the columns, ascending, of `n_bits` bits whose distance tells pairs of one person from pairs of two.

    `differ_of_one` and `differ_of_two`, `(n_pairs, n_candidates)`, say in which bits each pair differs; `pids`,
    `(n_pairs,) int64`, whom the pairs of one person show: each person counts alike. Bits are taken greedily: next the
    one that makes (mean distance of two - of one) / sqrt(variance of two + of one) largest; the first of equals.
    """
    _, person, counts = np.unique(pids, return_inverse=True, return_counts=True)
    mean_one, covariance_one = _moments(differ_of_one, 1 / counts[person])
    mean_two, covariance_two = _moments(differ_of_two, np.ones(len(differ_of_two)))
    gain, covariance = mean_two - mean_one, covariance_one + covariance_two
    chosen: list[int] = []
    left = np.ones(len(gain), np.bool_)
    for _ in range(n_bits):
        mean = gain[chosen].sum() + gain
        variance = covariance[np.ix_(chosen, chosen)].sum() + 2 * covariance[chosen].sum(axis=0) + covariance.diagonal()
        criterion = np.where(left, mean / np.sqrt(np.maximum(variance, 1e-12)), -np.inf)
        best = int(np.argmax(criterion >= criterion.max() - 1e-9))
        left[best] = False
        chosen.append(best)
    return sorted(chosen)


def shares_for(places: Floats, weights: Floats, recalls: Sequence[float]) -> tuple[float, ...]:
    """Return, for each wanted share of the matches, the least place up to which matches of that weight lie."""
    order = np.argsort(places, kind="stable")
    reached = np.cumsum(weights[order]) / weights.sum()
    return tuple(float(places[order][np.argmax(reached >= recall - 1e-9)]) for recall in recalls)


def _gallery_of(people: Side, others: Side | None) -> Side:
    """Return the known people and then the others, unknown cameras as cameras of their own, so that no picture meets
    itself."""
    known = people.pids > 0
    sides = [(people, known)] if others is None else [(people, known), (others, np.ones(len(others), np.bool_))]
    pids = np.concatenate([side.pids[rows] for side, rows in sides])
    camids = np.concatenate([side.camids[rows] for side, rows in sides])
    own = camids.max(initial=0) + 1 + np.arange(len(camids))
    codes = [_joined([getattr(side, name) for side, _ in sides], [rows for _, rows in sides]) for name in _CODES]
    return Side(codes[0], None, codes[1], pids, np.where(camids == UNKNOWN, own, camids))


def _joined(sides: Sequence[Codes | None], rows: Sequence[Bools]) -> Codes | None:
    found = [codes[some] for codes, some in zip(sides, rows, strict=True) if codes is not None]
    if len(found) < len(sides):
        return None
    return Codes(np.concatenate([codes.packed for codes in found]), found[0].n_bits, found[0].parts)


def _candidates(side: Side, n_attribute_bits: int, identity_bits: Sequence[int]) -> Bools:
    """Return the bits, `(n, n_candidates)`, that a coarse code may have."""
    assert side.codes is not None, "an encoder makes codes"
    attributes = np.empty((len(side), 0), np.bool_)
    if side.attribute_codes is not None:
        attributes = unpack(side.attribute_codes)[:, :n_attribute_bits]
    return np.concatenate([attributes, unpack(side.codes)[:, list(identity_bits)]], axis=1)


def _pairs_of_one(side: Side, n_people: int, rng: np.random.Generator) -> Ints:
    """Return rows `(n_pairs, 2)` among the first `n_people`, of one person by two cameras, `_PAIRS` at most."""
    found = [np.empty((0, 2), np.int64)]
    for pid in np.unique(side.pids[:n_people]):
        rows = np.flatnonzero(side.pids[:n_people] == pid)
        pairs = rows[np.stack(np.triu_indices(len(rows), 1), axis=1)]
        found.append(pairs[side.camids[pairs[:, 0]] != side.camids[pairs[:, 1]]])
    return _some(np.concatenate(found), rng)


def _pairs_of_two(side: Side, n_people: int, rng: np.random.Generator) -> Ints:
    """Return rows `(n_pairs, 2)` of two people, the first among the first `n_people` rows, `_PAIRS` of them at most."""
    numbers = np.arange(n_people * len(side))
    if len(numbers) > 2 * _PAIRS:
        numbers = rng.integers(0, len(numbers), 2 * _PAIRS)
    pairs = np.stack(np.divmod(numbers, len(side)), axis=1)
    return _some(pairs[side.pids[pairs[:, 0]] != side.pids[pairs[:, 1]]], rng)


def _some(pairs: Ints, rng: np.random.Generator) -> Ints:
    return pairs if len(pairs) <= _PAIRS else pairs[rng.choice(len(pairs), _PAIRS, replace=False)]


def _moments(differ: Bools, weights: Floats) -> tuple[Floats, Floats]:
    """Return the weighted mean `(n,)` and covariance `(n, n)` of columns."""
    shares = weights / weights.sum()
    mean = shares @ differ
    deviations = (differ - mean) * np.sqrt(shares)[:, None]
    return mean, deviations.T @ deviations


def _places(coarse: CoarseCode, gallery: Side, rows: Ints) -> Floats:
    """Return at which share of the gallery the matches of the queries in some rows lie, and what each weighs, `(2, n)`.

    Pictures of the query's own camera are no matter. All matches of a query weigh 1.
    """
    assert gallery.codes is not None, "an encoder makes codes"
    codes = coarse.of(gallery.codes, gallery.attribute_codes)
    queries = Side(None, None, None, gallery.pids[rows], gallery.camids[rows])
    labels = labels_of(queries, gallery)
    found = [np.empty((2, 0))]
    for some in query_chunks(len(rows), len(gallery)):
        distances = np.concatenate([block for _, block in distance_blocks(codes[rows[some]], codes)], axis=1)
        for of_query, match, left_out in zip(distances, *labels.masks(some), strict=True):
            if match.any():
                ranked, own = np.sort(of_query[~left_out]), of_query[match]
                twice = np.searchsorted(ranked, own, "left") + np.searchsorted(ranked, own, "right") + 1
                found.append(np.stack([twice / 2 / len(ranked), np.full(len(own), 1 / len(own))]))
    return np.concatenate(found, axis=1)
