"""A gallery whose items are in one segment, and looks at its files."""

import sqlite3
from contextlib import closing
from pathlib import Path

from bitreid.gallery import create_gallery, open_gallery
from bitreid.gallery.sqlite.gallery import SqliteGallery
from bitreid.gallery.sqlite.segments.listed import Listed, listed_in
from tests.gallery.sqlite.cases import CONTRACT, batch_of

FIRST = batch_of([*range(30), *(f"picture {i}" for i in range(30))])


def filled(path: Path) -> None:
    with create_gallery(path, CONTRACT) as gallery:
        gallery.add(FIRST)


def opened(path: Path, read_only: bool = False) -> SqliteGallery:
    gallery = open_gallery(path, read_only=read_only)
    assert isinstance(gallery, SqliteGallery)
    return gallery


def settle(gallery: SqliteGallery) -> None:
    gallery._segments.end()
    gallery._segments.settle(1)


def segments_of(path: Path) -> list[Path]:
    return sorted(path.with_name(f"{path.name}.d").glob("*.segment"))


def listed(path: Path) -> Listed:
    with closing(sqlite3.connect(path)) as connection:
        connection.text_factory = bytes
        return listed_in(connection, path)
