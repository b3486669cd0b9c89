"""A gallery that is a dict, searched item by item: slow and obvious."""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np

from bitreid.coarse import CoarseCode
from bitreid.gallery import Filter, GalleryItem, Items, PersonIn
from bitreid.gallery.items import Id
from tests.reference.coarse import coarse_bits
from tests.reference.filters import passes


class Decision(NamedTuple):
    """What somebody said of some items, and who they were before."""

    action: str
    person: str
    before: dict[Id, str | None]


class PlainGallery:
    """What every gallery has to agree with."""

    def __init__(self, attributes: tuple[str, ...]) -> None:
        self.attributes = attributes
        self.items: dict[Id, GalleryItem] = {}
        self.decisions: list[Decision] = []
        self.added = datetime.now(UTC)

    def add(self, batch: Items) -> int:
        new = [item for item in batch if item.id not in self.items]
        self.items.update({item.id: item for item in new})
        return len(new)

    def upsert(self, batch: Items) -> int:
        new = [item for item in batch if item.id not in self.items]
        self.items.update({item.id: item._replace(person=self.decided(item)) for item in batch})
        return len(new)

    def decided(self, item: GalleryItem) -> str | None:
        """Who an item is as people decided, which outlives that it is replaced."""
        person = item.person
        for decision in self.decisions:
            if item.id in decision.before and decision.action != "reject":
                person = decision.person
            elif item.id in decision.before and decision.person == person:
                person = None
        return person

    def delete(self, ids: Iterable[Id]) -> int:
        gone = {id for id in ids if id in self.items}
        for id in gone:
            del self.items[id]
            for decision in self.decisions:
                decision.before.pop(id, None)
        self.decisions = [decision for decision in self.decisions if decision.before]
        return len(gone)

    def delete_where(self, where: Filter) -> int:
        n = self.delete([item.id for item in self.passing(where)])
        if isinstance(where, PersonIn):  # who is forgotten by name is forgotten in decisions about others
            self.decisions = [decision for decision in self.decisions if decision.person not in where.persons]
            for decision in self.decisions:
                forgotten = [id for id, was in decision.before.items() if was in where.persons]
                decision.before.update(dict.fromkeys(forgotten))
        return n

    def passing(self, where: Filter | None) -> list[GalleryItem]:
        """The items that pass, by key."""
        items = sorted(self.items.values(), key=lambda item: key(item.id))
        return [item for item in items if where is None or passes(where, item, self.added, self.attributes)]

    def search(
        self,
        code: bytes,
        k: int,
        where: Filter | None = None,
        w: int | None = None,
        short: bytes = b"",
        bits: Sequence[int] | None = None,
        coarse: CoarseCode | None = None,
    ) -> list[tuple[Id, int]]:
        """The ids and distances of the nearest items; with `bits` only those bits of the code count."""
        items = self.passing(where)
        if w is not None:
            near = {item.id: distance(short, item.attribute_code) for item in items}
            if coarse is not None:
                near = {item.id: far_apart(coarse, (code, short), (item.code, item.attribute_code)) for item in items}
            items.sort(key=lambda item: (near[item.id], key(item.id)))
            items = items[:w]
        found = [(distance(code, item.code, bits), key(item.id), item.id) for item in items]
        return [(id, near) for near, _, id in sorted(found, key=lambda each: each[:2])[:k]]

    def rescored(
        self, features: Iterable[float], short_list: list[tuple[Id, int]], k: int, bits: range | None = None
    ) -> list[tuple[Id, int]]:
        """The first of what `search` found, by the sum of |feature| over the bits that are not its sign."""
        floats = list(features)
        largest = max(map(abs, floats)) or 1
        values = [round(each / largest * 127) for each in floats]

        def far(id: Id) -> int:
            ones = "".join(f"{byte:08b}" for byte in bytes(self.items[id].code))
            wrong = [i for i in bits or range(len(ones)) if values[i] * (-1 if ones[i] == "1" else 1) > 0]
            return sum(abs(values[i]) for i in wrong)

        return sorted(short_list, key=lambda found: (far(found[0]), key(found[0])))[:k]

    def decide(self, action: str, person: str, about: Iterable[Id]) -> int:
        """Confirm or reject items as a person, with all of their tracklets; or merge items of another person."""
        chosen = {id: self.items[id] for id in about}
        if action != "merge":
            walks = {(item.camera, item.tracklet) for item in chosen.values() if item.tracklet is not None}
            chosen |= {id: item for id, item in self.items.items() if (item.camera, item.tracklet) in walks}
        if chosen:
            self.decisions.append(Decision(action, person, {id: item.person for id, item in chosen.items()}))
        for id, item in chosen.items():
            if action != "reject":
                self.items[id] = item._replace(person=person)
            elif item.person == person:
                self.items[id] = item._replace(person=None)
        return len(chosen)

    def undo(self) -> str | None:
        """Take the last decision back, of items that are still as it made them."""
        if not self.decisions:
            return None
        action, person, before = self.decisions.pop()
        for id, was in before.items():
            made = was if action == "reject" and was != person else None if action == "reject" else person
            if self.items[id].person == made:
                self.items[id] = self.items[id]._replace(person=was)
        return f"{action} {person}"

    def rejected(self, person: str) -> set[Id]:
        """The items of which the last that was said is that they are not this person, nor one merged into them."""
        names = {person}
        for decision in reversed(self.decisions):
            if decision.action == "merge" and decision.person in names:
                names |= {was for was in decision.before.values() if was is not None}
        about = [decision for decision in self.decisions if decision.person in names]
        last = {id: decision.action for decision in about for id in decision.before}
        return {id for id, action in last.items() if action == "reject"}


def key(id: Id) -> int:
    """The number that orders equal distances: the id, or the first eight bytes of a text's hash, the lowest first."""
    if isinstance(id, int):
        return id
    digits = hashlib.blake2b(id.encode(), digest_size=8).hexdigest()
    turned = "".join(digits[at : at + 2] for at in range(14, -1, -2))
    return int(turned, 16) - (2**64 if turned[0] in "89abcdef" else 0)


def far_apart(coarse: CoarseCode, a: tuple[Any, Any], b: tuple[Any, Any]) -> int:
    """Bits of the coarse code that differ, of two pairs of an identity and an attribute code."""
    codes = []
    for pair in (a, b):
        identity, attributes = ([int(bit) for byte in bytes(packed) for bit in f"{byte:08b}"] for packed in pair)
        codes.append(coarse_bits(identity, attributes, coarse.identity_bits, coarse.attribute_bits))
    return sum(x != y for x, y in zip(*codes, strict=True))


def distance(a: bytes, b: np.ndarray[tuple[int], np.dtype[np.uint8]] | None, bits: Sequence[int] | None = None) -> int:
    """Bits that differ, one by one."""
    assert b is not None
    ones = [f"{byte:08b}" for byte in bytes(a)], [f"{byte:08b}" for byte in bytes(b)]
    mine, theirs = "".join(ones[0]), "".join(ones[1])
    return sum(mine[i] != theirs[i] for i in bits or range(len(mine)))
