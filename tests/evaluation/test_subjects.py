"""What is scored, from files of features too; what is warned of; short lists and threads."""

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitreid.data.manifest import UNKNOWN
from bitreid.errors import DataWarning, SettingsError
from bitreid.evaluation import evaluate_ranking
from bitreid.evaluation.protocol import PROTOCOLS
from bitreid.evaluation.settings import EvaluationSettings
from bitreid.evaluation.side import Side
from bitreid.evaluation.subjects import (
    Subject,
    score_subject,
    short_lists,
    subject_of_files,
    warn_of_cameras,
    warn_of_same_pictures,
)
from tests.evaluation.cases import two_sides

RULES = PROTOCOLS["no_cameras"]


@pytest.fixture
def subject() -> Subject:
    return two_sides()


def saved(path: Path, of: Side, **changes: Any) -> Path:
    arrays = {"features": of.features, "pids": of.pids, "camids": of.camids} | changes
    np.savez(path, allow_pickle=False, **{name: value for name, value in arrays.items() if value is not None})
    return path


def test_files_are_scored_as_their_features_are(subject: Subject, tmp_path: Path) -> None:
    found = subject_of_files(saved(tmp_path / "q.npz", subject.query), saved(tmp_path / "g.npz", subject.gallery))
    assert (found.name, found.data, found.card, found.data_path) == ("q", "g", None, None)
    evaluation = score_subject(found.merged(EvaluationSettings()), EvaluationSettings())
    query, gallery = subject.query, subject.gallery
    assert query.features is not None
    assert gallery.features is not None
    people = query.pids, query.camids, gallery.pids, gallery.camids
    assert evaluation.main.expected.mAP == evaluate_ranking(query.features, gallery.features, *people).expected.mAP
    assert (evaluation.codes, evaluation.afr, evaluation.n_features, evaluation.n_gallery) == (None, (), 16, 60)


def test_what_only_one_file_has_is_passed_over(subject: Subject, tmp_path: Path) -> None:
    assert subject.query.codes is not None
    query = saved(tmp_path / "q.npz", subject.query, codes=subject.query.codes.packed)
    found = subject_of_files(query, saved(tmp_path / "g.npz", subject.gallery)).merged(EvaluationSettings())
    assert found.query.codes is None
    evaluation = score_subject(found, EvaluationSettings(rerank="10"))
    assert evaluation.codes is None
    assert set(evaluation.reranked) == {"k-reciprocal, w = 10", "query expansion, w = 10"}


def test_names_of_pictures_that_are_not_here_are_forgotten(subject: Subject, tmp_path: Path) -> None:
    here = tmp_path / "here.jpg"
    here.touch()
    gone = [str(here)] * 13 + [str(tmp_path / "gone.jpg")]
    query = saved(tmp_path / "q.npz", subject.query, paths=np.array(gone))
    gallery = saved(tmp_path / "g.npz", subject.gallery, paths=np.array([str(here)] * 60))
    found = subject_of_files(query, gallery)
    assert (found.query.paths, found.gallery.paths) == ((), (here,) * 60)


def test_cameras_in_one_file_only_are_warned_of(subject: Subject, tmp_path: Path) -> None:
    whole = saved(tmp_path / "q.npz", subject.query)
    without = saved(tmp_path / "g.npz", subject.gallery, camids=None)
    with pytest.warns(DataWarning, match=r"cameras in both files or in neither, got some in .*q\.npz only"):
        subject_of_files(whole, without)
    found = subject_of_files(without, without)  # no warning, which would be an error
    assert len(found.query) == 60


def test_a_picture_on_both_sides_is_warned_of(subject: Subject) -> None:
    assert subject.query.features is not None
    assert subject.gallery.features is not None
    features = subject.gallery.features.copy()
    features[[31, 40]] = subject.query.features[[2, 5]]
    twice = replace(subject, gallery=replace(subject.gallery, features=features))
    with pytest.warns(
        DataWarning, match="^2 pairs .* the same features, which inflates scores; first: row 2 and row 31$"
    ):
        warn_of_same_pictures(twice, RULES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_same_pictures(subject, RULES)
        # Equal codes are no sign of equal pictures.
        warn_of_same_pictures(replace(twice, query=replace(twice.query, features=None)), RULES)


def test_only_pairs_that_count_are_warned_of_and_all_of_them() -> None:
    """Leave one out: every picture is on both sides, with a camera of its own."""
    features = np.arange(12.0).reshape(4, 3) + 1
    features[2] = features[0]  # one picture of another camera
    pids, camids = np.array([5, 5, 5, -1]), np.arange(4)
    each = Side(None, features, None, pids, camids)
    subject = Subject("q", "g", each, each)
    with pytest.warns(DataWarning, match="^2 pairs .* first: row 0 and row 2$"):
        warn_of_same_pictures(subject, PROTOCOLS["market1501"])
    with pytest.warns(DataWarning, match="^5 pairs .* first: row 0 and row 0$"):
        warn_of_same_pictures(subject, PROTOCOLS["no_cameras"])
    alone = replace(each, features=np.arange(12.0).reshape(4, 3) + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_same_pictures(Subject("q", "g", alone, alone), PROTOCOLS["market1501"])


@pytest.mark.parametrize(
    ("protocol", "what"), [("multi_query", "queries show one"), ("tracklets", "pictures are of one")]
)
def test_a_protocol_that_merges_nothing_says_so(protocol: str, what: str) -> None:
    n = np.arange(4)
    query = Side(None, np.eye(4), None, n + 1, n, tracklets=n)
    with pytest.warns(DataWarning, match=f"^no two {what} .*, so that {protocol} merged nothing and scores as market"):
        Subject("q", "g", query, query).merged(EvaluationSettings(protocol))
    same = replace(query, pids=np.ones(4, np.int64), camids=np.ones(4, np.int64), tracklets=np.zeros(4, np.int64))
    assert len(Subject("q", "g", same, same).merged(EvaluationSettings(protocol)).query) == 1


def test_unknown_cameras_among_known_ones_are_warned_of(subject: Subject) -> None:
    camids = np.where(np.arange(14) < 5, UNKNOWN, subject.query.camids)
    gaps = replace(subject, query=replace(subject.query, camids=camids))
    with pytest.warns(DataWarning, match="^5 of 14 queries have no camera"):
        warn_of_cameras(gaps, PROTOCOLS["market1501"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_cameras(gaps, RULES)
        warn_of_cameras(subject, PROTOCOLS["market1501"])


def test_short_lists_are_for_those_who_have_attribute_codes(subject: Subject) -> None:
    def rows(of: Subject, w: str | None, protocol: str = "market1501") -> list[int]:
        return short_lists(of, EvaluationSettings(protocol, w))

    assert rows(subject, None) == [1, 2, 3, 6, 12]
    assert rows(subject, "7,50%") == [7, 30]
    assert rows(subject, "") == rows(subject, None, "single_shot") == []
    for name in ("attribute_codes", "codes"):
        for which in ("query", "gallery"):
            without = replace(subject, **{which: replace(getattr(subject, which), **{name: None})})
            assert rows(without, None) == []
            with pytest.raises(
                SettingsError, match="expected codes and attribute codes for two-stage search, got none"
            ):
                rows(without, "7")


def test_threads_change_no_score(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    def scores(n_threads: int | None) -> str:
        settings = EvaluationSettings(n_threads=n_threads)
        return json.dumps(score_subject(subject.merged(settings), settings).to_json())

    one = scores(1)
    assert [scores(n) for n in (2, 3, None)] == [one] * 3
    monkeypatch.setenv("BITREID_THREADS", "5")
    assert scores(None) == one
