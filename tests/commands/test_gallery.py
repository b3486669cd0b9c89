"""`bitreid gallery`: what each command does, says and refuses, on random codes and on drawn people."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitreid.codes import Codes, pack_bits
from bitreid.commands.gallery_inputs import description, moment
from bitreid.commands.main import main
from bitreid.encoding.files import EncodedSet, save_encoded
from bitreid.gallery import Contract, create_gallery, open_gallery
from bitreid.gallery.items import Id
from bitreid.open_set import OpenSet
from tests.commands.words import Capture, done, queries, refusal

N = 12


def codes_of(path: Path, model: str = "abc", folder: str = "cam", n_bits: int = 64, seed: int = 0) -> Path:
    """A file of random codes: person i // 4 (0 is nobody in particular), camera i % 3, tracklet i // 2."""
    rng = np.random.default_rng(seed)
    packed = rng.integers(0, 256, (N, n_bits // 8), np.uint8)
    rows = np.arange(N)
    paths = tuple(Path(folder, f"{i:02}.jpg") for i in range(N))
    bits = pack_bits((rows[:, None] >> np.arange(3)) % 2 > 0)
    save_encoded(path, EncodedSet(paths, Codes(packed, n_bits), bits, None, rows // 4, rows % 3, model, rows // 2))
    return path


@pytest.fixture
def codes(tmp_path: Path) -> Path:
    return codes_of(tmp_path / "codes.npz")


@pytest.fixture
def place(codes: Path, tmp_path: Path, capsys: Capture) -> Path:
    """A gallery of those codes."""
    made = tmp_path / "people.gallery"
    done("gallery", "create", made, "--bits", 64, "--attributes", "hat, bag, top=red")
    done("gallery", "add", made, codes)
    capsys.readouterr()
    return made


def said(capsys: Capture, *words: object) -> str:
    capsys.readouterr()
    done("gallery", *words)
    return capsys.readouterr().out


def answer(capsys: Capture, *words: object) -> Any:
    """What a command answers as JSON."""
    return json.loads(said(capsys, *words, "--json", "-"))


def n_items(place: Path, where: str | None = None) -> int:
    with open_gallery(place) as gallery:
        return gallery.count(where)


def test_help(capsys: Capture) -> None:
    for words in ([], ["search"]):
        with pytest.raises(SystemExit) as end:
            main(["gallery", *words, "--help"])
        assert end.value.code == 0
        assert "usage: bitreid gallery" in capsys.readouterr().out


# create and add


def test_create_and_add(codes: Path, tmp_path: Path, capsys: Capture) -> None:
    place = tmp_path / "new.gallery"
    assert said(capsys, "create", place, "--bits", 64, "--attributes", "hat,bag,top=red") == (
        f"gallery of codes of 64 bits: {place}\n"
    )
    assert said(capsys, "add", place, codes) == "12 items added, 0 were there already\n"
    assert answer(capsys, "add", place, codes) == {"items": 12, "added": 0}
    other = codes_of(tmp_path / "other.npz", seed=1)
    done("gallery", "add", place, other)
    with np.load(other) as file, open_gallery(place) as gallery:
        (before,) = gallery.get(["cam/05.jpg"])
        assert before is not None
        assert not np.array_equal(before.code, file["codes"][5])
        assert before[3:] == (2, None, "2", "1", None, "cam/05.jpg")
        assert [item and item.person for item in gallery.get(["cam/00.jpg"])] == [None]
    assert said(capsys, "add", place, other, "--upsert") == "0 items added, 12 replaced\n"
    with np.load(other) as file, open_gallery(place) as gallery:
        (after,) = gallery.get(["cam/05.jpg"])
        assert after is not None
        assert np.array_equal(after.code, file["codes"][5])


def test_ids(codes: Path, tmp_path: Path, capsys: Capture) -> None:
    more = codes_of(tmp_path / "more.npz", folder="cam2")
    wanted: dict[str, set[Id]] = {"path": {"cam/00.jpg", "cam2/11.jpg"}, "number": {0, 23}}
    for way, some in wanted.items():
        place = tmp_path / f"{way}.gallery"
        done("gallery", "create", place, "--bits", 64)
        done("gallery", "add", place, codes, more, "--id", way)
        with open_gallery(place) as gallery:
            assert some < {id for batch in gallery.scan() for id in batch.ids}
            assert gallery.count() == 24
    done("gallery", "create", tmp_path / "name.gallery", "--bits", 64)
    error = refusal(capsys, "gallery", "add", tmp_path / "name.gallery", codes, more, "--id", "name")
    assert "got '00' 2 times; name each file once, or choose another --id" in error
    done("gallery", "add", tmp_path / "name.gallery", codes, "--id", "name")
    assert n_items(tmp_path / "name.gallery", 'id in ("00", "11")') == 2


def test_codes_of_another_model_are_refused(codes: Path, tmp_path: Path, capsys: Capture) -> None:
    create_gallery(tmp_path / "other.gallery", Contract(64, "f" * 16, "other")).close()
    words = ["gallery", "add", tmp_path / "other.gallery"]
    assert f"of the model other ({'f' * 16}), got codes of abc" in refusal(capsys, *words, codes)
    assert "64 bits, got 128" in refusal(capsys, *words, codes_of(codes, n_bits=128, model=""))
    words = ["gallery", "search", tmp_path / "other.gallery"]
    assert "64 bits, got 128" in refusal(capsys, *words, codes)


def test_create_and_add_refuse(place: Path, codes: Path, tmp_path: Path, capsys: Capture) -> None:
    assert "expected a new file for the gallery" in refusal(capsys, "gallery", "create", place, "--bits", 64)
    assert "multiple of 8 bits, got 7" in refusal(capsys, "gallery", "create", tmp_path / "new", "--bits", 7)
    assert "expected a place that lasts" in refusal(capsys, "gallery", "create", "memory:", "--bits", 64)
    assert "expected a gallery that lasts" in refusal(capsys, "gallery", "copy", place, "memory:")
    words = ["gallery", "create", tmp_path / "new", "--model", tmp_path, "--attributes", "hat"]
    assert "--attributes with --bits only" in refusal(capsys, *words)
    assert "expected --model ARTIFACT to encode" in refusal(capsys, "gallery", "add", place, "a.jpg")
    assert "got nothing; create it" in refusal(capsys, "gallery", "add", tmp_path / "none.gallery", codes)
    assert "neither read nor written" in refusal(capsys, "gallery", "add", place, codes, "--json", place)
    assert n_items(place) == N


# search


def test_search_by_codes(place: Path, codes: Path, tmp_path: Path, capsys: Capture) -> None:
    found = answer(capsys, "search", place, codes, "-k", 3, "--where", "camera in (0, 1)")
    assert [each["query"] for each in found] == [f"cam/{i:02}.jpg" for i in range(N)]
    assert all(each["n_gallery"] == 8 and each["threshold"] is None and len(each["hits"]) == 3 for each in found)
    first = found[4]["hits"][0]
    assert first == {
        "id": "cam/04.jpg",
        "distance": 0,
        "probability": None,
        "camera": 1,
        "time": None,
        "tracklet": "2",
        "person": "1",
        "votes": 1,
    }
    # Two stages: of camera 1, the attributes of row 4 are those of no other row.
    two = answer(capsys, "search", place, codes, "-k", 3, "--w", "1", "--where", "camera = 1")
    assert [len(each["hits"]) for each in two] == [1] * N
    assert two[4]["hits"][0]["id"] == "cam/04.jpg"
    text = said(capsys, "search", place, codes, "-k", 1)
    assert text.count("1 of 12 items") == N
    assert "votes" not in text
    assert "time" not in text
    out = tmp_path / "new" / "hits.json"
    assert "cam/04.jpg: 3 of 8 items" in said(
        capsys, "search", place, codes, "-k", 3, "--where", "camera in (0, 1)", "--json", out
    )
    assert json.loads(out.read_text(encoding="utf-8")) == found


def test_search_by_an_item_leaves_it_out(place: Path, capsys: Capture) -> None:
    (found,) = answer(capsys, "search", place, "--like", "cam/04.jpg", "-k", 100, "--max-distance", "none")
    assert found["n_gallery"] == len(found["hits"]) == N - 1
    assert "cam/04.jpg" not in {hit["id"] for hit in found["hits"]}
    (people,) = answer(capsys, "search", place, "--like", "cam/04.jpg", "--by", "person", "--where", "camera = 1")
    assert sorted((hit["person"], hit["votes"]) for hit in people["hits"]) == [("1", 1), ("2", 1)]
    assert "votes" in said(capsys, "search", place, "--like", "cam/04.jpg", "--by", "tracklet")


def test_search_by_a_description(place: Path, capsys: Capture) -> None:
    (found,) = answer(capsys, "search", place, "--attributes", "hat, not bag,top=red", "-k", 1)
    assert [(hit["id"], hit["distance"]) for hit in found["hits"]] == [("cam/05.jpg", 0)]
    assert "2 of 12 items" in said(capsys, "search", place, "--attributes", "hat", "-k", 2)


def test_nobody(place: Path, codes: Path, tmp_path: Path, capsys: Capture) -> None:
    words = ["search", place, "--like", "cam/04.jpg"]
    assert said(capsys, *words, "--max-distance", 3) == "nobody: none of 11 items is within 3 bits\n"
    assert said(capsys, *words, "--where", "camera = 77") == "nobody: there is no item to compare with\n"
    text = said(capsys, *words, "--where", 'id = "cam/00.jpg"', "--by", "person")
    assert text == "nobody: none of 1 items is of a known person\n"
    # A model whose impostors are everywhere is never sure.
    unsure = OpenSet(tail_slope=0.1, tail_offset=0.0, slope=-0.1, offset=1.0)
    calibrated = tmp_path / "calibrated.gallery"
    create_gallery(calibrated, Contract(64, open_set=unsure)).close()
    done("gallery", "add", calibrated, codes)
    text = said(capsys, "search", calibrated, "--like", "cam/04.jpg")
    assert text == "nobody: among 11 items no distance is small enough to be sure (--fpir 0.01)\n"
    text = said(capsys, "search", calibrated, "--like", "cam/04.jpg", "--max-distance", 64, "-k", 1)
    assert "at most 64 bits" in text
    assert "probability" in text


def test_search_refuses(place: Path, codes: Path, capsys: Capture) -> None:
    words = ["gallery", "search", place]
    assert "expected one of QUERY, --like and --attributes to search for, got 0" in refusal(capsys, *words)
    assert "got 2 of them" in refusal(capsys, *words, codes, "--like", "x")
    assert "expected the id of an item in the gallery, got 'x'" in refusal(capsys, *words, "--like", "x")
    assert "expected one file of codes" in refusal(capsys, *words, codes, codes)
    assert "expected --model ARTIFACT" in refusal(capsys, *words, "a.jpg")
    assert "number of bits, or none, got '3.5'" in refusal(capsys, *words, codes, "--max-distance", "3.5")
    assert "such as 1%, above 0, got '0'" in refusal(capsys, *words, codes, "--w", "0")
    assert "share such as 1%" in refusal(capsys, *words, codes, "--fpir", "2")
    assert "expected k" in refusal(capsys, *words, codes, "-k", "0")
    assert "parts among none at all, got head" in refusal(capsys, *words, codes, "--parts", "head")
    assert "got --by; leave it out" in refusal(capsys, *words, "--attributes", "hat", "--by", "person")
    assert "got --max-distance; leave it out" in refusal(capsys, *words, "--attributes", "hat", "--max-distance", 1)
    assert "attributes among hat, bag, top=red, got cap" in refusal(capsys, *words, "--attributes", "cap")
    capsys.readouterr()
    assert main([*map(str, words), str(codes), "--where", "camera = x"]) == 1
    error = capsys.readouterr().err.splitlines()
    assert error[0].startswith("bitreid: at character 10: expected a whole number")
    assert error[1:] == ["camera = x", "         ^"]


# delete, compact


def test_delete(place: Path, capsys: Capture) -> None:
    assert said(capsys, "delete", place, "--where", "camera = 1", "--dry-run") == "4 of 12 items would be deleted\n"
    assert n_items(place) == 12
    # All conditions have to be met.
    assert answer(capsys, "delete", place, "--where", "camera = 1", "--person", "1") == {"deleted": 2}
    assert n_items(place, "camera = 1") == 2
    assert said(capsys, "delete", place, "--ids", "cam/00.jpg", "nobody") == "1 of 10 items deleted\n"
    assert said(capsys, "delete", place, "--older-than", "1d") == "0 of 9 items deleted\n"
    assert said(capsys, "delete", place, "--older-than", "0h", "--where", "camera = 2") == "4 of 9 items deleted\n"
    assert "expected what to delete" in refusal(capsys, "gallery", "delete", place)
    assert "such as 30d" in refusal(capsys, "gallery", "delete", place, "--older-than", "soon")
    assert n_items(place) == 5


def test_delete_asks_a_terminal(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    words = ["delete", place, "--where", "camera = 1"]
    for reply, deleted in (("\n", 0), ("no\n", 0), ("yes\n", 4)):
        monkeypatch.setattr("sys.stdin", Terminal(reply))
        assert answer(capsys, *words) == {"deleted": deleted}
    monkeypatch.setattr("sys.stdin", Terminal())
    assert answer(capsys, "delete", place, "--where", "camera = 2", "--yes") == {"deleted": 4}


def test_a_number_is_an_id_too(codes: Path, tmp_path: Path, capsys: Capture) -> None:
    place = tmp_path / "numbers.gallery"
    done("gallery", "create", place, "--bits", 64)
    done("gallery", "add", place, codes, "--id", "number")
    assert answer(capsys, "delete", place, "--ids", "3", "4") == {"deleted": 2}
    (found,) = answer(capsys, "search", place, "--like", "5")
    assert found["n_gallery"] == N - 3


# info, compact, backup, export, import, copy


def test_info_and_compact(place: Path, capsys: Capture) -> None:
    text = said(capsys, "info", place)
    assert "hat, bag, top=red" in text
    info = answer(capsys, "info", place)
    assert (info["n_items"], info["n_persons"], info["n_tracklets"], info["contract"]["n_bits"]) == (12, 2, 6, 64)
    done("gallery", "delete", place, "--where", "camera = 1")
    assert " bytes freed" in said(capsys, "compact", place)
    assert "0 items mended" in said(capsys, "repair", place)
    assert isinstance(answer(capsys, "compact", place)["freed_bytes"], int)
    assert n_items(place) == 8


def test_export_import_copy_and_backup(place: Path, tmp_path: Path, capsys: Capture) -> None:
    file, other = tmp_path / "items.parquet", tmp_path / "other.gallery"
    assert said(capsys, "export", place, file, "--where", "camera = 1") == f"4 items: {file}\n"
    done("gallery", "create", other, "--bits", 64, "--attributes", "hat,bag,top=red")
    assert answer(capsys, "import", other, file) == {"added": 4}
    assert said(capsys, "copy", place, other) == f"8 items copied, 4 were there already: {other}\n"
    assert answer(capsys, "copy", place, tmp_path / "third.gallery") == {"copied": 12}
    assert said(capsys, "backup", place, tmp_path / "backup.gallery") == f"backup: {tmp_path / 'backup.gallery'}\n"
    for each in (other, tmp_path / "third.gallery", tmp_path / "backup.gallery"):
        assert answer(capsys, "search", each, "--like", "cam/04.jpg") == answer(
            capsys, "search", place, "--like", "cam/04.jpg"
        )
    assert "neither read nor written" in refusal(capsys, "gallery", "export", place, place)
    assert "neither read nor written" in refusal(capsys, "gallery", "backup", place, place)
    file.write_bytes(b"something else")
    assert "got: no whole Parquet file" in refusal(capsys, "gallery", "import", other, file)
    assert "expected a gallery, got another or a damaged file" in refusal(capsys, "gallery", "copy", place, file)
    assert file.read_bytes() == b"something else"


# audit and decisions


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


def test_decisions(place: Path, capsys: Capture) -> None:
    assert said(capsys, "confirm", place, "Zoë", "cam/00.jpg") == "2 items are now known to be Zoë\n"
    assert n_items(place, "person = Zoë") == 2
    assert said(capsys, "reject", place, "2", "cam/08.jpg") == "2 items are now known not to be 2\n"
    (found,) = answer(capsys, "search", place, "--like", "cam/00.jpg", "--person", "2")
    assert found["n_gallery"] == N - 3
    assert answer(capsys, "merge", place, "Zoë", "2") == {"items": 2}
    assert answer(capsys, "undo", place) == {"undone": "merge Zoë"}
    assert said(capsys, "undo", place) == "undone: reject 2\n"
    done("gallery", "undo", place)
    assert said(capsys, "undo", place) == "there was nothing to undo\n"
    assert answer(capsys, "undo", place) == {"undone": None}
    assert "got 'x', which is not there" in refusal(capsys, "gallery", "confirm", place, "Zoë", "x")


# Pictures


def test_pictures(trained: Path, people: Path, tmp_path: Path, capsys: Capture) -> None:
    place, model = tmp_path / "people.gallery", trained / "artifact"
    done("gallery", "create", place, "--model", model)
    folder = people / "bounding_box_test"
    one = sorted(folder.iterdir())[0]
    (tmp_path / "table.csv").write_text(f"path,pid,camid,time\n{one},25,3,1700000000\n", encoding="utf-8")
    words = ["add", place, "--model", model]
    assert answer(capsys, *words, tmp_path / "table.csv", "--time-unit", "s") == {"items": 1, "added": 1}
    assert answer(capsys, *words, folder) == {"items": 28, "added": 27}
    with open_gallery(place) as gallery:
        (item,) = gallery.get([str(one)])
        assert item is not None
        assert (item.person, item.camera, item.picture) == ("25", 3, str(one))
        assert item.time == datetime.fromtimestamp(1_700_000_000, UTC)
        assert gallery.count("time >= 2000-01-01") == 1
    query = queries(people, 26)
    done("encode", model, people / "bounding_box_test", "--out", tmp_path / "codes.npz")
    done(
        "search", model, "--query", *query, "--gallery", tmp_path / "codes.npz", "-k", 5, "--json", tmp_path / "a.json"
    )
    wanted = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    words = ["search", place, *query, "--model", model, "-k", 5, "--max-distance", "none"]
    (found,) = answer(capsys, *words)
    assert [hit["distance"] for hit in found["hits"]] == [hit["distance"] for hit in wanted]
    (two,) = answer(capsys, *words, "--w", "50%", "--parts", "global")
    assert len(two["hits"]) == 5
    (tmp_path / "table.csv").write_text(f"path,time\n{one},{10**15}\n", encoding="utf-8")
    assert "of the years 1 to 9999, got 1000000000000000 with --time-unit s" in refusal(
        capsys, "gallery", "add", place, tmp_path / "table.csv", "--model", model, "--time-unit", "s"
    )


# Words


def test_moments() -> None:
    assert moment("2026-01-31") == datetime(2026, 1, 31, tzinfo=UTC)
    assert moment("2026-01-31T10:00+02:00") == datetime(2026, 1, 31, 8, tzinfo=UTC)
    for text, hours in {"36h": 36, "2d": 48, "1w": 168}.items():
        assert (datetime.now(UTC) - moment(text)).total_seconds() == pytest.approx(hours * 3600, abs=60)


def test_descriptions() -> None:
    assert description("hat, not long hair ,, top=red") == {"hat": 1, "long hair": 0, "top=red": 1}
