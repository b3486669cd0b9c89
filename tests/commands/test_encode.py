"""`bitreid encode`: codes of pictures, and how it refuses."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from bitreid.commands.left_out import LEFT_OUT
from bitreid.commands.main import main
from bitreid.encoding.files import load_encoded
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
    done(
        "encode",
        "--same-people",
        artifact,
        one,
        people / "query",
        tmp_path / "table.csv",
        "--out",
        tmp_path / "codes.npz",
    )
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
    assert "notes.jpg" in refusal(capsys, "encode", artifact, tmp_path / "notes.jpg", *out), "nothing is left"
    both = (tmp_path / "notes.jpg", people / "query")
    assert "notes.jpg" in refusal(capsys, "encode", artifact, *both, *out, "--strict")
    (tmp_path / "empty").mkdir()
    assert "got none" in refusal(capsys, "encode", artifact, tmp_path / "empty", *out)
    assert "a file to write, got the folder" in refusal(
        capsys, "encode", artifact, people / "query", "--out", tmp_path / "empty"
    )
    assert not (tmp_path / "codes.npz").exists()


def test_encode_leaves_out_what_cannot_be_read(artifact: Path, people: Path, tmp_path: Path, capsys: Capture) -> None:
    folder = tmp_path / "many"
    shutil.copytree(people / "query", folder)
    good = sorted(folder.iterdir())
    half = folder / "0000_\x1b[2J.jpg"
    half.write_bytes(good[0].read_bytes()[:300])
    strange = Path(os.fsdecode(bytes(folder) + b"/caf\xe9.jpg"))  # it is encoded, since only a gallery needs text
    strange.write_bytes(good[0].read_bytes())
    out, report = tmp_path / "codes.npz", tmp_path / "report.json"
    assert main(["encode", *map(str, [artifact, folder, "--out", out, "--report", report])]) == LEFT_OUT
    said = capsys.readouterr()
    assert "19 codes of 128 bits" in said.out
    assert said.err.splitlines()[0] == "bitreid: 1 picture was left out:"
    assert said.err.splitlines()[1].startswith(f"  {folder}/0000_\\x1b[2J.jpg: ")
    assert load_encoded(out).paths == tuple(sorted([*good, strange]))
    (entry,) = json.loads(report.read_text(encoding="utf-8"))
    assert (entry["path"], entry["left_out"]) == (str(half), True)
    assert "truncated" in entry["reason"].lower()

    for i in range(6):
        (folder / f"bad{i}.jpg").write_text("no picture", encoding="utf-8")
    assert main(["encode", *map(str, [artifact, folder, "--out", out])]) == LEFT_OUT
    said = capsys.readouterr()
    assert "bitreid: 7 pictures were left out:" in said.err
    assert said.err.count("bad") == 4
    assert said.err.endswith("and 2 more; --report FILE lists all\n")


def test_encode_keeps_dates_and_tells_of_other_times(
    artifact: Path, people: Path, tmp_path: Path, capsys: Capture
) -> None:
    table, out = tmp_path / "table.csv", tmp_path / "codes.npz"
    table.write_text(f"path,time\n{queries(people, 25)[0]},1700000000\n", encoding="utf-8")
    done("encode", artifact, table, "--out", out)
    assert "have times that nobody told the unit of" in capsys.readouterr().err
    assert load_encoded(out).times is None
    done("encode", artifact, table, "--out", out, "--time-unit", "s")
    assert capsys.readouterr().err == ""
    times = load_encoded(out).times
    assert times is not None
    assert times.tolist() == [1_700_000_000_000_000]


def test_encode_tells_of_pictures_that_hardly_show_a_person(
    artifact: Path, people: Path, tmp_path: Path, capsys: Capture
) -> None:
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    report = tmp_path / "r.json"
    done("encode", artifact, people / "query", tmp_path / "dot.png", "--out", tmp_path / "c.npz", "--report", report)
    said = capsys.readouterr().err
    assert "warning: 1 pictures hardly show a person" in said
    assert "dot.png (1 x 1 pixels)" in said
    assert json.loads(report.read_text(encoding="utf-8")) == [
        {"path": str(tmp_path / "dot.png"), "left_out": False, "reason": "1 x 1 pixels"}
    ]
