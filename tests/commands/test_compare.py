"""`bitreid compare`: two models by what `bitreid evaluate` wrote of each."""

from pathlib import Path

import numpy as np
import pytest

from tests.commands.words import Capture, done, features, read_json, refusal


def test_compare_reads_what_evaluate_wrote(files: tuple[Path, Path], tmp_path: Path, capsys: Capture) -> None:
    scores = [tmp_path / "a.json", tmp_path / "b.json"]
    done("evaluate", "--features", *files, "--json", scores[0])
    # Another model of the same pictures: sees only half of what the first one sees.
    half = []
    for file in files:
        with np.load(file) as arrays:
            half.append(tmp_path / f"half_{file.name}")
            np.savez(half[-1], **{**arrays, "features": arrays["features"][:, :6]})
    done("evaluate", "--features", *half, "--json", scores[1])
    capsys.readouterr()
    done("compare", *scores, "--json", tmp_path / "compared.json")
    out = capsys.readouterr().out
    assert "query (a) against half_query (b)" in out
    a, b = (read_json(path)["floats"]["expected"] for path in scores)
    record = read_json(tmp_path / "compared.json")
    assert list(record) == ["rank-1", "mAP", "mINP"]
    for name, key in (("mAP", "mAP"), ("mINP", "mINP")):
        assert (record[name]["mean_a"], record[name]["mean_b"]) == pytest.approx((a[key], b[key]))
        assert record[name]["low"] < record[name]["difference"] < record[name]["high"]
        assert f"{100 * record[name]['difference']:+.1f}" in out
    assert record["rank-1"]["mean_a"] == pytest.approx(a["cmc"][0])
    assert record["mAP"]["difference"] > 0
    done("compare", scores[0], scores[0], "--descriptor", "floats")
    assert "+0.0" in capsys.readouterr().out


def test_one_person_has_no_interval(tmp_path: Path, capsys: Capture) -> None:
    one = features(tmp_path / "one.npz", 20, 1, pids=np.ones(20, np.int64))
    done("evaluate", "--features", one, features(tmp_path / "g.npz", 50, 2), "--json", tmp_path / "a.json")
    capsys.readouterr()
    done("compare", tmp_path / "a.json", tmp_path / "a.json", "--json", tmp_path / "c.json")
    assert "unknown" in capsys.readouterr().out
    assert (read_json(tmp_path / "c.json")["mAP"]["low"], read_json(tmp_path / "c.json")["mAP"]["p_value"]) == (None, 1)


def test_scores_that_do_not_compare_are_refused(files: tuple[Path, Path], tmp_path: Path, capsys: Capture) -> None:
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    done("evaluate", "--features", *files, "--json", one)
    assert "got none; choose the other" in refusal(capsys, "compare", one, one, "--descriptor", "codes")
    assert f"can be read or written at {other}, got: No such file" in refusal(capsys, "compare", one, other)
    other.write_bytes(one.read_bytes()[:-20])
    assert "expected scores that `bitreid evaluate --json` wrote at" in refusal(capsys, "compare", one, other)
    for words, what in (
        (["--features", *files, "--protocol", "no_cameras"], "protocol"),
        (["--features", files[0], features(tmp_path / "more.npz", 121, 2)], "gallery"),
        (["--features", features(tmp_path / "others.npz", 30, 5), files[1]], "queries"),
    ):
        done("evaluate", *words, "--json", other)
        assert f"in the same order, got another {what} in query and " in refusal(capsys, "compare", one, other)
