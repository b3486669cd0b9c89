"""What is scored and under which settings, and scores that are written, read and compared."""

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from rich.console import Console

from bitreid.codes import Codes, pack
from bitreid.commands.evaluate import (
    ScoredQueries,
    Settings,
    Subject,
    compare_scores,
    merge_subject,
    parse_rows,
    parse_share,
    read_scores,
    score,
    short_lists,
    subject_of,
    subject_of_files,
    warn_of_same_pictures,
    write_json,
    write_scores,
)
from bitreid.errors import DataError, DataWarning, SettingsError
from bitreid.evaluation import PROTOCOLS, compare, evaluate_ranking
from bitreid.evaluation.side import Side

CONSOLE = Console(quiet=True)


def side(n: int, n_people: int, camera: int, seed: int) -> Side:
    """Pictures of some people, which resemble each other."""
    rng = np.random.default_rng(seed)
    pids = np.arange(n) % n_people + 1
    features = np.random.default_rng(9).normal(size=(20, 16))[pids] + rng.normal(size=(n, 16)) * 1.5
    attributes = Codes(rng.integers(0, 256, (n, 1), dtype=np.uint8), 8)
    return Side(pack(features), features, attributes, pids, np.full(n, camera))


@pytest.fixture
def subject() -> Subject:
    return Subject("model", "people", side(14, 7, 1, 0), side(60, 6, 2, 1))


# Settings


@pytest.mark.parametrize(
    ("text", "rows"),
    [("1", 1), ("100", 100), ("5000", 5000), ("1%", 10), ("0.05%", 1), ("100%", 1000), ("33.35%", 334)],
)
def test_rows_of_a_number_or_a_share(text: str, rows: int) -> None:
    assert parse_rows(text, 1000) == rows


@pytest.mark.parametrize(
    "text", ["0", "-3", "0%", "-1%", " -1%", "100.1%", "200%", "nan%", "inf%", "inf", "many", "1.5", "%", "1 %%", ""]
)
def test_rows_of_nonsense(text: str) -> None:
    with pytest.raises(SettingsError, match=f"such as 1%, above 0, got '{text}'"):
        parse_rows(text, 1000)


