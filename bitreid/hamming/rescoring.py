"""The order of a short list by the query's float features against the gallery's bits: the asymmetric distance.

A bit of the query says on which side of 0 its feature stands, and the feature how far from it: one that is near 0 is
the toss of a coin, and counts little. The gallery stores nothing more.
"""

import numpy as np

from bitreid.arrays import Bools, Features, Ints, Ints8
from bitreid.codes import Codes
from bitreid.errors import CodesError
from bitreid.hamming.inputs import bit_mask, checked_ids, clipped
from bitreid.hamming.ranking import Ranking
from bitreid.hamming.search import asymmetric_distances_at

_LARGEST = 127


def rounded(features: Features) -> Ints8:
    """Return features `(n, d)` as int8, each row divided by its largest |value|, which becomes 127.

    `CodesError` for features that are not finite.

    >>> rounded(np.array([[0.5, -1.0, 0.01], [0.0, 0.0, 0.0]])).tolist()
    [[64, -127, 1], [0, 0, 0]]
    """
    if features.ndim != 2 or features.dtype.kind != "f" or not np.isfinite(features).all():
        raise CodesError(
            f"expected finite features of shape (n, d) float, got {features.dtype} of shape {features.shape}, "
            "or NaN or infinity among them; encode the queries again"
        )
    largest = np.abs(features).max(axis=1, keepdims=True, initial=0).astype(np.float64)
    largest[largest == 0] = 1
    values = np.rint(features / largest * _LARGEST)
    return np.asarray(values, np.int8)


def rescore(
    features: Features,
    gallery: Codes,
    short_list: Ranking,
    k: int,
    ids: Ints | None = None,
    *,
    bits: Bools | None = None,
    n_threads: int = 1,
) -> Ranking:
    """Return the first `k` rows of each query's short list, ordered by (asymmetric distance, id).

    `features (n_queries, n_bits)` are those whose signs are the queries' codes; `rounded`, they are compared with the
    gallery's bits (`asymmetric_distances_at`), and so the order is exact. The distances returned are the short list's.
    `k` is clipped to the short list; `ids` and `bits` are those of the search that made it.

    One bit that is sure says more than three that are not:

    >>> gallery = Codes(np.array([[0b0111_0000], [0b1000_0000]], np.uint8), 8)
    >>> features = np.array([[0.9, 0.1, 0.1, 0.1, -0.5, -0.5, -0.5, -0.5]])
    >>> short_list = Ranking(np.array([[0, 1]]), np.array([[1, 3]], np.int32))
    >>> found = rescore(features, gallery, short_list, 2)
    >>> found.positions.tolist(), found.distances.tolist()
    ([[1, 0]], [[3, 1]])
    """
    ids = checked_ids(ids, len(gallery))
    mask = bit_mask(bits, gallery.n_bits)
    values = rounded(features)
    if mask is not None:
        values = np.where(np.unpackbits(mask), values, np.int8(0))
    rows = short_list.positions
    distances = asymmetric_distances_at(values, gallery, rows, n_threads=n_threads)
    keys = (rows, distances) if ids is None else (rows, ids[rows], distances)
    order = np.lexsort(keys, axis=-1)[:, : clipped("k", k, rows.shape[1])]
    return Ranking(np.take_along_axis(rows, order, axis=1), np.take_along_axis(short_list.distances, order, axis=1))
