"""Twin of `bitreid.evaluation.rerank`: k-reciprocal re-ranking with sets, and means one number at a time.

Node 0 of a graph is the query, node i + 1 the gallery's row i; `distances[a][b]` are between nodes.
"""

from collections.abc import Sequence
from functools import cache
from math import exp, inf, sqrt

Matrix = Sequence[Sequence[float]]


def k_reciprocal(distances: Matrix, ids: Sequence[int], k1: int, k2: int, lam: float) -> list[float]:
    """The new distance of each gallery row, in the words of Zhong et al. (CVPR 2017), section 3."""
    nodes = range(len(distances))
    names = [-inf, *ids]

    @cache
    def nearest(node: int) -> list[int]:
        """All nodes, the node itself first, then by (distance, id)."""
        return sorted(nodes, key=lambda other: (other != node, distances[node][other], names[other]))

    @cache
    def reciprocal(node: int, k: int) -> set[int]:
        """R(node, k): k others and the node itself, less those that do not have it among theirs."""
        return {other for other in nearest(node)[: k + 1] if node in nearest(other)[: k + 1]}

    @cache
    def encoding(node: int) -> dict[int, float]:
        members = set(reciprocal(node, k1))
        for candidate in reciprocal(node, k1):
            joining = reciprocal(candidate, round(k1 / 2))
            if len(joining & reciprocal(node, k1)) >= len(joining) * 2 / 3:
                members |= joining
        weights = {member: exp(-distances[node][member]) for member in members}
        total = sum(weights.values())
        return {member: weight / total for member, weight in weights.items()}

    @cache
    def expanded(node: int) -> dict[int, float]:
        """The mean encoding of the k2 nearest nodes."""
        group = nearest(node)[:k2]
        return {other: sum(encoding(each).get(other, 0) for each in group) / len(group) for other in nodes}

    def jaccard(node: int) -> float:
        ours, theirs = expanded(0), expanded(node)
        overlap = sum(min(ours[each], theirs[each]) for each in nodes)
        union = sum(max(ours[each], theirs[each]) for each in nodes)
        return 1 - overlap / union

    return [(1 - lam) * jaccard(node) + lam * distances[0][node] for node in nodes if node > 0]


def similarity(a: Sequence[float], b: Sequence[float]) -> float:
    """The cosine, no less than 0."""
    lengths = sqrt(sum(x * x for x in a)) * sqrt(sum(y * y for y in b))
    return max(sum(x * y for x, y in zip(a, b, strict=True)) / lengths, 0.0)


def unit(vector: Sequence[float]) -> list[float]:
    length = sqrt(sum(x * x for x in vector))
    return [x / length for x in vector]


def expanded_vector(query: Sequence[float], rows: Sequence[Sequence[float]], alpha: float) -> list[float]:
    """The weighted mean of the query and its rows, all of length 1."""
    weights = [1.0] + [similarity(query, row) ** alpha for row in rows]
    vectors = [unit(vector) for vector in (query, *rows)]
    columns = zip(*vectors, strict=True)
    return [sum(w * x for w, x in zip(weights, column, strict=True)) / sum(weights) for column in columns]
