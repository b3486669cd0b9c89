"""Searches of a gallery on a Milvus server: by code, in two stages, in the nearest lists, and by description."""

from collections.abc import Mapping, Sequence
from itertools import chain, islice

import numpy as np

from bitreid.errors import Unsupported
from bitreid.gallery.description import Description
from bitreid.gallery.items import Hit
from bitreid.gallery.milvus.filter import both, keys_in, levels
from bitreid.gallery.milvus.items import ItemCollections
from bitreid.gallery.milvus.lists import Lists
from bitreid.gallery.milvus.rows import HIT, codes_of, hit_of
from bitreid.gallery.milvus.server import ALL_LISTS, SOON, Near, Row, Server
from bitreid.gallery.requests import Found, Request
from bitreid.hamming import Ranking, rescore, search_exact


def find(server: Server, items: ItemCollections, lists: Lists | None, request: Request, where: str) -> Found:
    """Return the nearest items for which `where` holds."""
    check_most(server, "k", request.k)
    n_found, n = min(request.n_short, server.most_rows), server.count(items.record, where)
    visited = [n] * len(request.queries)
    if request.w is not None and request.short is not None:
        check_most(server, "w", request.w)
        short = server.nearest(items.short, request.short, request.w, where, [], n)
        kept = [sorted(near.key for near in each) for each in short]
        found = [_ranked(server, items.record, request, i, keys, n_found) for i, keys in enumerate(kept)]
    elif request.mask is not None:
        raise Unsupported("expected w in a search by parts of the body on Milvus, got none; search in two stages")
    elif request.clustered is not None and lists is not None:
        found, visited = _clustered(server, items.record, lists, request, n_found, where, n)
    else:
        found = server.nearest(items.record, request.queries, n_found, where, HIT, n, SOON)
    if request.features is not None:
        found = [_rescored(server, items.record, request, i, near) for i, near in enumerate(found)]
    return Found([[hit_of(near) for near in each] for each in found], n, visited)


def describe(server: Server, record: str, description: Description, k: int, where: str, n: int) -> list[Hit]:
    """Return the `k` items that are nearest to a description, of `n` for which `where` holds."""
    found: list[Hit] = []
    for weight, conditions in levels(description):
        if len(found) == min(k, n):
            break
        left = k - len(found)
        near = []
        for each in conditions:
            rows = chain.from_iterable(server.rows(record, both(where, each), HIT, size=left))
            near += [Near(weight, row["key"], row) for row in islice(rows, left)]
        near.sort(key=lambda each: each.key)
        found += [hit_of(each)._replace(distance=description.distance(weight)) for each in near[:left]]
    return found


def check_most(server: Server, name: str, number: int) -> None:
    """Check that the server returns so many rows; else `Unsupported`."""
    if number > server.most_rows:
        raise Unsupported(
            f"expected {name} of at most {server.most_rows}, which is the limit of the Milvus server, got {number}; "
            "ask for fewer"
        )


def _clustered(
    server: Server, record: str, lists: Lists, request: Request, k: int, where: str, n: int
) -> tuple[list[list[Near]], list[int]]:
    """Return the `k` nearest items in the nearest lists of each query, and about how many items these hold.

    All lists are visited where fewer items are in these than were asked for.
    """
    assert request.clustered is not None, "a clustered search has a recall"
    share = n / max(server.count(record, ""), 1) if where else 1.0
    probed, held = lists.probed(request.clustered, k, share)
    found = server.nearest(record, request.queries, k, where, HIT, n, SOON, probed)
    visited = [round(held * n)] * len(found)
    few = [i for i, near in enumerate(found) if len(near) < min(k, n)] if probed < ALL_LISTS else []
    if few:
        again = server.nearest(record, request.queries[np.array(few)], k, where, HIT, n, SOON)
        for i, near in zip(few, again, strict=True):
            found[i], visited[i] = near, n
    return found, visited


def _ranked(server: Server, record: str, request: Request, query: int, keys: list[int], n: int) -> list[Near]:
    """Return the `n` items of these keys that are nearest to one of the queries."""
    code = request.queries[query : query + 1]
    if not keys:
        return []
    if request.mask is None:
        return server.nearest(record, code, min(n, len(keys)), keys_in(keys), HIT, len(keys), SOON)[0]
    return _by_parts(server.of_keys(record, keys, [*HIT, "code"], SOON), request, query, n)


def _by_parts(rows: Mapping[int, Row], request: Request, query: int, n: int) -> list[Near]:
    """Return the `n` rows, given by key and with their codes, that are nearest to a query by the bits of a mask."""
    codes, ids = codes_of(rows.values(), request.queries.n_bits), np.fromiter(rows, np.int64, len(rows))
    ranking = search_exact(request.queries[query : query + 1], codes, n, ids, bits=request.mask)
    pairs = zip(ranking.distances[0].tolist(), ids[ranking.positions[0]].tolist(), strict=True)
    return [Near(distance, key, rows[key]) for distance, key in pairs]


def _rescored(server: Server, record: str, request: Request, query: int, near: Sequence[Near]) -> list[Near]:
    """Return the first `k` of a query's short list, rescored; those without a row were deleted meanwhile."""
    assert request.features is not None, "a search that is rescored has features"
    rows = server.of_keys(record, [each.key for each in near], ["code"], SOON)
    near = [each for each in near if each.key in rows]
    codes = codes_of((rows[each.key] for each in near), request.queries.n_bits)
    distances = np.array([[each.distance for each in near]], np.int32).reshape(1, len(near))
    short_list = Ranking(np.arange(len(near))[None], distances)
    ids = np.array([each.key for each in near], np.int64)
    features = request.features[query : query + 1]
    found = rescore(features, codes, short_list, request.k, ids, bits=request.mask)
    return [near[row] for row in found.positions[0]]
