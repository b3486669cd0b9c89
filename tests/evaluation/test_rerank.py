"""Re-ranking against sets and loops, what must not change it, and the scores of what it gives."""

import tracemalloc

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitreid.codes import Codes, pack_bits, unpack
from bitreid.errors import CodesError, DataError, SettingsError
from bitreid.evaluation import comparison, evaluate_ranking
from bitreid.evaluation.rerank import (
    evaluate_reranked,
    expand_queries,
    nearest_rows,
    rerank_k_reciprocal,
    short_list_distances,
)
from tests.reference import ranking as ranking_twin
from tests.reference import rerank as twin
from tests.reference.search import hamming

Rng = np.random.Generator
Ints = npt.NDArray[np.int64]
Features = npt.NDArray[np.float32]
KINDS = pytest.mark.parametrize("kind", ["codes", "features"])


def crowd(rng: Rng, n_people: int, n_each: int, n_bits: int, kind: str = "codes") -> tuple[Codes | Features, Ints]:
    """Pictures of people, each a noisy copy of its person's bits, shuffled; and who is on them."""
    pids = rng.permutation(np.repeat(np.arange(1, n_people + 1), n_each))
    people = rng.random((n_people, n_bits)) < 0.5
    bits = people[pids - 1] ^ (rng.random((len(pids), n_bits)) < 0.25)
    if kind == "codes":
        return pack_bits(bits), pids
    noise = rng.standard_normal(bits.shape) * 0.5
    return (np.where(bits, 1.0, -1.0) + noise).astype(np.float32), pids


def whole(n_queries: int, n_gallery: int) -> Ints:
    """Short lists that are the gallery."""
    return np.tile(np.arange(n_gallery), (n_queries, 1))


def bit_distances(query: Codes, rows: Codes) -> list[list[float]]:
    """The cosine distances between all of a query and some rows, by counting bits."""
    nodes = [*unpack(query), *unpack(rows)]
    return [[2 * hamming(a, b) / query.n_bits for b in nodes] for a in nodes]


@given(
    st.integers(0, 10_000),
    st.integers(1, 12),
    st.sampled_from([8, 16]),
    st.integers(1, 7),
    st.integers(1, 5),
    st.sampled_from([0.0, 0.3, 1.0]),
)
def test_a_whole_gallery_is_reranked_as_sets_do(
    seed: int, n_gallery: int, n_bits: int, k1: int, k2: int, lam: float
) -> None:
    """Codes so short that most distances tie, with ids in another order than the rows."""
    rng = np.random.default_rng(seed)
    queries = pack_bits(rng.random((2, n_bits)) < 0.3)
    gallery = pack_bits(rng.random((n_gallery, n_bits)) < 0.3)
    ids = rng.permutation(n_gallery) - 3
    found = rerank_k_reciprocal(queries, gallery, whole(2, n_gallery), k1, k2, lam, ids)
    wanted = [twin.k_reciprocal(bit_distances(queries[i : i + 1], gallery), ids.tolist(), k1, k2, lam) for i in (0, 1)]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)


@KINDS
def test_a_short_list_is_reranked_as_a_gallery_of_its_rows(kind: str) -> None:
    rng = np.random.default_rng(1)
    gallery, _ = crowd(rng, 20, 6, 64, kind)
    queries = gallery[:3]
    short_list = rng.permuted(nearest_rows(queries, gallery, 45), axis=1)
    found = rerank_k_reciprocal(queries, gallery, short_list)
    for i, rows in enumerate(short_list):
        if isinstance(gallery, Codes) and isinstance(queries, Codes):
            distances = bit_distances(queries[i : i + 1], gallery[rows])
        else:
            nodes = np.concatenate([queries[i : i + 1], gallery[rows]]).tolist()
            distances = [[ranking_twin.cosine_distance(a, b) for b in nodes] for a in nodes]
        wanted = twin.k_reciprocal(distances, rows.tolist(), 20, 6, 0.3)
        np.testing.assert_allclose(found[i], wanted, rtol=0, atol=2e-6)


