"""Rankings that Milvus cannot make, from rows that it found (by some of the bits, by float features), or not at all."""

from collections.abc import Mapping, Sequence

import numpy as np

from bitreid.errors import Unsupported
from bitreid.gallery.milvus.rows import codes_of
from bitreid.gallery.milvus.server import Near, Row
from bitreid.gallery.requests import Request
from bitreid.hamming import Ranking, rescore, search_exact


def check_method(request: Request) -> None:
    """Check that a search needs no clusters; else `Unsupported`."""
    if request.clustered is not None:
        raise Unsupported(
            "expected an exact search or one in two stages on Milvus, whose collections have no inverted lists here, "
            "got a clustered one; leave method out"
        )


def by_parts(rows: Mapping[int, Row], request: Request, query: int, n: int) -> list[Near]:
    """Return the `n` rows, given by key and with their codes, that are nearest to a query by the bits of a mask."""
    codes, ids = codes_of(rows.values(), request.queries.n_bits), np.fromiter(rows, np.int64, len(rows))
    ranking = search_exact(request.queries[query : query + 1], codes, n, ids, bits=request.mask)
    pairs = zip(ranking.distances[0].tolist(), ids[ranking.positions[0]].tolist(), strict=True)
    return [Near(distance, key, rows[key]) for distance, key in pairs]


def rescored(near: Sequence[Near], rows: Mapping[int, Row], request: Request, query: int) -> list[Near]:
    """Return the first `k` of a query's short list, rescored; those without a row were deleted meanwhile.

    `rows` has the codes of the short list, by key.
    """
    assert request.features is not None, "a search that is rescored has features"
    near = [each for each in near if each.key in rows]
    codes = codes_of((rows[each.key] for each in near), request.queries.n_bits)
    distances = np.array([[each.distance for each in near]], np.int32).reshape(1, len(near))
    short_list = Ranking(np.arange(len(near))[None], distances)
    ids = np.array([each.key for each in near], np.int64)
    features = request.features[query : query + 1]
    found = rescore(features, codes, short_list, request.k, ids, bits=request.mask)
    return [near[row] for row in found.positions[0]]
