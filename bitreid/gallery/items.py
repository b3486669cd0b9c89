"""What goes into a gallery and what comes out: batches of items, hits."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np

from bitreid.arrays import Bytes, Ints
from bitreid.codes import Codes
from bitreid.data.manifest import UNKNOWN
from bitreid.errors import GalleryError
from bitreid.gallery.contract import Contract

Id = int | str
"""A whole number of 64 bits with sign, or any text: what the caller calls an item."""

NO_TIME = -(2**63)
"""Time of an item that nobody told us."""
MOST_TEXT = 4096
"""Bytes of UTF-8 of the longest id, tracklet, person or picture reference."""
MOST_METADATA = 32_768
"""Bytes of the longest metadata, as JSON."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = (
    (end.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1) for end in (datetime.min, datetime.max)
)


def key_of(id: Id) -> int:
    """The 64-bit number that an item is kept under, and that orders items of equal distance in every gallery.

    A number is its own key. A text's is made of the first eight bytes of its BLAKE2b hash, so that the order is the
    same everywhere and says nothing about who came first.
    """
    if isinstance(id, str):
        return int.from_bytes(hashlib.blake2b(id.encode(), digest_size=8).digest(), "little", signed=True)
    return int(id)


def microseconds(time: datetime) -> int:
    """Microseconds from 1970 on, in UTC; `GalleryError` for a time without its offset from UTC."""
    if not isinstance(time, datetime) or time.tzinfo is None:
        raise GalleryError(f"expected a time that says its offset from UTC, got {time}; add tzinfo, for example UTC")
    return (time - _EPOCH) // timedelta(microseconds=1)


def time_of(microseconds: int) -> datetime | None:
    """The time of `microseconds` from 1970 on; None where nobody told us."""
    return None if microseconds == NO_TIME else _EPOCH + timedelta(0, 0, int(microseconds))


def canonical(value: object) -> str:
    """JSON of a value by which equal ones are equal: 1 and 1.0 are, 1 and true are not."""
    whole = isinstance(value, float) and value.is_integer()
    return json.dumps(int(value) if whole and isinstance(value, float) else value, sort_keys=True)


