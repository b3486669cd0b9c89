"""Segments of SQLite galleries: written, shared, merged, missing, damaged, and never a wrong answer."""

from pathlib import Path

import pytest

from bitreid.gallery import create_gallery, open_gallery
from bitreid.gallery.sqlite.gallery import SqliteGallery
from bitreid.gallery.sqlite.segments import plan
from tests.gallery.sqlite.cases import CONTRACT, batch_of, check_whole, plain_of


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of few items."""
    for name, value in {"FEWEST": 1, "TAIL": 40, "FANOUT": 3, "ROUND": 1}.items():
        monkeypatch.setattr(plan, name, value)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "people.gallery"


def test_a_gallery_is_opened_with_what_was_written_when_it_was_closed(path: Path) -> None:
    batch = batch_of([*range(30), *(f"picture {i}" for i in range(30))])
    with create_gallery(path, CONTRACT) as gallery:
        gallery.add(batch)
        check_whole(gallery, plain_of(batch))
    with open_gallery(path) as gallery:
        assert isinstance(gallery, SqliteGallery)
        assert gallery._cache.base.n_items == 60
        check_whole(gallery, plain_of(batch))
        more = batch_of(range(100, 130))
        gallery.add(more)
        check_whole(gallery, plain_of(batch, more))
        gallery.delete([3, "picture 4", 105])
        plain = plain_of(batch, more)
        plain.delete([3, "picture 4", 105])
        check_whole(gallery, plain)
        gallery.confirm([5], "Ada")
        plain.decide("confirm", "Ada", [5])
        assert gallery.count("person = Ada") == 2
    with open_gallery(path) as gallery:
        assert gallery.count("person = Ada") == 2
        gallery.compact()
        assert gallery.count("person = Ada") == 2
        assert gallery.count() == 87
