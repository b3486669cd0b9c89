"""Scores that are written, read and compared."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bitreid.codes import pack
from bitreid.errors import DataError
from bitreid.evaluation import compare
from bitreid.evaluation.score_files import ScoredQueries, compare_scores, read_scores, write_json, write_scores
from bitreid.evaluation.settings import EvaluationSettings
from bitreid.evaluation.subjects import Subject, score_subject
from tests.evaluation.cases import two_sides


@pytest.fixture
def subject() -> Subject:
    return two_sides()


def written(path: Path, subject: Subject, protocol: str = "market1501") -> ScoredQueries:
    settings = EvaluationSettings(protocol)
    merged = subject.merged(settings)
    write_scores(path, merged, score_subject(merged, settings), protocol)
    return read_scores(path)


def test_scores_come_back(subject: Subject, tmp_path: Path) -> None:
    evaluation = score_subject(subject.merged(EvaluationSettings()), EvaluationSettings())
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
