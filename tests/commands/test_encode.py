"""`bitreid encode`: codes of pictures, and how it refuses."""

from pathlib import Path

import numpy as np

from tests.commands.words import Capture, done, queries, refusal


def test_encode_writes_codes(gallery: Path, people: Path) -> None:
    names = sorted(path for path in (people / "bounding_box_test").iterdir())
    with np.load(gallery) as file:
        assert file["paths"].tolist() == [str(path) for path in names]
        assert file["codes"].shape == (len(names), 16)
        assert int(file["n_bits"]) == 128
        assert len(file["attribute_codes"]) == len(names)
        assert np.array_equal(np.packbits(file["features"] > 0, axis=1), file["codes"])


def test_encode_takes_files_folders_and_tables(artifact: Path, people: Path, tmp_path: Path, capsys: Capture) -> None:
    one, two = queries(people, 25)[:2]
    (tmp_path / "table.csv").write_text(f"path,pid\n{two},25\n", encoding="utf-8")
    done("encode", artifact, one, people / "query", tmp_path / "table.csv", "--out", tmp_path / "codes.npz")
    with np.load(tmp_path / "codes.npz") as file:
        paths, pids, codes = file["paths"].tolist(), file["pids"], file["codes"]
        assert "features" not in file
    assert (paths[0], paths[-1], len(paths)) == (str(one), str(two), 20)
    assert pids[-1] == 25
    assert np.array_equal(codes[0], codes[1 + paths[1:].index(str(one))]), "the same picture, the same code"
    assert "20 codes of 128 bits: " in capsys.readouterr().out


def test_encode_refuses(artifact: Path, people: Path, tmp_path: Path, capsys: Capture) -> None:
    out = ["--out", tmp_path / "codes.npz"]
    assert "at gone.jpg, got nothing" in refusal(capsys, "encode", artifact, "gone.jpg", *out)
    (tmp_path / "notes.jpg").write_text("no picture", encoding="utf-8")
    assert "notes.jpg" in refusal(capsys, "encode", artifact, tmp_path / "notes.jpg", *out)
    (tmp_path / "empty").mkdir()
    assert "got none" in refusal(capsys, "encode", artifact, tmp_path / "empty", *out)
    assert "a file to write, got the folder" in refusal(
        capsys, "encode", artifact, people / "query", "--out", tmp_path / "empty"
    )
    assert not (tmp_path / "codes.npz").exists()
