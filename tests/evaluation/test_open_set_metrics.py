"""Thresholds on pairs and on searches, against lists of distances and thresholds tried one by one."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitreid.codes import Codes
from bitreid.errors import CodesError, DataError, SettingsError
from bitreid.evaluation import open_set_metrics
from bitreid.evaluation.open_set_metrics import PairCounts, count_pairs, identify, verify
from bitreid.evaluation.protocol import Protocol
from tests.evaluation.cases import LEVELS, searches_of, small_case
from tests.reference import open_set_metrics as twin

Features = npt.NDArray[np.float32]


@given(small_case(), st.sampled_from([0.01, 0.2, 0.34, 0.5, 0.9]))
def test_rates_are_those_of_thresholds_tried_one_by_one(case: tuple[Codes, Codes, Protocol], rate: float) -> None:
    searches = searches_of(*case)
    genuine, impostor = ([d for search in searches for d in search[kind]] for kind in (0, 1))
    if not genuine or not impostor:
        with pytest.raises(DataError, match="expected pairs of one person and pairs of two people"):
            count_pairs(*case)
        return
    pairs = count_pairs(*case)
    assert pairs.genuine.tolist() == [genuine.count(level) for level in LEVELS]
    assert pairs.impostor.tolist() == [impostor.count(level) for level in LEVELS]
    verified = verify(pairs, [rate])
    assert (verified.tpr[0], verified.thresholds[0]) == pytest.approx(twin.tpr_at(genuine, impostor, rate, LEVELS))
    if len({*genuine}) > 1 or len({*impostor}) > 1:
        assert verified.d_prime == pytest.approx(twin.d_prime(genuine, impostor))
    identified = identify(pairs, [rate])
    assert (identified.dir[0], identified.thresholds[0]) == pytest.approx(twin.dir_at(searches, rate, LEVELS))
    assert identified.n_gallery == len(case[1])
    assert (identified.n_absent, identified.n_present) == (len(searches), sum(bool(right) for right, _ in searches))


@st.composite
def small_feature_case(draw: st.DrawFn) -> tuple[Features, Features, Protocol]:
    """As `small_case`, with features of which many repeat: their cosine is 1 but for its rounding."""
    queries, gallery, protocol = draw(small_case())
    few = np.random.default_rng(draw(st.integers(0, 99))).standard_normal((3, 33), dtype=np.float32)
    return few[queries.packed[:, 0] % 3], few[gallery.packed[:, 0] % 3], protocol


@given(small_case() | small_feature_case(), st.integers(0, 99))
def test_the_order_of_the_gallery_changes_nothing(
    case: tuple[Codes, Codes, Protocol] | tuple[Features, Features, Protocol], seed: int
) -> None:
    queries, gallery, protocol = case
    order = np.random.default_rng(seed).permutation(len(gallery))
    other = Protocol(
        protocol.query_pids, protocol.query_camids, protocol.gallery_pids[order], protocol.gallery_camids[order]
    )
    try:
        pairs = count_pairs(queries, gallery, protocol)
    except DataError:
        return
    shuffled = count_pairs(queries, gallery[order], other)
    for name in ("genuine", "impostor", "nearest_genuine", "nearest_impostor", "first_is_right"):
        assert np.array_equal(getattr(pairs, name), getattr(shuffled, name)), name


def test_equal_features_are_at_distance_0() -> None:
    features = np.random.default_rng(0).standard_normal((50, 64)).astype(np.float32)
    unknown = np.full(50, -2)
    pairs = count_pairs(features, features, Protocol(people(50), unknown, people(50), unknown))
    assert pairs.genuine[0] == pairs.genuine.sum() == 50


def people(n: int) -> npt.NDArray[np.int64]:
    return np.arange(1, n + 1, dtype=np.int64)


def test_blocks_of_queries_and_gallery_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((70, 8)).astype(np.float32)
    pids = rng.integers(1, 9, 70)
    protocol = Protocol(pids[:20], np.full(20, -2), pids[20:], np.full(50, -2))
    whole = count_pairs(features[:20], features[20:], protocol)
    monkeypatch.setattr(open_set_metrics, "_GALLERY_BLOCK", 7)
    parts = count_pairs(features[:20], features[20:], protocol)
    for name in ("genuine", "impostor", "nearest_genuine", "nearest_impostor", "first_is_right"):
        assert np.array_equal(getattr(whole, name), getattr(parts, name)), name


def test_cosine_distances_are_rounded_up_to_levels() -> None:
    queries = np.array([[1.0, 0.0]], np.float32)
    gallery = np.array([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0], [1.0, 1.0], [0.0, 0.0]], np.float32)
    unknown = np.full(5, -2)
    pairs = count_pairs(queries, gallery, Protocol(people(1), unknown[:1], np.array([1, 2, 2, 2, 2]), unknown))
    assert pairs.unit * np.flatnonzero(pairs.genuine) == pytest.approx([0])
    distances = pairs.unit * np.repeat(np.arange(len(pairs.impostor)), pairs.impostor)
    assert distances == pytest.approx([1 - 0.5**0.5, 1, 1, 2], abs=pairs.unit)
    assert distances[0] >= 1 - 0.5**0.5


def test_people_who_are_never_confused() -> None:
    rng = np.random.default_rng(0)
    codes = Codes(np.repeat(rng.integers(0, 256, (30, 16), np.uint8), 2, axis=0), 128)
    pids, camids = np.repeat(people(30), 2), np.tile(people(2), 30)
    pairs = count_pairs(codes, codes, Protocol(pids, camids, pids, camids))
    assert verify(pairs).tpr == (1, 1, 1)
    assert verify(pairs).d_prime > 5
    assert identify(pairs).dir == (1, 1)
    assert identify(pairs).n_absent == 60


def test_distances_that_never_vary_have_an_infinite_d_prime() -> None:
    def pairs(genuine: list[int], impostor: list[int]) -> PairCounts:
        nobody = np.zeros(1, np.int64)
        return PairCounts(np.array(genuine), np.array(impostor), nobody, nobody, np.zeros(1), 1, 1.0)

    assert verify(pairs([3, 0, 0], [0, 0, 2])).d_prime == np.inf
    assert verify(pairs([0, 0, 3], [2, 0, 0])).d_prime == -np.inf
    assert verify(pairs([0, 3, 0], [0, 2, 0])).d_prime == 0


@pytest.mark.parametrize("rate", [0, 1, -0.1, 2])
def test_a_rate_is_between_0_and_1(rate: float) -> None:
    rng = np.random.default_rng(0)
    codes = Codes(rng.integers(0, 256, (8, 2), np.uint8), 16)
    pids = np.repeat(people(4), 2)
    pairs = count_pairs(codes, codes, Protocol(pids, np.full(8, -2), pids, np.full(8, -2)))
    for judge in (verify, identify):
        with pytest.raises(SettingsError, match="rates between 0 and 1"):
            judge(pairs, [rate])


def test_sides_that_do_not_fit_are_refused() -> None:
    codes, features = Codes(np.zeros((2, 1), np.uint8), 8), np.zeros((2, 3), np.float32)
    protocol = Protocol(people(2), people(2), people(2), people(2))
    with pytest.raises(CodesError, match="one of each"):
        count_pairs(codes, features, protocol)
    with pytest.raises(CodesError, match="one width"):
        count_pairs(features, features[:, :2], protocol)
    with pytest.raises(CodesError, match="finite gallery features"):
        count_pairs(features, features * np.float32(np.nan), protocol)
    with pytest.raises(CodesError, match="one length"):
        count_pairs(codes, Codes(np.zeros((2, 2), np.uint8), 16), protocol)
    with pytest.raises(DataError, match="a pid for each"):
        count_pairs(codes[:1], codes, protocol)
