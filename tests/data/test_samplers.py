"""Batches and held-out identities: properties that hold for every data set."""

from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitreid.data.manifest import DISTRACTOR, JUNK, UNKNOWN, Manifest
from bitreid.data.samplers import (
    check_training_identities,
    held_out_pictures,
    hold_out_identities,
    pk_batches,
    split_validation,
)
from bitreid.errors import DataError, DataWarning, SettingsError

COUNTS = st.lists(st.integers(1, 30), min_size=4, max_size=20)
SEEDS = st.integers(0, 2**32)


def shuffled_pids(counts: list[int], seed: int = 0) -> npt.NDArray[np.int64]:
    """Identity 10, 20, ... as often as `counts` says, with rows of nobody between them."""
    pids = np.repeat(np.arange(1, len(counts) + 1) * 10, counts)
    return np.random.default_rng(seed).permutation(np.concatenate([pids, [JUNK, DISTRACTOR, UNKNOWN]]))


class TestPkBatches:
    @given(COUNTS, st.integers(1, 4), st.integers(1, 6), SEEDS, st.integers(0, 500))
    def test_a_batch_has_p_identities_with_k_rows_each(
        self, counts: list[int], p: int, k: int, seed: int, epoch: int
    ) -> None:
        pids = shuffled_pids(counts)
        for batch in pk_batches(pids, p, k, seed, epoch):
            assert batch.shape == (p * k,)
            assert batch.dtype == np.int64
            of_batch = pids[batch].reshape(p, k)
            assert (of_batch == of_batch[:, :1]).all()
            assert len(set(of_batch[:, 0].tolist())) == p
            assert of_batch.min() > 0

    @given(COUNTS, st.integers(1, 4), st.integers(1, 6), SEEDS)
    def test_every_picture_is_shown_and_pictures_repeat_only_when_they_must(
        self, counts: list[int], p: int, k: int, seed: int
    ) -> None:
        pids = shuffled_pids(counts)
        batches = pk_batches(pids, p, k, seed, 0)
        assert set(np.concatenate(batches).tolist()) == set(np.flatnonzero(pids > 0).tolist())
        of_identity = {int(pid): int((pids == pid).sum()) for pid in np.unique(pids)}
        for batch in batches:
            for rows in batch.reshape(p, k):
                shown = Counter(rows.tolist())
                assert len(shown) == min(k, of_identity[int(pids[rows[0]])])
                assert max(shown.values()) - min(shown.values()) <= 1

    @given(COUNTS, st.integers(1, 4), st.integers(1, 6), SEEDS)
    def test_there_is_no_batch_too_many(self, counts: list[int], p: int, k: int, seed: int) -> None:
        """One batch fewer could not hold all chunks of `k`, or not all of the largest identity."""
        n_batches = len(pk_batches(shuffled_pids(counts), p, k, seed, 0))
        chunks = [len(range(0, count, k)) for count in counts]
        assert (n_batches - 1) * p < sum(chunks) or n_batches - 1 < max(chunks)
        assert n_batches * p >= sum(chunks)

    def test_equal_identities_show_every_picture_exactly_once(self) -> None:
        pids = shuffled_pids([8] * 12)
        rows = np.concatenate(pk_batches(pids, 4, 4, 3, 5))
        assert sorted(rows.tolist()) == np.flatnonzero(pids > 0).tolist()

    @given(COUNTS, SEEDS, st.integers(0, 500))
    def test_seed_and_epoch_alone_decide(self, counts: list[int], seed: int, epoch: int) -> None:
        pids = shuffled_pids(counts)
        first = pk_batches(pids, 3, 4, seed, epoch)
        pk_batches(pids, 3, 4, seed, epoch + 1)
        again = pk_batches(pids, 3, 4, seed, epoch)
        assert np.array_equal(first, again)

    def test_epochs_and_seeds_differ(self) -> None:
        pids = shuffled_pids([8] * 12)
        drawn = {tuple(np.concatenate(pk_batches(pids, 4, 4, *key)).tolist()) for key in [(0, 0), (0, 1), (1, 0)]}
        assert len(drawn) == 3

    def test_batches_mix_identities(self) -> None:
        """Identities meet many others within one epoch, also when their counts differ."""
        pids = shuffled_pids([4, 8, 12, 16] * 10)
        met: dict[int, set[int]] = {}
        for batch in pk_batches(pids, 4, 4, 0, 0):
            people = set(pids[batch].tolist())
            for pid in people:
                met.setdefault(pid, set()).update(people - {pid})
        sixteen = [len(met[pid]) for pid in met if (pids == pid).sum() == 16]
        assert min(sixteen) >= 8

    def test_large_identities_do_not_come_first(self) -> None:
        pids = shuffled_pids([4, 8, 12, 16] * 10)
        firsts = np.concatenate([pk_batches(pids, 4, 4, seed, 0)[0] for seed in range(20)])
        of_largest = np.mean([(pids == pids[row]).sum() == 16 for row in firsts])
        assert 0.2 < of_largest < 0.6  # 4 of 10 chunks are theirs

    def test_pictures_meet_others_of_their_identity_from_epoch_to_epoch(self) -> None:
        pids = np.repeat(np.array([1, 2]), 8)
        met = {
            tuple(sorted(rows.tolist()))
            for epoch in range(10)
            for batch in pk_batches(pids, 2, 4, 0, epoch)
            for rows in batch.reshape(2, 4)
        }
        assert len(met) > 20

    def test_too_few_identities_are_refused(self) -> None:
        with pytest.raises(DataError, match="at least 4 identities for batches of 4 x 2, got 3"):
            pk_batches(shuffled_pids([5, 5, 5]), 4, 2, 0, 0)
        with pytest.raises(DataError, match="got 0"):
            pk_batches(np.array([JUNK, DISTRACTOR]), 1, 1, 0, 0)

    @pytest.mark.parametrize("settings", [(0, 4, 0, 0), (4, 0, 0, 0), (4, 4, -1, 0), (4, 4, 0, -1)])
    def test_impossible_settings_are_refused(self, settings: tuple[int, int, int, int]) -> None:
        with pytest.raises(SettingsError, match="expected n_identities and n_pictures of at least 1"):
            pk_batches(shuffled_pids([5] * 5), *settings)


