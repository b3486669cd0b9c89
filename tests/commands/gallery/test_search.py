"""`bitreid gallery search`: by codes, items and descriptions; nobody; refusals."""

import json
from pathlib import Path

import pytest

from bitreid.commands.main import main
from bitreid.gallery import Contract, create_gallery
from bitreid.open_set import OpenSet
from tests.commands.words import Capture, N, answer, done, pixels, queries, refusal, said


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
        "tracklet": "4",
        "person": "1",
        "votes": 1,
        "certain": None,
    }
    # Two stages: of camera 1, the attributes of row 4 are those of no other row.
    two = answer(capsys, "search", place, codes, "-k", 3, "--w", "1", "--where", "camera = 1")
    assert [len(each["hits"]) for each in two] == [1] * N
    assert two[4]["hits"][0]["id"] == "cam/04.jpg"
    # So few items have no clusters.
    clustered = answer(capsys, "search", place, codes, "-k", 3, "--method", "clustered", "--recall", "0.5")
    assert clustered == answer(capsys, "search", place, codes, "-k", 3, "--method", "exact")
    assert {each["n_visited"] for each in clustered} == {N}
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
    (found,) = answer(capsys, "search", place, "--like", "cam/04.jpg", "-k", 100)
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
    text = said(capsys, "search", calibrated, "--like", "cam/04.jpg", "--only-certain")
    assert text.startswith("nobody: among 11 items no distance is small enough that at most 1 % of the searches")
    text = said(capsys, "search", calibrated, "--like", "cam/04.jpg", "-k", 1)
    assert "1 of 11 items" in text
    assert "probability" in text
    assert "none is certain: among 11 items no distance is small enough" in text
    assert "hits are certain, got no calibration" in refusal(capsys, "gallery", *words, "--only-certain")


def test_a_line_shows_where_certainty_ends(codes: Path, tmp_path: Path, capsys: Capture) -> None:
    open_set = OpenSet(tail_slope=0.25, tail_offset=-9.0, slope=-0.2, offset=8.0)
    place = tmp_path / "calibrated.gallery"
    create_gallery(place, Contract(64, open_set=open_set)).close()
    done("gallery", "add", place, codes)
    words = ["search", place, "--like", "cam/04.jpg"]
    (found,) = answer(capsys, *words, "-k", N)
    threshold, certain = found["threshold"], [hit["certain"] for hit in found["hits"]]
    assert certain == [hit["distance"] <= threshold for hit in found["hits"]]
    n = sum(certain)
    assert 0 < n < len(certain) == N - 1
    assert not found["nobody"]
    lines = said(capsys, *words, "-k", N).splitlines()
    assert [line[0] for line in lines[4 : 4 + N]] == ["│"] * n + ["├"] + ["│"] * (N - 1 - n)
    assert lines[-1].startswith(f"certain above the line: within {threshold} bits, at most 1 % of the searches for")
    assert f"all are certain: within {threshold} bits" in said(capsys, *words, "-k", 1)
    assert len(answer(capsys, *words, "-k", N, "--only-certain")[0]["hits"]) == n
    nearer = found["hits"][0]["distance"] - 1
    text = said(capsys, *words, "--max-distance", nearer)
    assert text == f"nobody: none of 11 items is within {nearer} bits\n"


def test_a_sheet_shows_the_hits(artifact: Path, people: Path, tmp_path: Path, capsys: Capture) -> None:
    place, query = tmp_path / "pictures.gallery", queries(people, 25)[0]
    done("gallery", "create", place, "--model", artifact)
    done("gallery", "add", place, people, "--model", artifact)
    words = ["search", place, query, "--model", artifact, "-k", 3, "--sheet"]
    assert f"ranked sheet: {tmp_path / 'a.png'}" in said(capsys, *words, tmp_path / "a.png")
    assert f"ranked sheet: {tmp_path / 'b.png'}" in said(
        capsys, "search", place, "--like", query, "-k", 3, "--sheet", tmp_path / "b.png"
    )
    assert pixels(tmp_path / "a.png").shape == pixels(tmp_path / "b.png").shape
    assert pixels(tmp_path / "a.png").std() > 10
    assert "got a description" in refusal(capsys, "gallery", *words[:2], "--attributes", "hat", "--sheet", "c.png")


def test_search_refuses(place: Path, codes: Path, capsys: Capture) -> None:
    words = ["gallery", "search", place]
    assert "expected one of QUERY, --like and --attributes to search for, got 0" in refusal(capsys, *words)
    assert "got 2 of them" in refusal(capsys, *words, codes, "--like", "x")
    assert "expected the id of an item in the gallery, got 'x'" in refusal(capsys, *words, "--like", "x")
    assert "expected one file of codes" in refusal(capsys, *words, codes, codes)
    assert "expected --model MODEL" in refusal(capsys, *words, "a.jpg")
    assert "such as 1%, above 0, got '0'" in refusal(capsys, *words, codes, "--w", "0")
    assert "share such as 1%" in refusal(capsys, *words, codes, "--fpir", "2")
    assert "share such as 1%" in refusal(capsys, *words, codes, "--recall", "2")
    assert "w for a search in two stages only" in refusal(capsys, *words, codes, "--w", "3", "--method", "clustered")
    assert "expected w or recall" in refusal(capsys, *words, codes, "--recall", "0.9", "--w", "3")
    assert "coarse code, whose table says what a recall takes, got none" in refusal(
        capsys, *words, codes, "--recall", "0.9"
    )
    assert "expected k" in refusal(capsys, *words, codes, "-k", "0")
    assert "parts among none at all, got head" in refusal(capsys, *words, codes, "--parts", "head")
    assert "got by; leave it out" in refusal(capsys, *words, "--attributes", "hat", "--by", "person")
    assert "got max_distance; leave it out" in refusal(capsys, *words, "--attributes", "hat", "--max-distance", 1)
    assert "attributes among hat, bag, top=red, got cap" in refusal(capsys, *words, "--attributes", "cap")
    capsys.readouterr()
    assert main([*map(str, words), str(codes), "--where", "camera = x"]) == 1
    error = capsys.readouterr().err.splitlines()
    assert error[0].startswith("bitreid: at character 10: expected a whole number")
    assert error[1:] == ["camera = x", "         ^"]


def test_threads(place: Path, codes: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    words = ["search", place, codes, "-k", 5]
    found = answer(capsys, *words)
    for n in (1, 2, 7):
        assert answer(capsys, *words, "--threads", n) == found
        monkeypatch.setenv("BITREID_THREADS", str(n))
        assert answer(capsys, *words) == found
    assert "at least 1, got 0" in refusal(capsys, "gallery", *words, "--threads", "0")
    monkeypatch.setenv("BITREID_THREADS", "many")
    assert "expected BITREID_THREADS to be a whole number" in refusal(capsys, "gallery", *words)
    assert answer(capsys, *words, "--threads", 2) == found