@KINDS
@given(st.integers(0, 10_000))
def test_the_order_of_the_gallery_changes_nothing(kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    gallery, _ = crowd(rng, 8, 4, 16, kind)
    queries, ids = gallery[:4], rng.permutation(32)
    order = rng.permutation(32)
    place = np.argsort(order)
    short_list = nearest_rows(queries, gallery, 20, ids)
    assert nearest_rows(queries, gallery[order], 20, ids[order]).tolist() == place[short_list].tolist()
    found = rerank_k_reciprocal(queries, gallery, short_list, 5, 3, ids=ids)
    columns = rng.permutation(20)
    moved = rerank_k_reciprocal(queries, gallery[order], place[short_list][:, columns], 5, 3, ids=ids[order])
    assert moved.tolist() == found[:, columns].tolist()


@KINDS
def test_other_queries_change_nothing(kind: str) -> None:
    rng = np.random.default_rng(2)
    gallery, _ = crowd(rng, 10, 5, 32, kind)
    queries = gallery[::7]
    short_list = nearest_rows(queries, gallery, 30)
    together = rerank_k_reciprocal(queries, gallery, short_list)
    for i in range(len(queries)):
        one = slice(i, i + 1)
        assert rerank_k_reciprocal(queries[one], gallery, short_list[one])[0].tolist() == together[i].tolist()


@KINDS
def test_lam_1_is_the_old_order(kind: str) -> None:
    rng = np.random.default_rng(3)
    gallery, _ = crowd(rng, 12, 5, 24, kind)
    short_list = nearest_rows(gallery, gallery, 30)
    distances = rerank_k_reciprocal(gallery, gallery, short_list, lam=1)
    np.testing.assert_allclose(distances, short_list_distances(gallery, gallery, short_list), rtol=0, atol=1e-7)
    assert (np.diff(distances, axis=1) >= 0).all()
    assert short_list[:, 0].tolist() == list(range(60))


@KINDS
def test_a_second_look_finds_more_of_the_crowd(kind: str) -> None:
    """By k-reciprocal encoding, and by expanded queries; neither knows who is who."""
    rng = np.random.default_rng(4)
    pictures, pids = crowd(rng, 40, 10, 64, kind)
    queries, gallery = pictures[:60], pictures[60:]
    people = pids[:60], np.zeros(60, np.int64), pids[60:], np.ones(340, np.int64)
    short_list = nearest_rows(queries, gallery, 100)
    before = evaluate_ranking(queries, gallery, *people).expected.mAP
    expanded = expand_queries(queries, gallery, short_list[:, :5], alpha=1)
    for distances in (
        rerank_k_reciprocal(queries, gallery, short_list, k1=10, k2=4),
        short_list_distances(expanded, gallery, short_list),
    ):
        after = evaluate_reranked(queries, gallery, short_list, distances, *people).expected.mAP
        assert before + 0.05 < after < 0.99


def test_memory_does_not_grow_with_the_gallery() -> None:
    rng = np.random.default_rng(5)
    gallery = Codes(rng.integers(0, 256, (20_000, 8), dtype=np.uint8), 64)
    short_list = np.stack([rng.permutation(20_000)[:60] for _ in range(10)])
    rerank_k_reciprocal(gallery[:10], gallery, short_list)
    tracemalloc.start()
    rerank_k_reciprocal(gallery[:10], gallery, short_list)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20  # a row of floats a query would be 800 KB, a graph of the gallery 1.6 GB


def test_the_nearest_features_are_the_first_of_the_sorted_list(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    queries, gallery = (rng.integers(-1, 2, (n, 3)).astype(np.float32) for n in (5, 40))  # some are all zeros
    ids = rng.permutation(40)
    distances = [[ranking_twin.cosine_distance(q, g) for g in gallery.tolist()] for q in queries.tolist()]
    monkeypatch.setattr(comparison, "_BLOCK_BYTES", 7 * 8 * 3)
    found = nearest_rows(queries, gallery, 15, ids)
    for line, rows in zip(distances, found, strict=True):
        assert rows.tolist() == sorted(range(40), key=lambda row: (line[row], ids[row]))[:15]
    assert nearest_rows(queries, gallery, 99).shape == (5, 40)


@KINDS
@given(st.integers(0, 10_000), st.integers(0, 5), st.sampled_from([0.0, 1.0, 3.0]))
def test_queries_expand_as_loops_do(kind: str, seed: int, m: int, alpha: float) -> None:
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((9, 8)).astype(np.float32)
    rows: Codes | Features = features
    if kind == "codes":
        rows, features = pack_bits(features > 0), np.sign(features)
    neighbours = np.stack([rng.permutation(9)[:m] for _ in range(3)])
    found = expand_queries(rows[:3], rows, neighbours, alpha)
    assert found.dtype == np.float32
    for i, chosen in enumerate(neighbours):
        wanted = twin.expanded_vector(features[i].tolist(), features[chosen].tolist(), alpha)
        np.testing.assert_allclose(found[i], wanted, rtol=0, atol=1e-5)


def test_codes_and_their_signs_are_the_same() -> None:
    rng = np.random.default_rng(7)
    codes, _ = crowd(rng, 10, 5, 32)
    assert isinstance(codes, Codes)
    signs = np.where(unpack(codes), 3.0, -3.0)
    short_list = nearest_rows(codes[:5], codes, 30)
    assert nearest_rows(signs[:5], codes, 30).tolist() == short_list.tolist()
    for gallery in (codes, signs):
        for function in (short_list_distances, rerank_k_reciprocal):
            wanted = function(codes[:5], codes, short_list)
            np.testing.assert_allclose(function(signs[:5], gallery, short_list), wanted, rtol=0, atol=1e-6)


@given(st.integers(0, 10_000))
def test_reranked_lists_score_as_every_tie_order_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    queries, gallery = pack_bits(rng.random((3, 8)) < 0.3), pack_bits(rng.random((6, 8)) < 0.3)
    query_pids, gallery_pids = np.array([1, 2, 1]), np.array([1, *rng.choice([1, 2, 0, -1], 5)])
    query_camids, gallery_camids = np.array([1, 2, -2]), np.array([3, *rng.integers(1, 3, 5)])
    short_list = np.stack([rng.permutation(6)[:3] for _ in range(3)])
    new = rng.integers(-2, 2, (3, 3)).astype(np.float32)
    metrics = evaluate_reranked(
        queries, gallery, short_list, new, query_pids, query_camids, gallery_pids, gallery_camids, n_ranks=4
    )
    results = []
    for i in range(3):
        # Rows of the short list are at -2 to 1; the others, whose old distances are 0 to 8 bits, are sent far behind.
        distances = [100.0 + hamming(unpack(queries)[i], code) for code in unpack(gallery)]
        for row, distance in zip(short_list[i].tolist(), new[i].tolist(), strict=True):
            distances[row] = distance
        verdict = ranking_twin.verdicts(
            int(query_pids[i]), int(query_camids[i]), gallery_pids.tolist(), gallery_camids.tolist()
        )
        results.append(ranking_twin.one_query(distances, verdict, 4))
    scored = [result for result in results if result is not None]
    assert (metrics.n_queries, metrics.n_without_match) == (3, 3 - len(scored))
    for which, scores in enumerate((metrics.expected, metrics.best, metrics.worst)):
        wanted = ranking_twin.mean([result[which] for result in scored])
        np.testing.assert_allclose(scores.cmc, wanted.cmc, rtol=0, atol=1e-12)
        assert (scores.mAP, scores.mINP) == pytest.approx((wanted.ap, wanted.inp), abs=1e-12)
    aps = [np.nan if result is None else result[0].ap for result in results]
    np.testing.assert_allclose(metrics.average_precision, aps, rtol=0, atol=1e-12)


@KINDS
@pytest.mark.parametrize("w", [0, 70])
def test_a_list_in_its_old_order_scores_as_before(kind: str, w: int) -> None:
    """Nobody is re-ranked, or everybody and to the same distances."""
    rng = np.random.default_rng(8)
    gallery, pids = crowd(rng, 14, 5, 16, kind)
    people = pids[:20], np.full(20, 9), pids, np.arange(70) % 3
    short_list = whole(20, 70)[:, :w]
    same = rerank_k_reciprocal(gallery[:20], gallery, short_list, lam=1)
    found = evaluate_reranked(gallery[:20], gallery, short_list, same, *people)
    wanted = evaluate_ranking(gallery[:20], gallery, *people)
    for which in ("expected", "best", "worst"):
        np.testing.assert_allclose(getattr(found, which).cmc, getattr(wanted, which).cmc, rtol=0, atol=1e-12)
        assert getattr(found, which).mAP == pytest.approx(getattr(wanted, which).mAP, abs=1e-12)


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float64"])
def test_rows_outside_the_short_list_come_after_its_largest_distance(dtype: str) -> None:
    """In the short list the match is at 255, to which uint8 can add nothing; outside is the query's own code."""
    codes, one, camids = Codes(np.array([[0], [255]], np.uint8), 8), np.array([1]), np.array([2, 2])
    found = evaluate_reranked(
        codes[:1], codes, np.array([[1]]), np.array([[255]]).astype(dtype), one, one, np.array([2, 1]), camids
    )
    assert found.worst.rank1 == 1


@KINDS
@given(st.integers(0, 10_000))
def test_the_order_of_the_gallery_changes_no_score(kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    gallery, pids = crowd(rng, 8, 4, 16, kind)
    camids, new = rng.integers(0, 3, 32), rng.integers(0, 3, (4, 12))
    short_list = np.stack([rng.permutation(32)[:12] for _ in range(4)])
    order = rng.permutation(32)
    place = np.argsort(order)
    query = gallery[:4], pids[:4], np.full(4, 9)
    found = evaluate_reranked(query[0], gallery, short_list, new, *query[1:], pids, camids)
    moved = evaluate_reranked(query[0], gallery[order], place[short_list], new, *query[1:], pids[order], camids[order])
    np.testing.assert_allclose(moved.average_precision, found.average_precision, rtol=0, atol=1e-12)
    np.testing.assert_allclose(moved.expected.cmc, found.expected.cmc, rtol=0, atol=1e-12)


def test_impossible_settings_are_refused() -> None:
    codes, features = pack_bits(np.ones((3, 8), np.bool_)), np.ones((3, 4), np.float32)
    people = np.array([1, 2, 3]), np.zeros(3, np.int64), np.array([1, 2, 3]), np.ones(3, np.int64)
    for k1, k2, lam in ((0, 6, 0.3), (20, 0, 0.3), (20, 6, 1.1), (20, 6, float("nan"))):
        with pytest.raises(SettingsError, match=f"got {k1}, {k2} and {lam}"):
            rerank_k_reciprocal(codes, codes, whole(3, 3), k1, k2, lam)
    for side in (codes, features):
        with pytest.raises(SettingsError, match="number of gallery rows, at least 1, got 0"):
            nearest_rows(side, side, 0)
    with pytest.raises(SettingsError, match="alpha of at least 0, got -1"):
        expand_queries(codes, codes, whole(3, 3), -1)
    with pytest.raises(SettingsError, match="n_ranks of at least 1, got 0"):
        evaluate_reranked(codes, codes, whole(3, 3), whole(3, 3), *people, n_ranks=0)


def test_arguments_that_do_not_fit_are_refused() -> None:
    codes, features = pack_bits(np.ones((3, 8), np.bool_)), np.ones((3, 4), np.float32)
    everything = whole(3, 3)
    people = np.array([1, 2, 3]), np.zeros(3, np.int64), np.array([4, 5, 6]), np.ones(3, np.int64)
    with pytest.raises(CodesError, match="one width, got 8 and 4 numbers"):
        rerank_k_reciprocal(codes, features, everything)
    with pytest.raises(CodesError, match="one length, got 8 and 16 bits"):
        rerank_k_reciprocal(codes, pack_bits(np.ones((3, 16), np.bool_)), everything)
    with pytest.raises(CodesError, match="one width, got 4 and 3"):
        nearest_rows(features, features[:, :3], 1)
    with pytest.raises(CodesError, match="query features of shape"):
        nearest_rows(features[0], features, 1)
    with pytest.raises(CodesError, match="finite gallery features"):
        short_list_distances(features, features * np.float32(np.nan), everything)
    with pytest.raises(CodesError, match=r"short list of shape \(3, w\) int64, got \(2, 3\)"):
        short_list_distances(codes, codes, everything[:2])
    for wrong in (3, -1, 1):
        short_list = everything.copy()
        short_list[1, 0] = wrong
        with pytest.raises(CodesError, match="different rows between 0 and 2, got others"):
            expand_queries(codes, codes, short_list)
    with pytest.raises(CodesError, match=r"ids of shape \(3,\) int64"):
        rerank_k_reciprocal(codes, codes, everything, ids=np.arange(2))
    with pytest.raises(CodesError, match=r"finite distances of shape \(3, 3\), got shape \(3, 2\)"):
        evaluate_reranked(codes, codes, everything, everything[:, :2], *people)
    with pytest.raises(CodesError, match="finite distances"):
        evaluate_reranked(codes, codes, everything, everything * np.nan, *people)
    with pytest.raises(DataError, match="got none among 3 queries"):
        evaluate_reranked(codes, codes, everything, everything, *people)
    none = np.zeros(0, np.int64)
    with pytest.raises(DataError, match="got none among 0 queries"):
        evaluate_reranked(codes[:0], codes, everything[:0], everything[:0], none, none, people[2], people[3])
    assert rerank_k_reciprocal(codes[:0], codes, everything[:0]).shape == (0, 3)
    with pytest.raises(DataError, match="a pid for each of 2 queries"):
        evaluate_reranked(codes[:2], codes, everything[:2], everything[:2], *people)