def make_manifest(*rows: tuple[int, int]) -> Manifest:
    """A training manifest of (pid, camid) rows; the paths are in reverse order of the rows."""
    return Manifest(
        tuple(Path(f"{len(rows) - i:03d}.jpg") for i in range(len(rows))),
        np.array([pid for pid, _ in rows], dtype=np.int64),
        np.array([camid for _, camid in rows], dtype=np.int64),
        ("train",) * len(rows),
    )


class TestCheckTrainingIdentities:
    def test_enough_pictures_pass_in_silence(self) -> None:
        check_training_identities(make_manifest((1, 1), (1, 2), (2, 1), (2, 1), (DISTRACTOR, 1)))

    def test_identities_with_one_picture_are_counted(self) -> None:
        with pytest.warns(DataWarning, match=r"^2 of 3 training identities have only one picture; first: 002\.jpg$"):
            check_training_identities(make_manifest((1, 1), (1, 2), (3, 1), (2, 1), (JUNK, 1)))

    @pytest.mark.parametrize("rows", [[], [(1, 1), (1, 2), (DISTRACTOR, 1)]])
    def test_fewer_than_two_identities_are_refused(self, rows: list[tuple[int, int]]) -> None:
        with pytest.raises(DataError, match="at least 2 identities to train on"):
            check_training_identities(make_manifest(*rows))


class TestHoldOut:
    @given(COUNTS, st.integers(0, 3), SEEDS)
    def test_held_out_are_n_real_people_sorted_and_repeatable(self, counts: list[int], n: int, seed: int) -> None:
        pids = shuffled_pids(counts)
        held_out = hold_out_identities(pids, n, seed)
        assert len(held_out) == n
        assert sorted(set(held_out.tolist())) == held_out.tolist()
        assert set(held_out.tolist()) <= set(pids[pids > 0].tolist())
        assert np.array_equal(held_out, hold_out_identities(np.sort(pids), n, seed))

    def test_seeds_differ(self) -> None:
        pids = np.arange(1, 101)
        assert not np.array_equal(hold_out_identities(pids, 10, 0), hold_out_identities(pids, 10, 1))

    @pytest.mark.parametrize(("n", "seed"), [(4, 0), (-1, 0), (1, -1)])
    def test_impossible_numbers_are_refused(self, n: int, seed: int) -> None:
        with pytest.raises(SettingsError, match=f"0 to 3 of 4 identities .* got {n} and seed {seed}"):
            hold_out_identities(shuffled_pids([2] * 4), n, seed)


