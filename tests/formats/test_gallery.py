"""Galleries and exports of every format that there ever was are opened, and hold what was put into them.

`gallery-N.gallery` and `gallery-N.parquet` were written when N was the newest format. They are never written again.
All files hold the same: that of format 2 is a backup of the first, when it had been migrated, that of format 3 one
of the second, with a coarse code, and that of format 4 one of the third.
"""

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitreid.coarse import CoarseCode
from bitreid.codes import Codes, Part
from bitreid.gallery import Contract, Gallery, OlderThan, create_gallery, import_parquet, open_gallery
from bitreid.gallery.fields import microseconds
from bitreid.gallery.items import Id
from bitreid.gallery.sqlite.schema import format_version, identity_of, version_of
from bitreid.open_set import OpenSet

FOLDER = Path(__file__).parent
OPEN_SET = OpenSet(tail_slope=0.15, tail_offset=-6.0, slope=-0.4, offset=6.0)
ITEMS: dict[Id, tuple[Any, ...]] = {
    7: (0, "2026-01-01T12:00:00.123456+00:00", "t1", "Ada", '{"zone": "north", "floor": 1}', "a/b.jpg"),
    "7": (1, "1969-12-31T23:59:59.999999+00:00", "t1", None, "{}", None),
    0: (2, None, None, "Bo", None, "c.jpg"),
    -(2**63): (-1, "0001-01-01T00:00:00+00:00", "t2", None, '{"deep": {"list": [1, null, true, 1.5]}}', None),
    2**63 - 2: (None, "9999-12-31T23:59:59.999999+00:00", "t2", None, None, None),
    "näme": (3, "2026-01-02T00:00:00+00:00", "türen", None, '{"zone": "s\\u00fcd", "floor": 2.0}', "ü.jpg"),
    "gate/0017.jpg": (3, "2026-01-03T00:00:00+00:00", None, "Zoë", '{"gate": false}', "gate/0017.jpg"),
    1000: (99, None, None, "Cy", None, None),
}
"""By id, in the order in which they were added: camera, time, tracklet, person, metadata and picture. The code of item
i is the bytes 8 i to 8 i + 7, its attribute code the three bits of i."""


COARSE = CoarseCode((0, 0, 2), (0, 7, 7, 9, 63), ((0.5, 0.25), (0.9, 0.5)))


@pytest.fixture(params=[1, 2, 3, 4])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copy(FOLDER / f"gallery-{request.param}.gallery", tmp_path))


def from_a_file(path: Path) -> Gallery:
    return open_gallery(path)


def read_only(path: Path) -> Gallery:
    return open_gallery(path, read_only=True)


def from_an_export(path: Path) -> Gallery:
    gallery = create_gallery("memory:", Contract(64, "0123456789abcdef", attributes=("hat", "backpack", "top=red")))
    assert import_parquet(gallery, FOLDER / "gallery-1.parquet") == 8
    return gallery


@pytest.mark.parametrize("opened", [from_a_file, read_only, from_an_export])
def test_all_items_are_there(path: Path, opened: Callable[[Path], Gallery]) -> None:
    with opened(path) as gallery:
        found = {item.id: item for batch in gallery.scan() for item in batch}
        for number, (id, values) in enumerate(ITEMS.items()):
            item = found.pop(id)
            assert item.code.tolist() == list(range(8 * number, 8 * number + 8))
            assert item.attribute_code is not None
            assert item.attribute_code.tolist() == [number << 5]
            time = None if item.time is None else item.time.isoformat()
            metadata = None if item.metadata is None else json.dumps(item.metadata)
            assert (item.camera, time, item.tracklet, item.person, metadata, item.picture) == values
        assert not found


@pytest.mark.parametrize("opened", [from_a_file, read_only, from_an_export])
def test_they_are_found(path: Path, opened: Callable[[Path], Gallery]) -> None:
    query = Codes(np.arange(8, dtype=np.uint8)[None], 64)
    with opened(path) as gallery:
        (hits,) = gallery.search(query, 3, max_distance=None, model="0123456789abcdef")
        assert [(hit.id, hit.distance) for hit in hits] == [(7, 0), ("7", 8), (0, 8)]
        assert gallery.count("hat and not camera = 3") == 2
        assert gallery.count("metadata.zone = süd or person = Cy") == 2


def test_a_file_keeps_its_contract_its_decisions_and_its_log(path: Path) -> None:
    with open_gallery(path, actor="desk 8") as gallery:
        contract = gallery.contract
        assert (contract.n_bits, contract.model, contract.name) == (64, "0123456789abcdef", "small")
        assert contract.parts == (Part("head", 0, 24), Part("legs", 24, 64))
        assert contract.attributes == ("hat", "backpack", "top=red")
        assert contract.open_set == OPEN_SET
        assert contract.coarse == (COARSE if path.name in ("gallery-3.gallery", "gallery-4.gallery") else None)
        log = list(gallery.audit())
        assert [(entry["actor"], entry["action"], entry["ids"]) for entry in log] == [
            ("desk 7", "add", [7, "7", 0, -(2**63), 2**63 - 2]),
            ("desk 7", "add", ["näme", "gate/0017.jpg", 1000]),
            ("desk 7", "confirm", [1000]),
            ("desk 7", "reject", [2**63 - 2, -(2**63)]),
            ("desk 7", "search", [7, "7", 0]),
        ]
        assert log[0]["time"] == "2026-11-30T10:04:09.833303+00:00"
        assert gallery.rejected("Bo") == {-(2**63), 2**63 - 2}
        assert gallery.count("not person in (Ada, Bo, Cy, Zoë)") == 4
        assert (gallery.undo(), gallery.undo(), gallery.undo()) == ("reject Bo", "confirm Cy", None)
        assert [item and item.person for item in gallery.get([1000, -(2**63)])] == [None, "Bo"]
        # Of items of unknown time it knows when they were added: all but the one of the year 9999 are older.
        assert gallery.count(OlderThan(microseconds(datetime(2026, 11, 30, 11, tzinfo=UTC)))) == 7
        assert gallery.count(OlderThan(microseconds(datetime(2026, 11, 30, 10, tzinfo=UTC)))) == 5


def test_two_stages_are_by_coarse_code_or_attribute_code(path: Path) -> None:
    query, attributes = Codes(np.arange(8, dtype=np.uint8)[None], 64), Codes(np.array([[32]], np.uint8), 8)
    with open_gallery(path) as gallery:
        (hits,) = gallery.search(query, 1, 1, attribute_codes=attributes)
        # Only "7" has these attributes; in the coarse code -2**63, whose key is smaller, is as near.
        assert hits.ids == ((-(2**63),) if gallery.contract.coarse else ("7",))


def test_a_file_can_be_written(path: Path) -> None:
    with open_gallery(path) as gallery:
        assert gallery.delete([7]) == 1
        assert gallery.confirm(["7"], "Eve") == 1
        gallery.compact()
    with open_gallery(path) as gallery:
        assert gallery.count() == 7
        assert gallery.count("person = Eve") == 1
    with closing(sqlite3.connect(path)) as connection:
        assert version_of(connection) == format_version()
        assert identity_of(connection) > 0