class GalleryItem(NamedTuple):
    """One picture of a person in a gallery.

    `code` and `attribute_code` are packed `(bytes,) uint8`; what nobody told us is None. `metadata` is a JSON object
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
    """A batch of gallery items, a column each; all have length n. `items` makes one from what is known.

    ids              (n,) each once
    codes            n identity codes
    attribute_codes  n attribute codes, or None in a gallery without
    cameras          (n,) int64, `UNKNOWN` (-2) where nobody told us
    times            (n,) int64, microseconds from 1970 on in UTC, or `NO_TIME`
    tracklets        (n,) text, or None
    persons          (n,) who it is known to be, or None
    metadata         (n,) JSON objects, or None
    pictures         (n,) references to pictures, or None
    model            fingerprint of the model that made the codes; empty where the caller vouches for them
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

    def __post_init__(self) -> None:
        n = len(self.ids)
        object.__setattr__(self, "ids", tuple(map(plain_id, self.ids)))
        for name in ("codes", "attribute_codes", "cameras", "times", "tracklets", "persons", "metadata", "pictures"):
            column = getattr(self, name)
            if column is not None and len(column) != n:
                raise GalleryError(f"expected {name} for each of {n} items, got {len(column)}")
        if len(set(self.ids)) != n:
            raise GalleryError(f"expected each id once in a batch, got {_repeated(self.ids)!r} twice")
        for name in ("tracklets", "persons", "pictures"):
            for text in getattr(self, name):
                if text is not None:
                    check_text(name, text)
        for metadata in self.metadata:
            if metadata is not None:
                _check_metadata(metadata)
        for name in ("cameras", "times"):
            if getattr(self, name).shape != (n,) or getattr(self, name).dtype != np.int64:
                raise GalleryError(f"expected {name} of shape ({n},) int64, got {getattr(self, name).dtype}")
        known = self.times[self.times != NO_TIME]
        if len(known) and not _FIRST <= known.min() <= known.max() <= _LAST:
            raise GalleryError("expected times of the years 1 to 9999 in microseconds from 1970 on, got others")
        if n and self.cameras.min() < UNKNOWN:
            raise GalleryError(f"expected cameras of at least {UNKNOWN} (unknown), got {self.cameras.min()}")

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[GalleryItem]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, i: int) -> GalleryItem:
        camera, attributes = int(self.cameras[i]), self.attribute_codes
        return GalleryItem(
            self.ids[i],
            self.codes.packed[i],
            None if attributes is None else attributes.packed[i],
            None if camera == UNKNOWN else camera,
            time_of(int(self.times[i])),
            self.tracklets[i],
            self.persons[i],
            self.metadata[i],
            self.pictures[i],
        )

    def keys(self) -> Ints:
        """The keys `(n,)` of the ids (`key_of`)."""
        return np.fromiter((key_of(id) for id in self.ids), np.int64, len(self))

    def rows(self, where: Sequence[int] | Ints | slice) -> "Items":
        """The items of the given numbers, in that order."""
        chosen = list(range(len(self))[where]) if isinstance(where, slice) else [int(i) for i in where]
        at = np.asarray(chosen, np.intp)

        def of(column: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(column[i] for i in chosen)

        attributes = None if self.attribute_codes is None else self.attribute_codes[at]
        return Items(
            of(self.ids),
            self.codes[at],
            attributes,
            self.cameras[at],
            self.times[at],
            of(self.tracklets),
            of(self.persons),
            of(self.metadata),
            of(self.pictures),
            self.model,
        )


def items(
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
) -> Items:
    """A batch of items from the columns that are known; `GalleryError` for columns that do not fit together.

    >>> batch = items([7, 8], Codes(np.zeros((2, 4), np.uint8), 32), cameras=[1, None])
    >>> batch[1].id, batch[1].camera
    (8, None)
    """
    n = len(ids)
    if times is None or isinstance(times, np.ndarray):
        stamps = np.full(n, NO_TIME) if times is None else times
    else:
        stamps = np.array([NO_TIME if time is None else microseconds(time) for time in times], np.int64)
    if cameras is None or isinstance(cameras, np.ndarray):
        numbers = np.full(n, UNKNOWN, np.int64) if cameras is None else cameras
    else:
        strange = [camera for camera in cameras if camera is not None and not _is_number(camera)]
        if strange:  # which numpy would round or read
            raise GalleryError(f"expected cameras that are whole numbers of 64 bits, got {strange[0]!r}")
        numbers = np.array([UNKNOWN if camera is None else camera for camera in cameras], np.int64)
    nothing = (None,) * n
    return Items(
        tuple(ids),
        codes,
        attribute_codes,
        numbers,
        stamps,
        nothing if tracklets is None else tuple(tracklets),
        nothing if persons is None else tuple(persons),
        nothing if metadata is None else tuple(metadata),
        nothing if pictures is None else tuple(pictures),
        model,
    )


class Hit(NamedTuple):
    """An item that a search found.

    `distance` is in bits of the identity code (of a search by attributes: expected wrong attributes, as a rule no whole
    number); `probability` that it shows the query's person, None where that was not calibrated. What nobody told us is
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
    """What a search found for one query, nearest first, by (distance, key).

    hits       the items, or the nearest item of each tracklet or person that was asked for
    n_gallery  items that were compared: those that passed the filter
    threshold  distance beyond which nobody is called the same person; -1: every answer is "nobody"; None: no limit
    """

    hits: tuple[Hit, ...]
    n_gallery: int
    threshold: int | None

    def __len__(self) -> int:
        return len(self.hits)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __getitem__(self, i: int) -> Hit:
        return self.hits[i]

    @property
    def nobody(self) -> bool:
        """Whether the answer is that nobody is there."""
        return not self.hits

    @property
    def ids(self) -> tuple[Id, ...]:
        """The ids of the hits, nearest first."""
        return tuple(hit.id for hit in self.hits)


def _repeated(ids: Sequence[Id]) -> Id:
    return Counter(ids).most_common(1)[0][0]


def plain_id(id: Id) -> Id:
    """An id without numpy's types; `GalleryError` if it is none."""
    if isinstance(id, str):
        check_text("ids", id)
        return id
    if not _is_number(id):
        raise GalleryError(f"expected ids that are whole numbers of 64 bits or text, got {id!r}")
    return int(id)


def _is_number(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and -(2**63) <= int(value) < 2**63


def check_text(name: str, text: object) -> None:
    """Nothing, if it is text that a gallery can keep; else `GalleryError`."""
    try:
        fits = isinstance(text, str) and 0 < len(text.encode()) <= MOST_TEXT and "\0" not in text
    except UnicodeEncodeError:
        fits = False
    if not fits:
        raise GalleryError(f"expected {name} of 1 to {MOST_TEXT} bytes of text without NUL, got {text!r:.80}")


def _check_metadata(metadata: object) -> None:
    try:
        text = json.dumps(metadata, allow_nan=False)
        fits = isinstance(metadata, dict) and len(text) <= MOST_METADATA and json.loads(text) == metadata
    except (TypeError, ValueError, RecursionError):
        fits = False
    if not fits:
        raise GalleryError(
            f"expected metadata that is a JSON object of at most {MOST_METADATA} bytes, got {str(metadata)[:80]!r}"
        )


def check_same_id(id: Id, there: Id) -> None:
    """Nothing, if the item kept under the key of `id` is of that id; else `GalleryError`."""
    if id != there:
        raise GalleryError(f"expected ids with different keys, got {id!r} and {there!r}, which share one; rename one")


def joined(batch: Sequence[GalleryItem], contract: Contract) -> Items:
    """Single items as a batch."""
    n, width = len(batch), contract.attribute_bits // 8
    codes = np.array([item.code for item in batch], np.uint8).reshape(n, contract.n_bits // 8)
    attributes = np.array([item.attribute_code for item in batch], np.uint8).reshape(n, width) if width else None
    return items(
        [item.id for item in batch],
        Codes(codes, contract.n_bits, contract.parts),
        None if attributes is None else Codes(attributes, 8 * width),
        cameras=[item.camera for item in batch],
        times=[item.time for item in batch],
        tracklets=[item.tracklet for item in batch],
        persons=[item.person for item in batch],
        metadata=[item.metadata for item in batch],
        pictures=[item.picture for item in batch],
        model=contract.model,
    )
