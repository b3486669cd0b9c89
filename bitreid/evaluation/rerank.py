"""Re-ranking short lists by k-reciprocal encoding or query expansion, and scoring the result.

The *short list* of a query is its `w` nearest gallery rows, `(n_queries, w)`, as `nearest_rows` (or a search) gives
them. Only these rows are re-ranked, so that memory grows with queries x short list, and with w^2 for one query at a
time.

    short_list = nearest_rows(queries, gallery, w)
    distances = rerank_k_reciprocal(queries, gallery, short_list)
    metrics = evaluate_reranked(queries, gallery, short_list, distances, *people)

All distances here are cosine distances in float32, 0 to 2. A code is a vector of signs; the cosine distance of two is
2 x (Hamming distance) / n_bits: 0 for equal codes, about 1 for unrelated ones. So codes can also be compared with
features `(n, n_bits)`.

Rows at equal distance are ordered by id, by default the row number. In a data set the files are usually in the order of
identities, which must not decide: pass random `ids` to score short codes.
"""

import numpy as np
import numpy.typing as npt

from bitreid.arrays import Bools, Features, Floats, Floats32, Ints, Numbers
from bitreid.codes import Codes, unpack
from bitreid.errors import CodesError, SettingsError
from bitreid.evaluation.comparison import (
    Comparison,
    CosineComparison,
    GivenDistances,
    HammingComparison,
    check_features,
    lengths_of,
)
from bitreid.evaluation.protocol import Protocol
from bitreid.evaluation.ranking import RankingMetrics, query_chunks
from bitreid.evaluation.scores import score_groups
from bitreid.hamming import distances_at, pairwise_distances, search_exact
from bitreid.hamming.inputs import check_lengths, checked_ids


def nearest_rows(queries: Codes | Features, gallery: Codes | Features, w: int, ids: Ints | None = None) -> Ints:
    """Return the short list: the `w` nearest gallery rows of each query, `(n_queries, w)`, by (distance, id).

    `w` is clipped to the gallery. Raises `SettingsError` if it is below 1, `CodesError` if the sides do not fit.
    """
    if isinstance(queries, Codes) and isinstance(gallery, Codes):
        return search_exact(queries, gallery, w, ids).positions
    if w < 1:
        raise SettingsError(f"expected w to be a number of gallery rows, at least 1, got {w}")
    comparison = _comparison(queries, gallery)
    by_id = np.argsort(_ids(ids, len(gallery)), kind="stable")
    short_list = np.empty((len(queries), min(w, len(gallery))), np.int64)
    for rows in query_chunks(len(queries), len(gallery)):
        distances = comparison.distances(rows)[0][:, by_id]
        short_list[rows] = by_id[_smallest(_keys(distances), w)]
    return short_list


def short_list_distances(queries: Codes | Features, gallery: Codes | Features, short_list: Ints) -> Floats32:
    """Return the cosine distances `(n_queries, w)` of each query to the rows of its short list.

    With queries from `expand_queries` this is their second search. Raises `CodesError` if the arguments do not fit.
    """
    _check_short_list(short_list, len(queries), len(gallery))
    if isinstance(queries, Codes) and isinstance(gallery, Codes):
        return _cosine(distances_at(queries, gallery, short_list), queries.n_bits)
    distances = np.empty(short_list.shape, np.float32)
    for i, rows in enumerate(short_list):
        distances[i] = _comparison(queries[i : i + 1], gallery[rows]).distances(slice(None))[0, 0]
    return distances


def rerank_k_reciprocal(
    queries: Codes | Features,
    gallery: Codes | Features,
    short_list: Ints,
    k1: int = 20,
    k2: int = 6,
    lam: float = 0.3,
    ids: Ints | None = None,
) -> Floats32:
    """Return new distances `(n_queries, w)` of the rows of each short list, by k-reciprocal encoding.

    Zhong, Zheng, Cao and Li, Re-ranking Person Re-identification with k-Reciprocal Encoding, CVPR 2017: two pictures
    are reciprocal neighbours if each is among the other's `k1` nearest; pictures whose reciprocal neighbours are the
    same (Jaccard distance of the encodings, each averaged over its `k2` nearest) show the same person, even where their
    own distance is large. The result is (1 - lam) x Jaccard distance + lam x cosine distance; with `lam` 1 the order is
    the old one. Where this differs from the authors' program, which takes all queries and the gallery as one graph:

    - The graph of a query is that query and its short list: other people's queries must not change an answer. With the
      whole gallery as short list this is the full method; with a shorter one, rows at its far end miss neighbours that
      were not let in, so let `w` be a few times `k1`. In order of (distance, id) the query is before all rows.
    - Distances are not divided by the largest of their row, which would make them depend on `w`. Cosine distances need
      no scale: strangers are at about 1, where that division puts them.
    - An expansion asks for at least two thirds of shared neighbours, as the paper does, not for more than that.

    Columns may be in any order, and the results are in the same. Rows that a protocol leaves out of the score (junk,
    the query's camera) take part, as they would in use. Results are rounded to float32, so that what differs only in
    the rounding of a sum ties. Raises `SettingsError` for impossible settings, `CodesError` if arguments do not fit.
    """
    _check_short_list(short_list, len(queries), len(gallery))
    if k1 < 1 or k2 < 1 or not 0 <= lam <= 1:
        raise SettingsError(f"expected k1 and k2 of at least 1 and lam from 0 to 1, got {k1}, {k2} and {lam}")
    ids = _ids(ids, len(gallery))
    reranked = np.empty(short_list.shape, np.float32)
    for i, rows in enumerate(short_list):
        by_id = np.lexsort((rows, ids[rows]))
        graph = _graph(queries[i : i + 1], gallery[rows[by_id]])
        jaccard = _jaccard_distances(graph, k1, k2)[1:]
        reranked[i, by_id] = np.float32(1 - lam) * jaccard + np.float32(lam) * graph[0, 1:]
    return reranked


