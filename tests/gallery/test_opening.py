"""Places of galleries, and what is opened there."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bitreid.errors import BadRequest, GalleryDamaged, GalleryExists, GalleryReadOnly
from bitreid.gallery import Contract, create_gallery, open_gallery, open_or_create_gallery
from bitreid.gallery.opening import hidden

CONTRACT = Contract(64)


def test_a_file_is_a_place(tmp_path: Path) -> None:
    place = tmp_path / "people.gallery"
    with create_gallery(place, CONTRACT, audited=False) as made:
        assert (made.contract, made.audited) == (CONTRACT, False)
    with open_gallery(str(place), actor="me") as opened:
        assert (opened.contract, opened.audited, opened.actor) == (CONTRACT, False, "me")
    with pytest.raises(GalleryExists, match="expected a new file"):
        create_gallery(place, CONTRACT)
    with open_gallery(place, read_only=True) as opened, pytest.raises(GalleryReadOnly, match="read only"):
        opened.delete([1])


def test_memory_is_a_place_for_new_galleries(tmp_path: Path) -> None:
    with create_gallery("memory:", CONTRACT, actor="me") as made:
        assert (made.contract, made.audited, made.actor) == (CONTRACT, True, "me")
    with pytest.raises(BadRequest, match="which is new each time"):
        open_gallery("memory:")


def test_a_server_is_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Any, ...]] = []
    milvus = ModuleType("milvus")
    vars(milvus)["create_milvus"] = lambda *args, **named: calls.append((*args, named))
    vars(milvus)["open_milvus"] = lambda *args, **named: calls.append((*args, named))
    monkeypatch.setitem(sys.modules, "bitreid.gallery.milvus.gallery", milvus)
    create_gallery("milvus://localhost:19530/people", CONTRACT, actor="me")
    open_gallery("milvuss://user:word@host/people", read_only=True)
    assert calls == [
        ("http://localhost:19530", "people", CONTRACT, {"audited": True, "actor": "me"}),
        ("https://user:word@host", "people", {"actor": "", "read_only": True}),
    ]


@pytest.mark.parametrize(
    "place",
    [
        "milvus://localhost:19530",
        "milvus://localhost:19530/",
        "http://localhost/people",
        "milvus://:19530/people",
        "milvus://localhost:port/people",
        "milvus://localhost:99999/people",
        "milvus://localhost:0/people",
        "milvus://[::1/people",
        "milvus://localhost/people?user=me",
        "milvus:/localhost/people",
        "milvus://anna:se:cr@et@localhost:port/people",
        "milvus:/anna:secret@localhost/people",
        "http://anna:secret@localhost/people",
    ],
)
def test_no_place(place: str) -> None:
    with pytest.raises(BadRequest, match="expected a place such as") as error:
        open_gallery(place)
    assert "cr" not in str(error.value).partition(", got ")[2], "a password is never shown"


def test_a_place_is_shown_without_its_password() -> None:
    assert hidden("milvus://anna:se:c@ret@db:1/people") == "milvus://anna:...@db:1/people"
    for place in ("milvus://anna@db:1/people", "milvus://[::1]:19530/people", "a:b@c/people.gallery"):
        assert hidden(place) == place


def test_a_gallery_is_opened_or_else_made(tmp_path: Path) -> None:
    place = tmp_path / "people.gallery"
    for _ in range(2):
        with open_or_create_gallery(place, CONTRACT, audited=False, actor="me") as gallery:
            assert (gallery.contract, gallery.audited, gallery.actor) == (CONTRACT, False, "me")
    with open_or_create_gallery(place, Contract(128)) as gallery:
        assert gallery.contract == CONTRACT
    place.write_bytes(b"id,code\n" * 1000)
    with pytest.raises(GalleryDamaged, match="got another or a damaged file"):
        open_or_create_gallery(place, CONTRACT)
    assert place.read_bytes() == b"id,code\n" * 1000
    with pytest.raises(BadRequest, match="which is new each time"):
        open_or_create_gallery("memory:", CONTRACT)
