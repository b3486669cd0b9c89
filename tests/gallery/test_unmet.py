"""Filters that no item passes: what they ask in vain is warned of, or told to who listens."""

import numpy as np
import pytest

from bitreid.codes import Codes
from bitreid.errors import DataWarning
from bitreid.gallery import Contract, Items, create_gallery
from bitreid.gallery.unmet import unmet_told

CODES = Codes(np.arange(16, dtype=np.uint8).reshape(2, 8), 64)


def test_what_no_item_has_is_warned_of_or_told() -> None:
    with create_gallery("memory:", Contract(64)) as gallery:
        gallery.add(Items.of([1, 2], CODES, cameras=[1, 2], persons=["Ada", None]))
        where = "camera in (2, 7) and person = 'Ada'"
        with pytest.warns(DataWarning, match="no item has camera = 7$"):
            gallery.search(CODES, where=where)
        with unmet_told() as told:
            assert [len(hits) for hits in gallery.search(CODES, where=where)] == [0, 0]
            assert told == ["camera = 7"]
            gallery.search(CODES, where="camera = 2")
        assert told == ["camera = 7"]
        with unmet_told() as none:
            gallery.search(CODES, where="camera = 2 and person = 'Ada'")  # each is true of an item, not both
        assert none == []
        with pytest.warns(DataWarning, match="no item has camera = 7$"):
            gallery.search(CODES, where=where)