class TestHeldOutPictures:
    """Of people 1 to 6, each seen by two cameras, and a distractor."""

    @staticmethod
    def data() -> Manifest:
        return make_manifest(*((pid, camid) for pid in (3, 1, 5, DISTRACTOR, 2, 6, 4) for camid in (1, 2)))

    @staticmethod
    def training(**changes: object) -> dict[str, object]:
        return {"recipe": {"held_out_identities": 2, "seed": 7}, "identities": 4, "pictures": 8} | changes

    def test_they_are_those_of_the_run(self) -> None:
        data = self.data()
        split = split_validation(data, hold_out_identities(data.pids, 2, 7))
        rows = np.sort(np.concatenate([split.query, split.gallery]))
        assert held_out_pictures(data, self.training()).paths == data.take(rows).paths
        assert len(rows) == 4

    @pytest.mark.parametrize(
        "recipe", [None, {}, {"seed": 7}, {"held_out_identities": 2}, {"held_out_identities": 0, "seed": 7}]
    )
    def test_a_card_that_does_not_say_who_was_held_out_is_refused(self, recipe: object) -> None:
        with pytest.raises(DataError, match="a card that says which training identities its run held out"):
            held_out_pictures(self.data(), self.training(recipe=recipe))

    @pytest.mark.parametrize(
        "changes", [{"identities": 5}, {"pictures": 9}, {"recipe": {"held_out_identities": 6, "seed": 7}}]
    )
    def test_other_data_is_refused(self, changes: dict[str, object]) -> None:
        with pytest.raises(DataError, match="expected the data that the model was trained on"):
            held_out_pictures(self.data(), self.training(**changes))


class TestSplitValidation:
    def test_the_first_picture_of_each_camera_is_a_query(self) -> None:
        manifest = make_manifest((1, 1), (1, 1), (1, 2), (1, 2), (9, 1), (DISTRACTOR, 1), (9, 2))
        split = split_validation(manifest, np.array([1]))
        assert split.query.tolist() == [1, 3]
        assert split.gallery.tolist() == [0, 2]
        assert split.train.tolist() == [4, 6]

    def test_a_camera_with_one_picture_leaves_it_in_the_gallery(self) -> None:
        split = split_validation(make_manifest((1, 1), (1, 1), (1, 2)), np.array([1]))
        assert (split.query.tolist(), split.gallery.tolist()) == ([1], [0, 2])

    def test_cameras_with_one_picture_each_make_one_query(self) -> None:
        split = split_validation(make_manifest((1, 1), (1, 2), (1, 3)), np.array([1]))
        assert (split.query.tolist(), split.gallery.tolist()) == ([2], [0, 1])

    def test_unknown_cameras_make_one_query(self) -> None:
        manifest = make_manifest((1, UNKNOWN), (1, UNKNOWN), (2, UNKNOWN), (3, 1), (3, 2))
        split = split_validation(manifest, np.array([1, 2]))
        assert (split.query.tolist(), split.gallery.tolist()) == ([1], [0, 2])

    def test_identities_of_one_camera_make_no_query(self) -> None:
        manifest = make_manifest((1, 1), (1, 1), (2, 1), (2, 2), (3, 1))
        assert split_validation(manifest, np.array([1, 2])).query.tolist() == [3]
        with pytest.raises(DataError, match="that two cameras have seen, got none among 1"):
            split_validation(manifest, np.array([1]))

    @given(st.lists(st.tuples(st.integers(-1, 8), st.integers(1, 3)), max_size=60), st.sets(st.integers(-1, 9)))
    def test_every_row_has_one_place_and_every_query_a_match(
        self, rows: list[tuple[int, int]], held_out: set[int]
    ) -> None:
        manifest = make_manifest(*rows)
        try:
            split = split_validation(manifest, np.array(sorted(held_out), dtype=np.int64))
        except DataError:
            cameras = {pid: {camid for p, camid in rows if p == pid} for pid in held_out if pid > 0}
            assert all(len(seen) < 2 for seen in cameras.values())
            return
        everything = np.concatenate(split)
        assert sorted(everything.tolist()) == np.flatnonzero(manifest.pids > 0).tolist()
        assert not set(manifest.pids[split.train].tolist()) & held_out
        for row in split.query.tolist():
            same = manifest.pids[split.gallery] == manifest.pids[row]
            assert (manifest.camids[split.gallery][same] != manifest.camids[row]).any()