def expand_queries(
    queries: Codes | Features, gallery: Codes | Features, neighbours: Ints, alpha: float = 3.0
) -> Floats32:
    """Return the mean of each query and its nearest rows, `(n_queries, d)`: unit vectors, rows by similarity^alpha.

    `neighbours (n_queries, m)` are the rows to join, such as the first few columns of a short list that is in order; by
    `short_list_distances` the results then search the short list again. Similarity is the cosine, no less than 0; the
    query itself has weight 1, and with `alpha` 0 so has everybody. (Radenovic, Tolias and Chum, Fine-Tuning CNN Image
    Retrieval with No Human Annotation, 2018.) Of codes the result is the weighted vote on each bit, not rounded to a
    code again: at the similarities of pictures of one person votes seldom overrule the query's own bit, and rounding
    would give back the query. Raises `SettingsError` for an `alpha` below 0, `CodesError` if the arguments do not fit.
    """
    if not 0 <= alpha < np.inf:
        raise SettingsError(f"expected alpha of at least 0, got {alpha}")
    similarity = np.maximum(1 - short_list_distances(queries, gallery, neighbours).astype(np.float64), 0)
    expanded = _units(queries)
    for i, (rows, weights) in enumerate(zip(neighbours, similarity**alpha, strict=True)):
        expanded[i] = (expanded[i] + weights @ _units(gallery[rows])) / (1 + weights.sum())
    return expanded.astype(np.float32)


def evaluate_reranked(
    queries: Codes | Features,
    gallery: Codes | Features,
    short_list: Ints,
    distances: Numbers,
    query_pids: Ints,
    query_camids: Ints,
    gallery_pids: Ints,
    gallery_camids: Ints,
    n_ranks: int = 50,
) -> RankingMetrics:
    """Return tie-aware metrics, as `evaluate_ranking`'s, of a gallery whose short lists are in a new order.

    `distances (n_queries, w)` are the new distances of the rows of `short_list`, only ever compared with each other:
    `np.broadcast_to(np.arange(w), short_list.shape)` says that the columns are in order. The other rows come after
    them, by their old distances: re-ranking changes the head of a ranking and loses nobody. Raises `DataError` if no
    query has a match, `SettingsError` for an impossible `n_ranks`, `CodesError` if the arguments do not fit.
    """
    if n_ranks < 1:
        raise SettingsError(f"expected n_ranks of at least 1, got {n_ranks}")
    comparison = _comparison(queries, gallery)
    _check_short_list(short_list, len(queries), len(gallery))
    if distances.shape != short_list.shape or not np.isfinite(distances).all():
        raise CodesError(f"expected finite distances of shape {short_list.shape}, got shape {distances.shape} or NaN")
    distances = distances.astype(np.float64)  # in a small type, 1 more than the largest may be no larger
    protocol = Protocol(query_pids, query_camids, gallery_pids, gallery_camids)
    protocol.check_rows(len(queries), len(gallery))
    scores = []
    for rows in query_chunks(len(queries), len(gallery)):
        ranked = comparison.distances(rows)[0].astype(np.float64)
        ranked += distances[rows].max(axis=1, keepdims=True, initial=0) + 1
        np.put_along_axis(ranked, short_list[rows], distances[rows], axis=1)
        ranked[:, protocol.never_ranked] = np.inf  # behind every match, where they do not count
        (groups,) = GivenDistances(ranked).groups(slice(None), protocol.relatives(rows))
        scores.append(score_groups(groups, n_ranks))
    return RankingMetrics.of(scores)


def _jaccard_distances(graph: Floats32, k1: int, k2: int) -> Floats32:
    """Return the Jaccard distances `(n,)` of the encodings of all nodes of a graph `(n, n)` to that of its first node.

    Encodings hold nothing below 0 and sum to 1, so that the sums of the minima and of the maxima of two make 2. Only
    columns where the first node's encoding is above 0 add to the minima.
    """
    neighbours = _smallest(_keys(graph, own_first=True), max(k1 + 1, k2))
    encodings = _encodings(graph, neighbours[:, : k1 + 1], neighbours[:, : round(k1 / 2) + 1])
    nearest = neighbours[:, :k2]
    support = np.flatnonzero(encodings[nearest[0]].any(axis=0))
    averaged = encodings[:, support][nearest].mean(axis=1)
    shared = np.minimum(averaged, averaged[0]).sum(axis=1).astype(np.float32)
    return np.asarray(1 - shared / (2 - shared), np.float32)


