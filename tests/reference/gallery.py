"""A gallery that is a dict, searched item by item: slow and obvious."""

from datetime import UTC, datetime

import numpy as np

from bitreid.gallery import Filter, GalleryItem, Items
from bitreid.gallery.items import Id, key_of
from tests.reference.filters import passes


class PlainGallery:
    """What every gallery has to agree with."""

    def __init__(self, attributes: tuple[str, ...]) -> None:
        self.attributes = attributes
        self.items: dict[Id, GalleryItem] = {}
        self.added = datetime.now(UTC)

    def add(self, batch: Items) -> int:
        new = [item for item in batch if item.id not in self.items]
        self.items.update({item.id: item for item in new})
        return len(new)

    def upsert(self, batch: Items) -> int:
        new = [item for item in batch if item.id not in self.items]
        self.items.update({item.id: item for item in batch})
        return len(new)

    def delete_where(self, where: Filter) -> int:
        gone = [item.id for item in self.passing(where)]
        for id in gone:
            del self.items[id]
        return len(gone)

    def passing(self, where: Filter | None) -> list[GalleryItem]:
        """The items that pass, by key."""
        items = sorted(self.items.values(), key=lambda item: key_of(item.id))
        return [item for item in items if where is None or passes(where, item, self.added, self.attributes)]

    def search(
        self,
        code: bytes,
        k: int,
        where: Filter | None = None,
        w: int | None = None,
        short: bytes = b"",
        bits: range | None = None,
    ) -> list[tuple[Id, int]]:
        """The ids and distances of the nearest items; with `bits` only those bits of the code count."""
        items = self.passing(where)
        if w is not None:
            items.sort(key=lambda item: (distance(short, item.attribute_code), key_of(item.id)))
            items = items[:w]
        found = [(distance(code, item.code, bits), key_of(item.id), item.id) for item in items]
        return [(id, near) for near, _, id in sorted(found, key=lambda each: each[:2])[:k]]


def distance(a: bytes, b: np.ndarray[tuple[int], np.dtype[np.uint8]] | None, bits: range | None = None) -> int:
    """Bits that differ, one by one."""
    assert b is not None
    ones = [f"{byte:08b}" for byte in bytes(a)], [f"{byte:08b}" for byte in bytes(b)]
    mine, theirs = "".join(ones[0]), "".join(ones[1])
    return sum(mine[i] != theirs[i] for i in bits or range(len(mine)))
