"""What goes into a gallery and what comes out: batches of items, hits."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np

from bitreid.arrays import Bytes, Ints
from bitreid.codes import Codes
from bitreid.errors import BadRequest
from bitreid.gallery.contract import Contract
from bitreid.gallery.fields import FIELDS, check_text, is_whole_number

Id = int | str
"""A whole number of 64 bits with sign, or any text: what the caller calls an item."""


def key_of(id: Id) -> int:
    """Return the 64-bit number that an item is kept under, and that orders items of equal distance in every gallery.

    A number is its own key. A text's is made of the first eight bytes of its BLAKE2b hash, so that the order is the
    same everywhere and says nothing about who came first.
    """
    if isinstance(id, str):
        return int.from_bytes(hashlib.blake2b(id.encode(), digest_size=8).digest(), "little", signed=True)
    return int(id)


def canonical(value: object) -> str:
    """Return JSON of a value by which equal ones are equal: 1 and 1.0 are, 1 and true are not."""
    whole = isinstance(value, float) and value.is_integer()
    return json.dumps(int(value) if whole and isinstance(value, float) else value, sort_keys=True)


class GalleryItem(NamedTuple):
    """One picture of a person in a gallery.

    `code` and `attribute_code` are packed `(bytes,) uint8`; what is unknown is None. `metadata` is a JSON object
    and `picture` a reference that only the caller understands.
    """

    id: Id
    code: Bytes
    attribute_code: Bytes | None
    camera: int | None
    time: datetime | None
    tracklet: str | None
    person: str | None
    metadata: Mapping[str, Any] | None
    picture: str | None


@dataclass(frozen=True)
class Items:
    """A batch of gallery items, a column each; all have length n. `Items.of` makes one from what is known.

    ids              (n,) each once
    codes            n identity codes
    attribute_codes  n attribute codes, or None in a gallery without
    cameras          (n,) int64, `UNKNOWN` (-2) where it is unknown
    times            (n,) int64, microseconds from 1970 on in UTC, or `NO_TIME`
    tracklets        (n,) text, or None
    persons          (n,) who it is known to be, or None
    metadata         (n,) JSON objects, or None
    pictures         (n,) references to pictures, or None
    model            fingerprint of the model that made the codes; empty where the caller vouches for them
    engine           name of the model's engine that made them; empty where nobody knows
    """

    ids: tuple[Id, ...]
    codes: Codes
    attribute_codes: Codes | None
    cameras: Ints
    times: Ints
    tracklets: tuple[str | None, ...]
    persons: tuple[str | None, ...]
    metadata: tuple[Mapping[str, Any] | None, ...]
    pictures: tuple[str | None, ...]
    model: str = ""
    engine: str = ""

    def __post_init__(self) -> None:
        n = len(self.ids)
        object.__setattr__(self, "ids", tuple(map(plain_id, self.ids)))
        for name in ("codes", "attribute_codes"):
            codes: Codes | None = getattr(self, name)
            if codes is not None and len(codes) != n:
                raise BadRequest(f"expected {name} for each of {n} items, got {len(codes)}")
        if len(set(self.ids)) != n:
            raise BadRequest(f"expected each id once in a batch, got {_repeated(self.ids)!r} twice")
        for each in FIELDS:
            each.kind.check_column(each.column, getattr(self, each.column), n)

    @classmethod
    def of(
        cls,
        ids: Sequence[Id],
        codes: Codes,
        attribute_codes: Codes | None = None,
        *,
        cameras: Sequence[int | None] | Ints | None = None,
        times: Sequence[datetime | None] | Ints | None = None,
        tracklets: Sequence[str | None] | None = None,
        persons: Sequence[str | None] | None = None,
        metadata: Sequence[Mapping[str, Any] | None] | None = None,
        pictures: Sequence[str | None] | None = None,
        model: str = "",
        engine: str = "",
    ) -> Self:
        """Return a batch of items from the columns that are known; `BadRequest` for what does not fit together.

        >>> batch = Items.of([7, 8], Codes(np.zeros((2, 4), np.uint8), 32), cameras=[1, None])
        >>> batch[1].id, batch[1].camera
        (8, None)
        """
        given: dict[str, Any] = {
            "cameras": cameras,
            "times": times,
            "tracklets": tracklets,
            "persons": persons,
            "metadata": metadata,
            "pictures": pictures,
        }
        n = len(ids)
        columns: dict[str, Any] = {
            field.column: field.kind.column(field.column, given[field.column], n) for field in FIELDS
        }
        return cls(tuple(ids), codes, attribute_codes, **columns, model=model, engine=engine)

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[GalleryItem]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, i: int) -> GalleryItem:
        attributes = self.attribute_codes
        values = (field.kind.shown(getattr(self, field.column)[i]) for field in FIELDS)
        return GalleryItem._make(
            (self.ids[i], self.codes.packed[i], None if attributes is None else attributes.packed[i], *values)
        )

    def keys(self) -> Ints:
        """Return the keys `(n,)` of the ids (`key_of`)."""
        return np.fromiter((key_of(id) for id in self.ids), np.int64, len(self))

    def check_keys(self) -> None:
        """Check that no two ids share a key; else `BadRequest`."""
        there: dict[int, Id] = {}
        for key, id in zip(self.keys().tolist(), self.ids, strict=True):
            check_same_id(id, there.setdefault(key, id))

    def cut_for(self, contract: Contract) -> "Items":
        """Return the items with codes that are as long as those of a gallery of this contract, see `Contract.cut`."""
        codes = contract.cut(self.codes, self.model)
        return self if codes is self.codes else replace(self, codes=codes)

    def rows(self, where: Sequence[int] | Ints | slice) -> "Items":
        """Return the items of the given numbers, in that order."""
        chosen = list(range(len(self))[where]) if isinstance(where, slice) else [int(i) for i in where]
        at = np.asarray(chosen, np.intp)

        def of(column: Any) -> Any:
            return column[at] if isinstance(column, np.ndarray) else tuple(column[i] for i in chosen)

        attributes = None if self.attribute_codes is None else self.attribute_codes[at]
        columns = {field.column: of(getattr(self, field.column)) for field in FIELDS}
        return Items(of(self.ids), self.codes[at], attributes, **columns, model=self.model, engine=self.engine)


class Hit(NamedTuple):
    """An item that a search found.

    `distance` is in bits of the identity code (of a search by attributes: expected wrong attributes, as a rule no whole
    number); `probability` that it shows the query's person, None where that was not calibrated. What is unknown is
    None. `votes` is the number of items that speak for a tracklet or person, 1 for a single item.
    """

    id: Id
    distance: float
    probability: float | None
    camera: int | None
    time: datetime | None
    tracklet: str | None
    person: str | None
    votes: int = 1


@dataclass(frozen=True)
class Hits:
    """What a search found for one query, nearest first, by (distance, key); rescored, by (asymmetric distance, key).

    hits       the items, or the nearest item of each tracklet or person that was asked for
    n_gallery  items that passed the filter
    threshold  distance in bits up to which hits are certain, see `Gallery.search`; -1: none can be; None: nobody knows,
               because nothing was calibrated
    camera_names  what the gallery's cameras are called, by number, as far as they have names
    n_visited  items whose codes were compared with the query's: of a clustered search those that it visited, of any
               other all that passed the filter
    """

    hits: tuple[Hit, ...]
    n_gallery: int
    threshold: int | None
    camera_names: Mapping[int, str] = field(default_factory=dict, hash=False)
    n_visited: int = -1

    def __post_init__(self) -> None:
        if self.n_visited < 0:
            object.__setattr__(self, "n_visited", self.n_gallery)

    def __len__(self) -> int:
        return len(self.hits)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __getitem__(self, i: int) -> Hit:
        return self.hits[i]

    def camera_name(self, hit: Hit) -> str | None:
        """Return what the camera of a hit is called; None where it has no name."""
        return None if hit.camera is None else self.camera_names.get(hit.camera)

    @property
    def nobody(self) -> bool:
        """Whether the answer is that nobody is there: no hit is certain, or, where nobody knows, there is no hit."""
        return not (self.hits if self.threshold is None else self.n_certain)

    @property
    def n_certain(self) -> int | None:
        """How many hits are certain, that is within the threshold: the first ones, unless they are `scattered`.

        None where nobody knows.
        """
        if self.threshold is None:
            return None
        return sum(hit.distance <= self.threshold for hit in self.hits)

    @property
    def scattered(self) -> bool:
        """Whether a hit that is not certain is before one that is, which only rescoring can bring about."""
        limit = self.threshold
        return limit is not None and any(a.distance > limit >= b.distance for a, b in pairwise(self.hits))

    @property
    def ids(self) -> tuple[Id, ...]:
        """The ids of the hits, nearest first."""
        return tuple(hit.id for hit in self.hits)


def _repeated(ids: Sequence[Id]) -> Id:
    return Counter(ids).most_common(1)[0][0]


def plain_id(id: Id) -> Id:
    """Return an id without numpy's types; `BadRequest` if it is none."""
    if isinstance(id, str):
        check_text("ids", id)
        return id
    if not is_whole_number(id):
        raise BadRequest(f"expected ids that are whole numbers of 64 bits or text, got {id!r}")
    return int(id)


def check_same_id(id: Id, there: Id) -> None:
    """Check that the item kept under the key of `id` is of that id; else `BadRequest`."""
    if id != there:
        raise BadRequest(f"expected ids with different keys, got {id!r} and {there!r}, which share one; rename one")


def joined(batch: Sequence[GalleryItem], contract: Contract) -> Items:
    """Return single items as a batch."""
    n, width = len(batch), contract.attribute_bits // 8
    codes = np.array([item.code for item in batch], np.uint8).reshape(n, contract.n_bits // 8)
    attributes = np.array([item.attribute_code for item in batch], np.uint8).reshape(n, width) if width else None
    columns: dict[str, Any] = {field.column: [getattr(item, field.name) for item in batch] for field in FIELDS}
    return Items.of(
        [item.id for item in batch],
        Codes(codes, contract.n_bits, contract.parts),
        None if attributes is None else Codes(attributes, 8 * width),
        **columns,
        model=contract.model,
    )
