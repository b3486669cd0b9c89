"""`bitreid encode`: codes of pictures, and how it refuses."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from bitreid.commands.left_out import LEFT_OUT
from bitreid.commands.main import main
from bitreid.encoding.files import load_encoded
from bitreid.gallery import open_gallery
from tests.commands.words import Capture, done, n_items, queries, read_json, refusal


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
    inputs = [one, people / "query", tmp_path / "table.csv"]
    done("encode", artifact, *inputs, "--same-people", "--out", tmp_path / "codes.npz")
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
    assert "a new or empty folder" in refusal(capsys, "encode", artifact, people / "query", "--out", people / "query")
    assert "--out FOLDER with --shard" in refusal(capsys, "encode", artifact, people / "query", *out, "--shard", 9)
    assert "--out FOLDER with --ray" in refusal(capsys, "encode", artifact, people / "query", *out, "--ray", "local")
    assert "--out FOLDER with --parquet" in refusal(capsys, "encode", artifact, people / "query", *out, "--parquet")
    table = tmp_path / "codes.parquet"
    assert "or --out FOLDER --parquet" in refusal(capsys, "encode", artifact, people / "query", "--out", table)
    to = ["--out", tmp_path / "codes", "--workers"]
    assert "expected --ray ADDRESS with --workers" in refusal(capsys, "encode", artifact, people / "query", *to, 2)
    assert "got 0 workers" in refusal(capsys, "encode", artifact, people / "query", *to, 0, "--ray", "local")
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
    assert "times are left out, because their unit is unknown" in capsys.readouterr().err
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


def test_encode_to_a_folder_is_encode_to_a_file(
    artifact: Path, people: Path, gallery: Path, tmp_path: Path, capsys: Capture
) -> None:
    """And what reads the file reads the folder."""
    out, data = tmp_path / "codes", people / "bounding_box_test"
    done("encode", artifact, data, "--out", out, "--features", "--shard", 10)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"28 codes of 128 bits: {out}"
    numbers = r"[0-9,]+"
    assert re.fullmatch(
        rf"28 pictures in [0-9.]+ s, {numbers} a second: reading {numbers}, encoding {numbers}, writing {numbers} "
        "pictures/s",
        said[1],
    )
    assert sorted(path.name for path in out.glob("*.npz")) == [f"codes-00000{i}.npz" for i in range(3)]
    assert np.array_equal(load_encoded(out).codes.packed, load_encoded(gallery).codes.packed)

    done("encode", artifact, data, "--out", out, "--features", "--shard", 10)
    again = capsys.readouterr().out.splitlines()
    assert (again[0], again[1].partition(" in ")[0]) == (said[0], "0 pictures")
    told = refusal(capsys, "encode", artifact, people / "query", "--out", out, "--features", "--shard", 10)
    assert "choose another folder" in told
    done("encode", artifact, data, "--out", tmp_path / "tables", "--features", "--shard", 10, "--parquet")
    assert len(list((tmp_path / "tables").glob("*.parquet"))) == 3

    found = []
    for codes in (gallery, out, tmp_path / "tables"):
        place, hits, scores = (tmp_path / f"{codes.stem}.{kind}" for kind in ("gallery", "json", "scores"))
        done("search", artifact, "--query", *queries(people, 25), "--gallery", codes, "--json", hits)
        done("gallery", "create", place, "--model", artifact)
        done("gallery", "add", place, codes)
        assert n_items(place) == 28
        done("evaluate", "--features", codes, codes, "--protocol", "no_cameras", "--json", scores)
        found.append((hits.read_text(encoding="utf-8"), {**read_json(scores), "name": "", "data": ""}))
    assert found[0] == found[1] == found[2]
    done("gallery", "search", tmp_path / "codes.gallery", out, "-k", 1)

    (out / "codes-000001.npz").unlink()
    assert "got 1 missing or damaged" in refusal(capsys, "gallery", "add", tmp_path / "codes.gallery", out)


def test_encode_into_a_gallery_is_encode_and_add(artifact: Path, people: Path, tmp_path: Path, capsys: Capture) -> None:
    table, file = tmp_path / "table.csv", tmp_path / "codes.npz"
    paths = [*queries(people, 25), *queries(people, 26)]
    lines = [f"{path},{25 + i},2,{i},170000000{i},{('query', 'gallery')[i % 2]}" for i, path in enumerate(paths)]
    table.write_text("path,pid,camid,tracklet,time,split\n" + "\n".join(lines) + "\n", encoding="utf-8")
    dumps = []
    for way in ("at once", "by a file"):
        place = tmp_path / f"{way}.gallery"
        done("gallery", "create", place, "--model", artifact)
        command = ["encode", artifact, table, "--time-unit", "s", "--split", "gallery"]
        if way == "at once":
            capsys.readouterr()
            done(*command, "--gallery", place)
            assert f"{len(paths) // 2} items added, 0 were there already" in capsys.readouterr().out
            done(*command, "--gallery", place)
            assert f"0 items added, {len(paths) // 2} were there already" in capsys.readouterr().out
        else:
            done(*command, "--out", file)
            done("gallery", "add", place, file)
        with open_gallery(place) as opened:
            items = {item.id: item for batch in opened.scan() for item in batch}
        dumps.append(
            {id: (each.code.tolist(), each.camera, each.time, each.tracklet, each.person) for id, each in items.items()}
        )
    assert dumps[0] == dumps[1]
    assert {(camera, time is None, person is None) for _, camera, time, _, person in dumps[0].values()} == {
        (2, False, False)
    }
    assert len(dumps[0]) == len(paths) // 2
    told = refusal(capsys, "encode", artifact, table, "--gallery", tmp_path / "at once.gallery", "--features")
    assert "--out with --features" in told


def test_a_report_of_a_folder_that_went_on_has_all_bad_pictures(
    artifact: Path, people: Path, tmp_path: Path, capsys: Capture
) -> None:
    folder, out, report = tmp_path / "many", tmp_path / "codes", tmp_path / "report.json"
    shutil.copytree(people / "query", folder)
    (folder / "0000_bad.jpg").write_text("no picture", encoding="utf-8")
    command = ["encode", artifact, folder, "--out", out, "--shard", 4, "--report", report]
    for _ in range(2):
        assert main(list(map(str, command))) == LEFT_OUT
        assert "18 codes of 128 bits" in capsys.readouterr().out
        assert [Path(each["path"]).name for each in json.loads(report.read_text(encoding="utf-8"))] == ["0000_bad.jpg"]
