"""`bitreid gallery add`: what items are called, codes and pictures."""

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bitreid.commands.left_out import LEFT_OUT
from bitreid.commands.main import main
from bitreid.gallery import Contract, create_gallery, open_gallery
from bitreid.gallery.items import Id
from tests.commands.words import (
    Capture,
    answer,
    codes_of,
    done,
    n_items,
    queries,
    refusal,
    said,
)


def test_ids(codes: Path, tmp_path: Path, capsys: Capture) -> None:
    more = codes_of(tmp_path / "more.npz", folder="cam2")
    wanted: dict[str, set[Id]] = {"path": {"cam/00.jpg", "cam2/11.jpg"}, "number": {0, 23}}
    for way, some in wanted.items():
        place = tmp_path / f"{way}.gallery"
        done("gallery", "create", place, "--bits", 64)
        done("gallery", "add", place, codes, more, "--id", way, "--same-people")
        with open_gallery(place) as gallery:
            assert some < {id for batch in gallery.scan() for id in batch.ids}
            assert gallery.count() == 24
    done("gallery", "create", tmp_path / "name.gallery", "--bits", 64)
    error = refusal(capsys, "gallery", "add", tmp_path / "name.gallery", codes, more, "--id", "name", "--same-people")
    assert "got '00' 2 times; name each file once, or choose ids of another kind" in error
    done("gallery", "add", tmp_path / "name.gallery", codes, "--id", "name")
    assert n_items(tmp_path / "name.gallery", 'id in ("00", "11")') == 2


def test_no_item_is_lost_in_silence(codes: Path, tmp_path: Path, capsys: Capture) -> None:
    other = codes_of(tmp_path / "other.npz", seed=1)
    for way, added in (("number", 12), ("hash", 12), ("name", None), ("path", None)):
        place = tmp_path / f"{way}.gallery"
        done("gallery", "create", place, "--bits", 64)
        words = ["add", place, "--id", way]
        assert answer(capsys, *words, codes) == {"items": 12, "added": 12, "left_out": []}
        if added is None:
            assert "12 ids that others have" in refusal(capsys, "gallery", *words, other)
        else:
            assert answer(capsys, *words, other, "--same-people") == {"items": 12, "added": added, "left_out": []}
        assert n_items(place) == 12 + (added or 0)
        assert answer(capsys, *words, codes) == {"items": 12, "added": 0, "left_out": []}