def _encodings(graph: Floats32, near: Ints, nearer: Ints) -> Floats:
    """Return each node's expanded reciprocal neighbours, `(n, n)`, with weights exp(-distance) that sum to 1.

    `near (n, k1 + 1)` and `nearer (n, k1 / 2 + 1)` are the nearest nodes of each node, itself first. A node's
    neighbours are joined by the `nearer` neighbours of any of them that shares at least two thirds of these with it.
    """
    reciprocal = _reciprocal(near)
    joining = np.take_along_axis(_reciprocal(nearer), nearer, axis=1)  # which columns of `nearer` are reciprocal
    node, candidate = np.nonzero(reciprocal)
    shared = (reciprocal[node[:, None], nearer[candidate]] & joining[candidate]).sum(axis=1)
    joins = 3 * shared >= 2 * joining.sum(axis=1)[candidate]
    pair, column = np.nonzero(joining[candidate[joins]])
    expanded = reciprocal.copy()
    expanded[node[joins][pair], nearer[candidate[joins][pair], column]] = True
    weights = np.zeros(graph.shape)
    weights[expanded] = np.exp(-graph[expanded].astype(np.float64))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _reciprocal(nearest: Ints) -> Bools:
    """Return which nodes are in each other's lists of nearest nodes, `(n, n)`."""
    lists = np.zeros((len(nearest), len(nearest)), np.bool_)
    np.put_along_axis(lists, nearest, True, axis=1)
    return lists & lists.T


def _keys(distances: Floats32, own_first: bool = False) -> Ints:
    """Return numbers that order each row by (distance, column), the column in the low 32 bits.

    With `own_first` the diagonal comes before all.
    """
    columns = np.arange(distances.shape[1])
    # A float of at least 0 has the order of its bits, read as an integer.
    keys = np.asarray(distances.view(np.int32).astype(np.int64) + 1 << 32 | columns)
    if own_first:
        np.fill_diagonal(keys, columns)
    return keys


def _smallest(keys: Ints, k: int) -> Ints:
    """Return the columns of the `k` smallest keys of each row, in order; `k` is clipped to the columns."""
    if k < keys.shape[1]:
        keys = np.partition(keys, k - 1, axis=1)[:, :k]
    return np.asarray(np.sort(keys, axis=1) & 0xFFFFFFFF)


def _graph(query: Codes | Features, rows: Codes | Features) -> Floats32:
    """Return the distances between all of a query, which is node 0, and some rows."""
    if isinstance(query, Codes) and isinstance(rows, Codes):
        check_lengths(query, rows)
        nodes = Codes(np.concatenate([query.packed, rows.packed]), query.n_bits)
        return _cosine(pairwise_distances(nodes), nodes.n_bits)
    features = _features(query), _features(rows)
    check_features(*features)
    joined = np.concatenate(features)
    return np.asarray(CosineComparison.of(joined, joined).distances(slice(None))[0], np.float32)


def _comparison(queries: Codes | Features, gallery: Codes | Features) -> Comparison:
    """Return the comparison of codes by Hamming distance, of features by cosine distance; codes beside features are
    vectors of signs."""
    if isinstance(queries, Codes) and isinstance(gallery, Codes):
        return HammingComparison(queries, gallery, (queries.n_bits,))
    features = _features(queries), _features(gallery)
    check_features(*features)
    return CosineComparison.of(*features)


def _cosine(hamming: npt.NDArray[np.integer], n_bits: int) -> Floats32:
    return hamming.astype(np.float32) * np.float32(2 / n_bits)


def _features(side: Codes | Features) -> Features:
    """Return codes as vectors of +-1, and features as they are."""
    return unpack(side).astype(np.float32) * 2 - 1 if isinstance(side, Codes) else side


def _units(side: Codes | Features) -> Floats:
    """Return the rows as vectors of length 1 in float64; a feature of zeros stays, at cosine 0 with everything."""
    features: Floats = _features(side).astype(np.float64)
    return np.asarray(features / lengths_of(features)[:, None], np.float64)


def _ids(ids: Ints | None, n_gallery: int) -> Ints:
    """Return the ids, checked; the rows if there are none."""
    checked = checked_ids(ids, n_gallery)
    return np.arange(n_gallery) if checked is None else checked


def _check_short_list(short_list: Ints, n_queries: int, n_gallery: int) -> None:
    if short_list.ndim != 2 or short_list.dtype != np.int64 or len(short_list) != n_queries:
        raise CodesError(
            f"expected a short list of shape ({n_queries}, w) int64, got {short_list.shape} {short_list.dtype}"
        )
    ordered = np.sort(short_list, axis=1)
    if ((ordered < 0) | (ordered >= n_gallery)).any() or (ordered[:, 1:] == ordered[:, :-1]).any():
        raise CodesError(f"expected short lists of different rows between 0 and {n_gallery - 1}, got others")
