"""Pairs of items of two galleries that are near: who of one camera, or site, appears at another.

The pairs go to a folder of Parquet files, a file for each run of the first gallery's items by key, and `link.json`,
which lists the files that are complete, with their checksums. Parquet readers take the folder's files as one table.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bitreid.arrays import Ints, Ints32
from bitreid.codes import Codes
from bitreid.data.files import new_file
from bitreid.data.pictures import Progress
from bitreid.errors import BadRequest, GalleryDamaged, Unsupported
from bitreid.gallery.base import FPIR, Gallery
from bitreid.gallery.contract import Contract
from bitreid.gallery.filters.text import format_filter
from bitreid.gallery.items import Id, Items
from bitreid.gallery.opening import MEMORY
from bitreid.gallery.requests import BATCH, Where, check_limit
from bitreid.gallery.transfer import check_same_model, pyarrow_and_parquet
from bitreid.hamming import search_range
from bitreid.hamming.threads import default_threads
from bitreid.text import brief

FORMAT_VERSION = 1
"""The newest format of a folder of pairs that this bitreid goes on with, and the one that it writes."""
STATE = "link.json"
"""The file that says what a folder of pairs is, and how far it got."""
RUN = 65_536
"""Items of the first gallery whose pairs go to one file: what is lost at most when it is stopped. The second gallery is
read once for each run."""
PAIRS_AT_ONCE = 2**22
"""Pairs of items that are compared in one call, so that however many of them are near, memory is bounded."""


@dataclass(frozen=True)
class Linked:
    """What was linked.

    n_pairs       pairs in the folder
    max_distance  in bits
    n_left, n_right  items of the two galleries that were compared
    """

    n_pairs: int
    max_distance: int
    n_left: int
    n_right: int


def link_galleries(
    left: Gallery,
    right: Gallery,
    out: Path,
    *,
    max_distance: int | None = None,
    where: Where = None,
    where_right: Where = None,
    fpir: float = FPIR,
    progress: Progress | None = None,
    n_threads: int | None = None,
) -> Linked:
    """Write all pairs of an item of `left` and one of `right` that are at most `max_distance` bits apart, to a folder.

    Columns: `left_number` int64 or `left_text`, the id (the other is null), the same of `right`, and `distance` int32.
    Pairs are in the order in which they are found, which is the same each time. Without a `max_distance` it is the one
    at which at most the share `fpir` of the searches in `right` for somebody absent would find anybody, as the
    calibration of `right` says. `where` and `where_right` limit the items. Within one gallery, an item is no pair with
    itself. Of one model's codes of two lengths, the longer ones are cut.

    Memory holds the codes of `RUN` items of `left` and of `BATCH` of `right`, however many pairs are near. A call that
    was stopped is repeated to go on from the last complete file; one that asks for something else is refused. Items
    that come or go meanwhile may be in pairs or not. `WrongModel` for galleries of two models, `BadRequest` where
    nothing says what is near.
    """
    check_limit(max_distance)
    cut, other = (left, right) if left.contract.n_bits < right.contract.n_bits else (right, left)
    check_same_model(other.contract, cut.contract)
    state = _State.at(out)
    n_left, n_right = left.count(where), right.count(where_right)
    if max_distance is None:
        max_distance = _certain(right, fpir, n_right) if state is None else int(state.asked["max_distance"])
    places = left.info().place, right.info().place
    asked = {
        "left": places[0],
        "right": places[1],
        "model": left.contract.model,
        "n_bits": cut.contract.n_bits,
        "where": _words(where),
        "where_right": _words(where_right),
        "max_distance": max_distance,
    }
    if state is None:
        state = _State(asked, [])
        out.mkdir(parents=True, exist_ok=True)
    for name, value in asked.items():
        if state.asked.get(name) != value:
            raise BadRequest(
                f"expected a new folder, or one with pairs of the same galleries, filters and distance, got {out} with "
                f"pairs of another kind ({name}: {state.asked.get(name)!r}, not {value!r}); name another folder"
            )
    same = left is right or (places[0] == places[1] and places[0] != MEMORY)
    threads = default_threads() if n_threads is None else n_threads
    state.check(out)
    state.save(out)
    while not state.complete:
        run = _run(left, where, state.last, cut.contract)
        if run is None:
            state.complete = True
        else:
            near = _near(run, right, where_right, cut.contract, max_distance, same, threads)
            name = f"pairs-{len(state.files):06}.parquet"
            n_pairs, digest = _write(out / name, run, near)
            state.files.append(_File(name, int(run.keys[-1]), len(run), n_pairs, digest))
        state.save(out)
        if progress is not None:
            progress(state.n_left, max(state.n_left, n_left))
    return Linked(state.n_pairs, max_distance, state.n_left, n_right)


def _certain(right: Gallery, fpir: float, n_right: int) -> int:
    """Return the distance up to which a hit in a gallery is certain."""
    open_set = right.contract.open_set
    threshold = -1 if open_set is None else open_set.threshold(fpir, max(n_right, 1))
    if threshold < 0:
        why = "one that is not calibrated" if open_set is None else "one so large that nothing in it is certain"
        raise BadRequest(
            f"expected a distance up to which items are near, or a gallery that knows, got {why}; say --max-distance"
        )
    return threshold


def _words(where: Where) -> str | None:
    return where if where is None or isinstance(where, str) else format_filter(where)


# How far a folder got.


class _File(NamedTuple):
    """A complete file: the key of the last item of the first gallery whose pairs are in it, and how many there were."""

    name: str
    last: int
    n_items: int
    n_pairs: int
    sha256: str


@dataclass
class _State:
    """The settings of a run of `link`, and the files that it has completed."""

    asked: Mapping[str, Any]
    files: list[_File]
    complete: bool = False

    @classmethod
    def at(cls, out: Path) -> "_State | None":
        """Return the state of a folder; None of a new or empty one. `BadRequest` for a folder of something else."""
        try:
            document = json.loads((out / STATE).read_text(encoding="utf-8"))
            if document["format"] > FORMAT_VERSION:
                raise Unsupported(
                    f"expected pairs of format {FORMAT_VERSION} or older at {out}, got format {document['format']}; "
                    "update bitreid"
                )
            files = [_File(*each) for each in document["files"]]
            names = {f"pairs-{i:06}.parquet" for i in range(len(files))}
            if {each.name for each in files} != names or not isinstance(document["asked"], dict):
                raise ValueError("files of other names")
            return cls(document["asked"], files, bool(document["complete"]))
        except (FileNotFoundError, NotADirectoryError):
            # A run that was killed at once may have left one file.
            if out.exists() and (not out.is_dir() or any(not each.name.startswith(".") for each in out.iterdir())):
                raise BadRequest(f"expected a new or empty folder, or one of pairs, got {out}; name another") from None
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise GalleryDamaged(
                f"expected to read {out / STATE}, got: {brief(error)}; remove the folder and begin anew"
            ) from error

    def check(self, out: Path) -> None:
        """Check that the complete files are what was written; else `GalleryDamaged`."""
        for each in self.files:
            path = out / each.name
            if not path.is_file() or _digest(path) != each.sha256:
                raise GalleryDamaged(f"expected the pairs that were written to {path}, got others; begin anew")

    def save(self, out: Path) -> None:
        """Write the state, as a whole or not at all."""
        document = {"format": FORMAT_VERSION, "asked": self.asked, "files": self.files, "complete": self.complete}
        with new_file(out / STATE) as unfinished:
            unfinished.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")

    @property
    def last(self) -> int | None:
        """The key of the last item that is done."""
        return self.files[-1].last if self.files else None

    @property
    def n_left(self) -> int:
        """How many items of the first gallery are done."""
        return sum(each.n_items for each in self.files)

    @property
    def n_pairs(self) -> int:
        """How many pairs were found."""
        return sum(each.n_pairs for each in self.files)


# Pairs.


class _Run(NamedTuple):
    """Items by ascending key."""

    keys: Ints
    ids: Sequence[Id]
    codes: Codes

    def __len__(self) -> int:
        return len(self.ids)


class _Pairs(NamedTuple):
    """Rows of a run, the items of the other gallery that they are near to, and how near."""

    rows: Ints
    ids: Sequence[Id]
    others: Ints
    distances: Ints32


def _run(left: Gallery, where: Where, after: int | None, contract: Contract) -> _Run | None:
    """Return the next `RUN` items; None where there are none."""
    batches = [_cut(batch, contract) for batch in islice(left.scan(where, after=after, batch_size=BATCH), RUN // BATCH)]
    if not batches:
        return None
    packed = np.concatenate([each.codes.packed for each in batches])
    keys = np.concatenate([each.keys for each in batches])
    return _Run(keys, [id for each in batches for id in each.ids], Codes(packed, contract.n_bits))


def _cut(batch: Items, contract: Contract) -> _Run:
    codes = batch.codes.prefix(contract.n_bits) if batch.codes.n_bits > contract.n_bits else batch.codes
    return _Run(batch.keys(), batch.ids, Codes(codes.packed, contract.n_bits))


def _near(
    run: _Run, right: Gallery, where: Where, contract: Contract, max_distance: int, same: bool, n_threads: int
) -> Iterator[_Pairs]:
    """Yield the pairs of a run, so many at a time that memory is bounded."""
    for batch in right.scan(where, batch_size=BATCH):
        other = _cut(batch, contract)
        step = max(PAIRS_AT_ONCE // max(len(other), 1), 1)
        for start in range(0, len(run), step):
            found = search_range(run.codes[start : start + step], other.codes, max_distance, n_threads=n_threads)
            rows = start + np.repeat(np.arange(len(found)), np.diff(found.offsets))
            kept = run.keys[rows] != other.keys[found.positions] if same else np.ones(len(rows), np.bool_)
            yield _Pairs(rows[kept], other.ids, found.positions[kept], found.distances[kept])


def _write(path: Path, run: _Run, near: Iterator[_Pairs]) -> tuple[int, str]:
    """Write the pairs of a run; return how many there are, and the file's checksum."""
    pyarrow, parquet = pyarrow_and_parquet()
    columns = [f"{side}_{kind}" for side in ("left", "right") for kind in ("number", "text")]
    types = [pyarrow.int64(), pyarrow.string()] * 2
    fields = [pyarrow.field(*each) for each in zip(columns, types, strict=True)]
    schema = pyarrow.schema([*fields, pyarrow.field("distance", pyarrow.int32(), nullable=False)])

    def split(ids: Sequence[Id]) -> list[Any]:
        numbers = [None if isinstance(id, str) else int(id) for id in ids]
        return [
            pyarrow.array(numbers, types[0]),
            pyarrow.array([id if isinstance(id, str) else None for id in ids], types[1]),
        ]

    lefts, n_pairs = split(run.ids), 0
    with new_file(path) as unfinished:
        with parquet.ParquetWriter(unfinished, schema, compression="zstd", write_page_checksum=True) as writer:
            for pairs in near:
                if len(pairs.rows):
                    sides = ((lefts, pairs.rows), (split(pairs.ids), pairs.others))
                    arrays = [each.take(pyarrow.array(rows)) for side, rows in sides for each in side]
                    arrays.append(pyarrow.array(pairs.distances, pyarrow.int32()))
                    writer.write_batch(pyarrow.RecordBatch.from_arrays(arrays, schema=schema))
                    n_pairs += len(pairs.rows)
        digest = _digest(unfinished)
    return n_pairs, digest


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