def test_ids_do_not_depend_on_where_one_is(
    trained: Path, people: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "here" / "people.gallery"
    (place.parent / "query").mkdir(parents=True)
    picture = Path(shutil.copy(queries(people, 26)[0], place.parent / "query"))
    done("gallery", "create", place, "--model", trained / "artifact")
    for folder, given in ((tmp_path, Path("here/query")), (place.parent, Path("query")), (tmp_path, picture)):
        monkeypatch.chdir(folder)
        done("gallery", "add", place, given, "--model", trained / "artifact")
    with open_gallery(place) as gallery:
        assert [item.id for batch in gallery.scan() for item in batch] == [f"query/{picture.name}"]
    done("gallery", "add", place, picture, "--model", trained / "artifact", "--root", picture.parent)
    assert n_items(place, f'id = "{picture.name}"') == 1


def test_codes_of_another_model_are_refused(codes: Path, tmp_path: Path, capsys: Capture) -> None:
    create_gallery(tmp_path / "other.gallery", Contract(64, "f" * 16, "other")).close()
    words = ["gallery", "add", tmp_path / "other.gallery"]
    assert f"of the model other ({'f' * 16}), got codes of abc" in refusal(capsys, *words, codes)
    assert "64 bits, got 128" in refusal(capsys, *words, codes_of(codes, n_bits=128, model=""))
    words = ["gallery", "search", tmp_path / "other.gallery"]
    assert "64 bits, got 128" in refusal(capsys, *words, codes)


def test_pictures(trained: Path, people: Path, tmp_path: Path, capsys: Capture) -> None:
    place, model = tmp_path / "people.gallery", trained / "artifact"
    done("gallery", "create", place, "--model", model)
    folder = people / "bounding_box_test"
    one = sorted(folder.iterdir())[0]
    (tmp_path / "table.csv").write_text(f"path,pid,camid,time\n{one},25,3,1700000000\n", encoding="utf-8")
    words = ["add", place, "--model", model]
    assert answer(capsys, *words, tmp_path / "table.csv", "--time-unit", "s") == {
        "items": 1,
        "added": 1,
        "left_out": [],
    }
    assert answer(capsys, *words, folder) == {"items": 28, "added": 27, "left_out": []}
    with open_gallery(place) as gallery:
        (item,) = gallery.get([str(one)])
        assert item is not None
        assert (item.person, item.camera, item.picture) == ("25", 3, str(one))
        assert item.time == datetime.fromtimestamp(1_700_000_000, UTC)
        assert gallery.count("time >= 2000-01-01") == 1
    query = queries(people, 26)
    words = ["search", place, *query, "--model", model, "-k", 5]
    (two,) = answer(capsys, *words, "--w", "50%", "--parts", "global")
    assert len(two["hits"]) == 5
    (tmp_path / "table.csv").write_text(f"path,time\n{one},{10**15}\n", encoding="utf-8")
    assert "of the years 1 to 9999, got 1000000000000000, counted in s from 1970 on" in refusal(
        capsys, "gallery", "add", place, tmp_path / "table.csv", "--model", model, "--time-unit", "s"
    )


def test_further_columns_become_metadata(trained: Path, people: Path, tmp_path: Path, capsys: Capture) -> None:
    place, table = tmp_path / "people.gallery", tmp_path / "table.csv"
    one, two = queries(people, 26)[:2]
    table.write_text(f"path,floor,door,note\n{one},3,north,a\n{two},4,,b\n", encoding="utf-8")
    done("gallery", "create", place, "--model", trained / "artifact")
    words = ["gallery", "add", place, table, "--model", trained / "artifact"]
    error = refusal(capsys, *words, "--metadata", "floor,dor")
    assert f"expected the column 'dor' to keep in {table}, got floor, door, note" in error
    assert n_items(place) == 0
    done(*words, "--metadata", "floor, door")
    assert "passing over note" in capsys.readouterr().err
    assert n_items(place, "metadata.floor = 3 and metadata.door = north") == 1
    with open_gallery(place) as gallery:
        assert [item and item.metadata for item in gallery.get([str(two)])] == [{"floor": 4}]
    done(*words, "--metadata", "all", "--upsert")
    assert n_items(place, "metadata.note = b") == 1
    assert "expected a table" in refusal(capsys, "gallery", "add", place, one, "--metadata", "all")


def test_people_of_a_second_source_are_not_those_of_the_first(place: Path, tmp_path: Path, capsys: Capture) -> None:
    more = codes_of(tmp_path / "more.npz", folder="cam2")
    words = ["gallery", "add", place, more]
    error = refusal(capsys, *words)
    assert (
        "got person 1, which it has from elsewhere (2 persons in all); say --same-people if they are the same, or "
        "--source NAME to keep these apart, as NAME/1" in error
    )
    assert n_items(place) == 12
    done(*words, "--source", "site b")
    done(*words)
    assert n_items(place) == 24
    assert n_items(place, 'person = 1 or person = "site b/1"') == 2 * n_items(place, "person = 1") == 8
    assert n_items(place, 'tracklet = "site b/5"') == n_items(place, "tracklet = 5") == 2
    done("gallery", "add", place, codes_of(tmp_path / "third.npz", folder="cam3"), "--same-people")
    assert n_items(place, "person = 1") == 8


def test_cameras_keep_their_names(trained: Path, people: Path, tmp_path: Path, capsys: Capture) -> None:
    place, tables = tmp_path / "people.gallery", [tmp_path / "a.csv", tmp_path / "b.csv"]
    one, two, three = queries(people, 26)[0], *queries(people, 25)[:2]
    tables[0].write_text(f"path,camid\n{one},gate\n{two},entrance\n", encoding="utf-8")
    tables[1].write_text(f"path,camid\n{one},gate\n{three},attic\n", encoding="utf-8")
    model = ["--model", trained / "artifact"]
    done("gallery", "create", place, *model)
    for table in [*tables, tables[1]]:
        done("gallery", "add", place, table, *model)
    with open_gallery(place) as gallery:
        assert gallery.camera_names == {1: "entrance", 2: "gate", 3: "attic"}
        assert [item and item.camera for item in gallery.get([str(one), str(two), str(three)])] == [2, 1, 3]
    assert answer(capsys, "info", place)["camera_names"] == {"1": "entrance", "2": "gate", "3": "attic"}
    assert "1 entrance, 2 gate, 3 attic" in said(capsys, "info", place)
    words = ["search", place, one, *model, "--where", "camera in (gate, attic)"]
    (found,) = answer(capsys, *words, "--sheet", tmp_path / "sheet.png")
    assert {(hit["camera"], hit["camera_name"]) for hit in found["hits"]} == {(2, "gate"), (3, "attic")}
    text = said(capsys, *words)
    assert "2 gate" in text
    assert "3 attic" in text
    capsys.readouterr()
    assert main([str(word) for word in ["gallery", *words[:-1], "camera = loft"]]) == 1
    assert "a camera's name (entrance, gate, attic), got 'loft'" in capsys.readouterr().err
    done("gallery", "export", place, tmp_path / "gate.parquet", "--where", "camera = gate")
    done("gallery", "copy", place, tmp_path / "copy.gallery")
    done("gallery", "delete", place, "--where", "camera = attic")
    assert [n_items(at, "camera = attic") for at in (place, tmp_path / "copy.gallery")] == [0, 1]
    done("search", trained / "artifact", "--query", one, "--gallery", tables[0], "--json", tmp_path / "hits.json")
    (found,) = json.loads((tmp_path / "hits.json").read_text(encoding="utf-8"))
    assert {hit["camera_name"] for hit in found["hits"]} == {"entrance", "gate"}


def test_codes_of_another_model_are_refused_even_where_all_ids_are_there(tmp_path: Path, capsys: Capture) -> None:
    create_gallery(tmp_path / "mine.gallery", Contract(64, "abc", "mine")).close()
    words = ["gallery", "add", tmp_path / "mine.gallery"]
    done(*words, codes_of(tmp_path / "codes.npz"))
    others = codes_of(tmp_path / "codes.npz", model="def")
    assert "of the model mine (abc), got codes of def" in refusal(capsys, *words, others)


def test_bad_pictures_are_told_and_the_others_added(
    trained: Path, people: Path, tmp_path: Path, capsys: Capture
) -> None:
    folder, place, report = tmp_path / "many", tmp_path / "people.gallery", tmp_path / "report.json"
    shutil.copytree(people / "query", folder)
    bad = sorted(folder.iterdir())[7]
    bad.write_bytes(bad.read_bytes()[:300])
    strange = Path(os.fsdecode(bytes(folder) + b"/caf\xe9.jpg"))
    strange.write_bytes(sorted(folder.iterdir())[0].read_bytes())
    done("gallery", "create", place, "--model", trained / "artifact")
    words = ["gallery", "add", place, folder, "--model", trained / "artifact"]
    assert "got 2 bad ones" not in refusal(capsys, *words, "--strict")
    assert n_items(place) == 0
    for n in (17, 0):
        capsys.readouterr()
        assert main([str(word) for word in [*words, "--report", report, "--json", "-"]]) == LEFT_OUT
        said = capsys.readouterr()
        assert "bitreid: 2 pictures were left out:" in said.err
        assert f"{n} items added, {17 - n} were there already" in said.err
        left_out = json.loads(said.out)["left_out"]
        assert [each["path"] for each in left_out] == [str(strange), str(bad)]
        reasons = [each["reason"] for each in json.loads(report.read_text(encoding="utf-8"))]
        assert reasons == [each["reason"] for each in left_out]
        assert n_items(place) == 17


def test_what_was_added_before_an_error_is_said(codes: Path, tmp_path: Path, capsys: Capture) -> None:
    place, other = tmp_path / "other.gallery", codes_of(tmp_path / "other.npz", model="def", folder="cam2")
    create_gallery(place, Contract(64, "abc", "mine")).close()
    capsys.readouterr()
    assert main(["gallery", "add", str(place), str(codes), str(other), "--same-people"]) == 1
    said = capsys.readouterr()
    assert "12 items added, 0 were there already before it stopped" in said.out
    assert "got codes of def" in said.err


def test_a_gallery_in_a_folder_whose_name_is_not_utf8(codes: Path, tmp_path: Path) -> None:
    folder = Path(os.fsdecode(bytes(tmp_path) + b"/stra\xdfe"))
    folder.mkdir()
    done("gallery", "create", folder / "a.gallery", "--bits", 64)
    done("gallery", "add", folder / "a.gallery", codes)
    assert n_items(folder / "a.gallery") == 12
