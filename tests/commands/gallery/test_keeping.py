"""`bitreid gallery create`, `info`, `compact`, `cluster`, `repair` and `audit`."""

import json
from pathlib import Path

import numpy as np
import pytest

from bitreid.commands.main import main
from bitreid.gallery import open_gallery
from bitreid.gallery.about import About
from tests.commands.words import Capture, N, answer, codes_of, done, n_items, refusal, said


def test_help(capsys: Capture) -> None:
    for words in ([], ["search"]):
        with pytest.raises(SystemExit) as end:
            main(["gallery", *words, "--help"])
        assert end.value.code == 0
        assert "usage: bitreid gallery" in capsys.readouterr().out


def test_create_and_add(codes: Path, tmp_path: Path, capsys: Capture) -> None:
    place = tmp_path / "new.gallery"
    assert said(capsys, "create", place, "--bits", 64, "--attributes", "hat,bag,top=red") == (
        f"gallery of codes of 64 bits: {place}\n"
    )
    assert said(capsys, "add", place, codes) == "12 items added, 0 were there already\n"
    assert answer(capsys, "add", place, codes) == {"items": 12, "added": 0, "left_out": []}
    other = codes_of(tmp_path / "other.npz", seed=1)
    assert "got 12 ids that others have in the gallery" in refusal(capsys, "gallery", "add", place, other)
    with np.load(other) as file, open_gallery(place) as gallery:
        (before,) = gallery.get(["cam/05.jpg"])
        assert before is not None
        assert not np.array_equal(before.code, file["codes"][5])
        assert before[3:] == (2, None, "5", "1", None, "cam/05.jpg")
        assert [item and item.person for item in gallery.get(["cam/00.jpg"])] == [None]
    assert said(capsys, "add", place, other, "--upsert") == "0 items added, 12 replaced\n"
    with np.load(other) as file, open_gallery(place) as gallery:
        (after,) = gallery.get(["cam/05.jpg"])
        assert after is not None
        assert np.array_equal(after.code, file["codes"][5])


def test_create_and_add_refuse(place: Path, codes: Path, tmp_path: Path, capsys: Capture) -> None:
    assert "expected a new file for the gallery" in refusal(capsys, "gallery", "create", place, "--bits", 64)
    assert "multiple of 8 bits, got 7" in refusal(capsys, "gallery", "create", tmp_path / "new", "--bits", 7)
    assert "expected a place that lasts" in refusal(capsys, "gallery", "create", "memory:", "--bits", 64)
    assert "expected a gallery that lasts" in refusal(capsys, "gallery", "copy", place, "memory:")
    words = ["gallery", "create", tmp_path / "new", "--model", tmp_path, "--attributes", "hat"]
    assert "--attributes without --model" in refusal(capsys, *words)
    (tmp_path / "a.jpg").touch()
    assert "expected --model MODEL to encode" in refusal(capsys, "gallery", "add", place, tmp_path / "a.jpg")
    assert "got nothing; create it" in refusal(capsys, "gallery", "add", tmp_path / "none.gallery", codes)
    assert "neither read nor written" in refusal(capsys, "gallery", "add", place, codes, "--json", place)
    assert n_items(place) == N


def test_info_and_compact(place: Path, capsys: Capture) -> None:
    text = said(capsys, "info", place)
    assert "hat, bag, top=red" in text
    info = answer(capsys, "info", place)
    assert (info["n_items"], info["n_persons"], info["n_tracklets"], info["contract"]["n_bits"]) == (12, 2, 6, 64)
    assert info["engines"] == []  # the file of codes does not say
    with open_gallery(place) as gallery:
        gallery.learn(About({2: "gate"}, frozenset({"onnx", "onnx-int8"})))
    text = said(capsys, "info", place)
    assert "2 gate" in text
    assert "onnx, onnx-int8" in text
    info = answer(capsys, "info", place)
    assert (info["camera_names"], info["engines"]) == ({"2": "gate"}, ["onnx", "onnx-int8"])
    done("gallery", "delete", place, "--where", "camera = 1")
    assert " bytes freed" in said(capsys, "compact", place)
    assert "0 items mended" in said(capsys, "repair", place)
    assert isinstance(answer(capsys, "compact", place)["freed_bytes"], int)
    assert said(capsys, "cluster", place) == "nothing to do: a file has clusters already, and few items need none\n"
    assert answer(capsys, "cluster", place, "--lists", 8) == {"lists": 0}
    assert n_items(place) == 8


def test_audit(place: Path, capsys: Capture) -> None:
    done("gallery", "delete", place, "--person", "1", "--actor", "guard")
    done("gallery", "search", place, "--like", "cam/00.jpg", "--actor", "guard")
    lines = said(capsys, "audit", place).splitlines()
    assert [line.split("  ")[2:] for line in lines] == [
        ["add", "12 items"],
        ["delete", "4 items"],
        ["search", "7 items"],
    ]
    entries = [json.loads(line) for line in said(capsys, "audit", place, "--json", "-").splitlines()]
    assert [entry["actor"] for entry in entries][1:] == ["guard", "guard"]
    assert sorted(entries[1]["ids"]) == [f"cam/{i:02}.jpg" for i in range(4, 8)]
    assert len(said(capsys, "audit", place, "--since", "1h").splitlines()) == 3
    assert said(capsys, "audit", place, "--since", "2999-01-01") == ""
    assert "such as 30d" in refusal(capsys, "gallery", "audit", place, "--since", "100000w")


def test_the_actor_is_who_is_logged_in(place: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("no such user")

    monkeypatch.setattr("getpass.getuser", lambda: "anna")
    done("gallery", "delete", place, "--where", "camera = 1")
    monkeypatch.setattr("getpass.getuser", nameless)
    done("gallery", "delete", place, "--where", "camera = 2")
    assert [line.split("  ")[1] for line in said(capsys, "audit", place).splitlines()[1:]] == ["anna", "nobody"]


def test_no_audit(codes: Path, tmp_path: Path, capsys: Capture) -> None:
    done("gallery", "create", tmp_path / "quiet.gallery", "--bits", 64, "--no-audit")
    done("gallery", "add", tmp_path / "quiet.gallery", codes)
    assert said(capsys, "audit", tmp_path / "quiet.gallery") == ""
