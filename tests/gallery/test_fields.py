"""An item's fields are described once: what people see and every store follow the description."""

import dataclasses
import sqlite3
from contextlib import closing
from pathlib import Path

from pyarrow import parquet

from bitreid.gallery import GalleryItem, Hit, Items, create_gallery, export_parquet
from bitreid.gallery.fields import FIELDS, JSON_OBJECT, TEXT, TIME, WHOLE_NUMBER
from bitreid.gallery.milvus import rows as milvus
from bitreid.gallery.milvus.server import TEXTS
from bitreid.gallery.sqlite import rows as sqlite
from tests.gallery.cases import CONTRACT, people

NAMES = ["camera", "time", "tracklet", "person", "metadata", "picture"]
SEARCHED = ["camera", "time", "tracklet", "person"]


def test_the_description_is_what_it_is_known_to_be() -> None:
    assert [field.name for field in FIELDS] == NAMES
    assert [field.name for field in FIELDS if field.searched] == SEARCHED
    kinds = {field.name: field.kind for field in FIELDS}
    assert kinds == {
        "camera": WHOLE_NUMBER,
        "time": TIME,
        "tracklet": TEXT,
        "person": TEXT,
        "metadata": JSON_OBJECT,
        "picture": TEXT,
    }
    assert not [field.name for field in FIELDS if field.kind.is_number and not field.searched]


def test_items_and_hits_have_the_fields() -> None:
    assert list(GalleryItem._fields) == ["id", "code", "attribute_code", *NAMES]
    columns = [field.column for field in FIELDS]
    assert [field.name for field in dataclasses.fields(Items)] == [
        "ids",
        "codes",
        "attribute_codes",
        *columns,
        "model",
        "engine",
    ]
    assert list(Hit._fields) == ["id", "distance", "probability", *SEARCHED, "votes"]


def test_sqlite_has_the_fields(tmp_path: Path) -> None:
    create_gallery(tmp_path / "people.gallery", CONTRACT).close()
    with closing(sqlite3.connect(tmp_path / "people.gallery")) as connection:
        columns = connection.execute("SELECT name, type, \"notnull\" FROM pragma_table_info('items')").fetchall()
    numbers = [(field.name, "INTEGER", 1) if field.kind.is_number else (field.name, "TEXT", 0) for field in FIELDS]
    own = {"seq", "key", "id", "code", "attributes", "checksum", "added", "details"}
    assert sorted(column for column in columns if column[0] not in own) == sorted(numbers)
    assert {column[0] for column in columns} == own | set(NAMES)
    assert sorted(sqlite.WHOLE.split(", ")) == sorted(column[0] for column in columns)
    assert set(SEARCHED) == set(sqlite.SEARCHED.split(", ")) - own


def test_milvus_has_the_fields() -> None:
    own = {"text", "added", "metadata", "attributes", "revision", "code"}
    assert list(milvus.COLUMN_OF) == NAMES
    assert set(milvus.WHOLE) == own | set(milvus.COLUMN_OF.values())
    assert set(milvus.HIT) == {"text", *SEARCHED}
    assert {milvus.COLUMN_OF[field.name] for field in FIELDS if not field.kind.is_number} < TEXTS


def test_parquet_has_the_fields(tmp_path: Path) -> None:
    with create_gallery("memory:", CONTRACT) as gallery:
        gallery.add(people([1]))
        export_parquet(gallery, tmp_path / "people.parquet")
    names = parquet.read_schema(tmp_path / "people.parquet").names
    assert names == ["id_number", "id_text", "code", "attribute_code", *NAMES]