def test_shares() -> None:
    assert [parse_share(text) for text in ("1%", "0.01", "12.5%", "99%", "1e-4")] == [0.01, 0.01, 0.125, 0.99, 1e-4]
    for text in ("0", "1", "100%", "-1%", "nan", "nan%", "inf%", "1%%", "%", "", "one"):
        with pytest.raises(SettingsError, match=f"between 0 and 1, got '{text}'"):
            parse_share(text)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"protocol": "duke"}, "expected a protocol among market1501, .*, tracklets, got 'duke'"),
        ({"w": "1%,many"}, "got 'many'"),
        ({"rerank": "1%,2%"}, "got '1%,2%'"),
        ({"fpir": "2"}, "expected a share such as 1% or 0.01, between 0 and 1, got '2'"),
        ({"memory_mb": 10}, "memory_mb of at least 64, got 10"),
        ({"memory_mb": float("inf")}, "memory_mb of at least 64, got inf"),
        ({"w": "5", "protocol": "single_shot"}, "whole gallery for short lists .*, got single shots"),
        ({"rerank": "5", "protocol": "single_shot"}, "whole gallery for short lists .*, got single shots"),
    ],
)
def test_impossible_settings_are_refused_before_any_work(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Settings(**changes)


def test_short_lists_are_for_those_who_have_attribute_codes(subject: Subject) -> None:
    plain, single = PROTOCOLS["market1501"], PROTOCOLS["single_shot"]
    assert short_lists(None, subject, plain) == [1, 2, 3, 6, 12]
    assert short_lists("7,50%", subject, plain) == [7, 30]
    assert short_lists("", subject, plain) == short_lists(None, subject, single) == []
    for name in ("attribute_codes", "codes"):
        for which in ("query", "gallery"):
            without = replace(subject, **{which: replace(getattr(subject, which), **{name: None})})
            assert short_lists(None, without, plain) == []
            with pytest.raises(
                SettingsError, match="expected codes and attribute codes for two-stage search, got none"
            ):
                short_lists("7", without, plain)


# Subjects


def saved(path: Path, of: Side, **changes: Any) -> Path:
    arrays = {"features": of.features, "pids": of.pids, "camids": of.camids} | changes
    np.savez(path, allow_pickle=False, **{name: value for name, value in arrays.items() if value is not None})
    return path


def test_files_are_scored_as_their_features_are(subject: Subject, tmp_path: Path) -> None:
    found = subject_of_files(saved(tmp_path / "q.npz", subject.query), saved(tmp_path / "g.npz", subject.gallery))
    assert (found.name, found.data, found.card, found.data_path) == ("q", "g", None, None)
    evaluation = score(merge_subject(found, Settings()), Settings())
    query, gallery = subject.query, subject.gallery
    assert query.features is not None
    assert gallery.features is not None
    people = query.pids, query.camids, gallery.pids, gallery.camids
    assert evaluation.main.expected.mAP == evaluate_ranking(query.features, gallery.features, *people).expected.mAP
    assert (evaluation.codes, evaluation.afr, evaluation.n_features, evaluation.n_gallery) == (None, (), 16, 60)


def test_what_only_one_file_has_is_passed_over(subject: Subject, tmp_path: Path) -> None:
    assert subject.query.codes is not None
    query = saved(tmp_path / "q.npz", subject.query, codes=subject.query.codes.packed)
    found = merge_subject(subject_of_files(query, saved(tmp_path / "g.npz", subject.gallery)), Settings())
    assert found.query.codes is None
    evaluation = score(found, Settings(rerank="10"))
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


def test_a_subject_is_a_model_or_files(tmp_path: Path) -> None:
    one, two = tmp_path / "a", [tmp_path / "q", tmp_path / "g"]
    cases: list[tuple[Path | None, Path | None, list[Path] | None, str]] = [
        (None, None, None, "got neither"),
        (one, None, None, "got a model"),
        (None, one, None, "got --data"),
        (one, one, two, "got a model and --data and --features"),
        (None, one, two, "got --data and --features"),
    ]
    for artifact, data, files, found in cases:
        with pytest.raises(SettingsError, match=rf"--features QUERY\.npz GALLERY\.npz alone, {found}$"):
            subject_of(artifact, data, files, CONSOLE)


def test_a_picture_on_both_sides_is_warned_of(subject: Subject) -> None:
    assert subject.query.features is not None
    assert subject.gallery.features is not None
    features = subject.gallery.features.copy()
    features[[31, 40]] = subject.query.features[[2, 5]]
    twice = replace(subject, gallery=replace(subject.gallery, features=features))
    with pytest.warns(
        DataWarning, match="^2 pairs .* the same features, which inflates scores; first: row 2 and row 31$"
    ):
        warn_of_same_pictures(twice, CONSOLE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_same_pictures(subject, CONSOLE)
        # Equal codes are no sign of equal pictures.
        warn_of_same_pictures(replace(twice, query=replace(twice.query, features=None)), CONSOLE)


# Scores in a file, and their comparison


def written(path: Path, subject: Subject, protocol: str = "market1501") -> ScoredQueries:
    settings = Settings(protocol)
    merged = merge_subject(subject, settings)
    write_scores(path, merged, score(merged, settings), protocol)
    return read_scores(path)


def test_scores_come_back(subject: Subject, tmp_path: Path) -> None:
    evaluation = score(merge_subject(subject, Settings()), Settings())
    scored = written(tmp_path / "new" / "scores.json", subject)
    assert (scored.name, scored.protocol, scored.n_gallery) == ("model", "market1501", 60)
    assert scored.pids.tolist() == subject.query.pids.tolist()
    assert scored.camids.tolist() == subject.query.camids.tolist()
    for found, metrics in ((scored.codes, evaluation.codes), (scored.floats, evaluation.floats)):
        assert found is not None
        assert metrics is not None
        np.testing.assert_array_equal(found["mAP"], metrics.average_precision)
        np.testing.assert_array_equal(found["mINP"], metrics.inverse_penalty)
        np.testing.assert_array_equal(found["rank-1"], metrics.first_right)
    assert scored.codes is not None
    assert np.isnan(scored.codes["mAP"]).tolist() == (subject.query.pids == 7).tolist(), "nobody's match"


def test_two_models_are_compared_query_by_query(subject: Subject, tmp_path: Path) -> None:
    assert subject.query.features is not None
    noisy = subject.query.features + np.random.default_rng(3).normal(size=(14, 16)) * 3
    worse = replace(subject, name="noisy", query=replace(subject.query, features=noisy, codes=pack(noisy)))
    a, b = written(tmp_path / "a.json", subject), written(tmp_path / "b.json", worse)
    for descriptor in ("main", "codes", "floats"):
        of_a, of_b = (each.floats if descriptor == "floats" else each.codes for each in (a, b))
        assert of_a is not None
        assert of_b is not None
        found = compare_scores(a, b, descriptor)
        assert list(found) == ["rank-1", "mAP", "mINP"]
        for name, comparison in found.items():
            assert comparison == compare(of_a[name], of_b[name], subject.query.pids)
            assert comparison.mean_a == pytest.approx(np.nanmean(of_a[name]))
            assert (comparison.n_queries, comparison.n_identities) == (12, 6)
    assert found["mAP"].difference > 0.05


def test_codes_compare_with_somebody_elses_features(subject: Subject, tmp_path: Path) -> None:
    a = written(tmp_path / "a.json", subject)
    floats_only = replace(subject, query=replace(subject.query, codes=None), name="theirs")
    b = written(tmp_path / "b.json", floats_only)
    assert b.codes is None
    assert a.codes is not None
    assert a.floats is not None
    found = compare_scores(a, b)
    assert found["mAP"].mean_b == pytest.approx(np.nanmean(a.floats["mAP"]))
    assert found["mAP"].mean_a == pytest.approx(np.nanmean(a.codes["mAP"]))
    with pytest.raises(DataError, match="expected scores of codes in those of theirs, got none"):
        compare_scores(a, b, "codes")


def test_scores_that_do_not_pair_are_refused(subject: Subject, tmp_path: Path) -> None:
    a = written(tmp_path / "a.json", subject)
    others = {
        "protocol": replace(a, protocol="no_cameras"),
        "gallery": replace(a, n_gallery=61),
        "queries": replace(a, pids=a.pids[::-1]),
    }
    for what, b in {**others, " queries": replace(a, camids=a.camids + 1)}.items():
        with pytest.raises(DataError, match=f"got another {what.strip()} in model and model; evaluate both"):
            compare_scores(a, b)


def changed(record: dict[str, Any], *names: str, value: Any = None) -> str:
    """The record with one value changed, or left out."""
    record = json.loads(json.dumps(record))
    inner = record
    for name in names[:-1]:
        inner = inner[name]
    if value is None:
        del inner[names[-1]]
    else:
        inner[names[-1]] = value
    return json.dumps(record)


def test_files_of_other_things_are_refused(subject: Subject, tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    written(path, subject)
    whole = path.read_text(encoding="utf-8")
    record = json.loads(whole)
    bad = {
        "": "another (JSONDecodeError",
        whole[: len(whole) // 2]: "another (JSONDecodeError",
        "[1, 2]": "another (TypeError",
        "{}": "another (KeyError: 'format_version')",
        "[" * 100_000: "another (RecursionError",
        changed(record, "format_version", value=2): "format 2 is newer than 1, update bitreid",
        changed(record, "query_pids"): "another (KeyError: 'query_pids')",
        changed(record, "query_pids", value=["a"]): "another (ValueError",
        changed(record, "query_pids", value=[2**70]): "another (OverflowError",
        changed(record, "query_camids", value=[1]): "a camera for other than each of 14 queries, shape (1,)",
        changed(record, "codes", value=[1]): "another (TypeError",
        changed(record, "codes", "first_right"): "another (KeyError: 'first_right')",
        changed(record, "codes", "inverse_penalty", value=[0.5]): "a mINP for other than each of 14 queries",
        changed(record, "floats", "average_precision", value=[[0.5], 1]): "another (ValueError",
        changed(record, "n_gallery", value="many"): "another (ValueError",
    }
    for text, message in bad.items():
        path.write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match=r"that `bitreid evaluate --json` wrote at .*scores\.json, got: ") as error:
            read_scores(path)
        assert message in str(error.value)
        assert "\n" not in str(error.value)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"another [(]UnicodeDecodeError"):
        read_scores(path)


def test_json_knows_no_nan(tmp_path: Path) -> None:
    value: npt.NDArray[np.float64] = np.array([0.5, np.nan])
    write_json(tmp_path / "x.json", {"a": value, "b": (float("nan"), np.int64(3))})
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8")) == {"a": [0.5, None], "b": [None, 3]}
