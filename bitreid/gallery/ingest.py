"""Items for a gallery from files of codes, pictures, folders and tables; adding them goes on where it was stopped."""

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from bitreid.arrays import Ints
from bitreid.codes import Codes
from bitreid.data.manifest import UNKNOWN, Further, Manifest, Value
from bitreid.data.parsers.inputs import manifest_of_one, together
from bitreid.data.parsers.listing import TABLE_SUFFIXES
from bitreid.data.pictures import Findings, Progress, check_pictures
from bitreid.data.shards import is_codes
from bitreid.data.times import TimeUnit, with_dates
from bitreid.encoding.encoder import Encoder
from bitreid.encoding.files import EncodedSet, encoded_rows, load_encoded
from bitreid.encoding.paces import Paces
from bitreid.errors import BadRequest, PictureError, SettingsError
from bitreid.gallery.apart import Known, check_apart
from bitreid.gallery.base import Gallery
from bitreid.gallery.cameras import with_cameras_of
from bitreid.gallery.fields import check_text
from bitreid.gallery.items import GalleryItem, Id, Items
from bitreid.gallery.naming import IdKind, absolute, ids_for, rooted
from bitreid.gallery.requests import BATCH

PICTURES_BATCH = 256
"""Pictures that are encoded and added together: what is lost at most when adding is stopped."""

_NO_TEXT = "a name that is not UTF-8, which a gallery cannot keep; rename the file"

LoadEncoder = Callable[[], Encoder]
"""Loads the encoder of pictures; called only where there are pictures to encode."""


class Source(NamedTuple):
    """Items to add.

    ids       of all items
    pictures  the picture of each, as the gallery keeps it
    codes     of all items, or None where pictures are still to be encoded
    batch     how many are added together
    items     makes items of some rows, batch after batch, and says what was found: rows of bad pictures have no items;
              it takes batches before the items of earlier ones are asked for
    model     the codes' model
    left_out  pictures that are not among the ids, since no gallery can hold their names
    """

    ids: Sequence[Id]
    pictures: Sequence[str]
    codes: Codes | None
    batch: int
    items: Callable[[Iterable[list[int]]], Generator[tuple[Items, Findings]]]
    model: str
    left_out: tuple[PictureError, ...] = ()


@dataclass
class Added:
    """What was added so far: `new` items, `there` that were there already or were replaced, and what was found."""

    new: int = 0
    there: int = 0
    findings: Findings = field(default_factory=Findings)


def sources_of(
    inputs: Sequence[Path],
    load_encoder: LoadEncoder,
    *,
    ids: IdKind,
    time_unit: TimeUnit | None,
    attributes: bool,
    strict: bool = False,
    pattern: str | None = None,
    same_people: bool | None = None,
    root: Path | None = None,
    metadata: Further = (),
    source: str | None = None,
    gallery: Gallery | None = None,
    split: str | None = None,
    paces: Paces | None = None,
) -> list[Source]:
    """Return what files of codes (.npz), pictures, folders and tables hold.

    Pictures are encoded when their items are asked for. A table's dates are kept, and its other times where
    `time_unit` says what they count. `attributes` says whether attribute codes are kept. With `strict`, all pictures
    are checked first, and a `DataError` counts those that cannot be read. Folders are read with the `pattern`, and
    `same_people` says whether people of several inputs are the same, see `manifest_of`. The further columns of tables
    that `metadata` names become the items' metadata.

    With a `root`, paths are the same whichever folder is the current one: relative to `root` below it, absolute
    elsewhere; relative paths in a file of codes stay as they are. Without, they are as given. Numbers go on where
    `gallery` ends, and what it has under a number already keeps that.

    With a `source`, people and tracklets are called `SOURCE/NAME`. Without, new items must show nobody whom `gallery`
    has from elsewhere, unless `same_people` is true: else `DataError` (`check_apart`). Cameras with names get the
    numbers that they have in `gallery`, which keeps new names.

    `SettingsError` for an id that two items would share, for times outside the years 1 to 9999, and for `metadata`
    where no input is a table. Of a `split`, only its pictures are taken.
    """
    found: list[Source] = []
    before: list[Id] = []
    people: list[Known] = []
    prefix = "" if source is None else f"{source}/"
    if source is not None:
        check_text("the name of a source", source)

    def remember(ids: Sequence[Id], known: EncodedSet | Manifest, names: Mapping[int, str]) -> None:
        cameras, (persons, tracklets) = known.camids.tolist(), _named(known, names, prefix)
        pairs = [None if name is None else (camera, name) for camera, name in zip(cameras, tracklets, strict=True)]
        people.extend(map(Known, ids, persons, pairs))

    def ids_of(paths: Sequence[Path], content: Codes | Sequence[Path]) -> list[Id]:
        new = ids_for(ids, paths, content, before, gallery)
        before.extend(new)
        for id, n in Counter(before).most_common(1):
            if n > 1:
                raise SettingsError(
                    f"expected each picture once and an id of its own for each, got {id!r} {n} times; name each file "
                    "once, or choose ids of another kind"
                )
        return new

    if metadata and not any(path.suffix.lower() in TABLE_SUFFIXES and not path.is_dir() for path in inputs):
        raise SettingsError(
            "expected a table (.csv, .parquet) to take metadata from, got none among the inputs; leave out --metadata"
        )
    files = {i: load_encoded(path, features=False) for i, path in enumerate(inputs) if is_codes(path)}
    if gallery is not None:  # else an item would not be known again by its code
        cut = gallery.contract.cut
        files = {i: replace(each, codes=cut(each.codes, each.model)) for i, each in files.items()}
    manifests = [
        _manifest_of_codes(files[i]) if i in files else manifest_of_one(path, pattern, metadata)
        for i, path in enumerate(inputs)
    ]
    everything = together(inputs, manifests, same_people)
    if gallery is not None:
        everything = with_cameras_of(gallery, everything)
    ends = np.cumsum([len(manifest) for manifest in manifests])
    rows_of = [np.arange(end - len(manifest), end) for end, manifest in zip(ends, manifests, strict=True)]
    for i, encoded in files.items():
        own = everything.take(rows_of[i])
        paths = [rooted(each, root) for each in encoded.paths]
        names = ids_of(paths, encoded.codes)
        rows, left_out = _rows_with_text(encoded.paths, strict)
        encoded = replace(
            encoded,
            paths=tuple(paths),
            pids=own.pids,
            tracklets=None if encoded.tracklets is None else own.tracklets,
        )
        encoded = encoded.take(rows)
        whole = items_of(encoded, [names[i] for i in rows], attributes, own.person_names, prefix=prefix)
        remember(whole.ids, encoded, own.person_names)
        pictures = [str(paths[i]) for i in rows]
        found.append(Source(whole.ids, pictures, whole.codes, BATCH, partial(_rows_of, whole), whole.model, left_out))
    of_pictures = [rows for i, rows in enumerate(rows_of) if i not in files]
    if of_pictures:
        encoder = load_encoder()
        manifest = with_dates(everything.take(np.concatenate(of_pictures)), time_unit)
        manifest = manifest if split is None else manifest.split(split)
        shown = [each if root is None else rooted(absolute(each), root) for each in manifest.paths]
        names = ids_of(shown, manifest.paths)
        rows, left_out = _rows_with_text(manifest.paths, strict)
        kept, ids_kept, shown_kept = manifest.take(rows), [names[i] for i in rows], [shown[i] for i in rows]
        if strict:
            check_pictures(kept.paths)

        def encode(batches: Iterable[list[int]]) -> Generator[tuple[Items, Findings]]:
            taken: deque[list[int]] = deque()

            def chunks() -> Iterator[list[Path]]:
                for rows in batches:
                    taken.append(rows)
                    yield [kept.paths[i] for i in rows]

            for good, encoded, findings in encoder.encode_chunks(chunks(), paces):
                rows = np.array(taken.popleft(), np.int64)[good]
                some = encoded_rows(encoder, kept.take(rows), encoded, features=False)
                values = kept.take(rows).metadata
                some = replace(some, paths=tuple(shown_kept[i] for i in rows))
                ids_good = [ids_kept[i] for i in rows]
                yield items_of(some, ids_good, attributes, kept.person_names, values, prefix), findings

        remember(ids_kept, kept, kept.person_names)
        pictures = list(map(str, shown_kept))
        found.append(Source(ids_kept, pictures, None, PICTURES_BATCH, encode, encoder.model, left_out))
    if gallery is not None and source is None and not same_people:
        check_apart(gallery, people)
    if gallery is not None:
        gallery.name_cameras(everything.camera_names)
    return found


def _manifest_of_codes(encoded: EncodedSet) -> Manifest:
    """Who is in a file of codes, to be told apart from the people of other inputs."""
    splits = ("gallery",) * len(encoded)
    return Manifest(encoded.paths, encoded.pids, encoded.camids, splits, tracklets=encoded.tracklets)


def _rows_of(whole: Items, batches: Iterable[list[int]]) -> Generator[tuple[Items, Findings]]:
    for rows in batches:
        yield whole.rows(rows), Findings()


def _rows_with_text(paths: Sequence[Path], strict: bool) -> tuple[Ints, tuple[PictureError, ...]]:
    """The rows of paths that are text, as a gallery keeps it, and the others; `strict` refuses those."""
    left_out = {}
    for i, path in enumerate(paths):
        try:
            str(path).encode()
        except UnicodeEncodeError:
            left_out[i] = PictureError(path, _NO_TEXT)
    if strict:
        Findings(list(left_out.values())).refuse_bad(len(paths))
    return np.array([i for i in range(len(paths)) if i not in left_out], np.int64), tuple(left_out.values())


def add_sources(
    gallery: Gallery,
    sources: Sequence[Source],
    *,
    upsert: bool = False,
    progress: Progress | None = None,
    added: Added | None = None,
    paces: Paces | None = None,
) -> Added:
    """Add the items of all sources, batch by batch, and return what was added.

    Items that are there already are left as they are, and not encoded again: a call that was stopped is repeated to go
    on. With `upsert` they are replaced. Pictures that cannot be read are left out. `added` counts on, so that a caller
    knows what was added before an error. `BadRequest` for an id under which another picture is there, `WrongModel` for
    codes of another model.
    """
    added = Added() if added is None else added
    paces = Paces() if paces is None else paces
    total, done = sum(len(source.ids) for source in sources), 0
    for source in sources:
        gallery.contract.check_model(source.model)  # also where all is there already
        added.findings.bad += source.left_out
        asked: deque[int] = deque()
        with closing(source.items(_missing(gallery, source, added, asked, upsert))) as batches:
            for batch, findings in batches:
                with paces.writing.timed(len(batch)):
                    new = (gallery.upsert(batch) if upsert else gallery.add(batch)) if len(batch) else 0
                added.new += new
                added.there += len(batch) - new
                added.findings.extend(findings)
                done += asked.popleft()
                if progress is not None:
                    progress(done, total)
    return added


def _missing(gallery: Gallery, source: Source, added: Added, asked: deque[int], upsert: bool) -> Iterator[list[int]]:
    """Yield batches of the rows of a source that are to be added: with `upsert` all, else those that are not there.

    The others are counted in `added`, and the rows of each batch, whether there or not, in `asked`.
    """
    for start in range(0, len(source.ids), source.batch):
        rows = list(range(start, min(start + source.batch, len(source.ids))))
        asked.append(len(rows))
        if not upsert:
            there = gallery.get([source.ids[i] for i in rows])
            _check_same_pictures(source, rows, there)
            added.there += sum(item is not None for item in there)
            rows = [i for i, item in zip(rows, there, strict=True) if item is None]
        yield rows


def items_of(
    encoded: EncodedSet,
    ids: Sequence[Id],
    attributes: bool,
    person_names: Mapping[int, str] = MappingProxyType({}),
    metadata: Mapping[str, Sequence[Value]] = MappingProxyType({}),
    prefix: str = "",
) -> Items:
    """Return encoded pictures as items. Only pids above 0 name a person: as `person_names` has it, or by the number.

    `metadata` are further columns by name, n values each; an item has those that are not None. The names of people and
    tracklets begin with the `prefix`.
    """
    persons, tracklets = _named(encoded, person_names, prefix)
    return Items.of(
        ids,
        encoded.codes,
        encoded.attribute_codes if attributes else None,
        cameras=encoded.camids,
        times=encoded.times,
        tracklets=tracklets,
        persons=persons,
        metadata=[
            {name: values[i] for name, values in metadata.items() if values[i] is not None} or None
            for i in range(len(encoded))
        ],
        pictures=[str(path) for path in encoded.paths],
        model=encoded.model,
        engine=encoded.engine,
    )


def _named(
    known: EncodedSet | Manifest, person_names: Mapping[int, str], prefix: str
) -> tuple[list[str | None], list[str | None]]:
    """Return what a gallery calls the people and the tracklets of n pictures, None where nobody knows."""
    tracklets = [UNKNOWN] * len(known) if known.tracklets is None else known.tracklets.tolist()
    return (
        [prefix + person_names.get(pid, str(pid)) if pid > 0 else None for pid in known.pids.tolist()],
        [None if tracklet == UNKNOWN else f"{prefix}{tracklet}" for tracklet in tracklets],
    )


def _check_same_pictures(source: Source, rows: Sequence[int], there: Sequence[GalleryItem | None]) -> None:
    """Check that what is there under the ids of these rows are the same pictures; else `BadRequest`."""
    others = [
        (source.ids[i], source.pictures[i], item.picture)
        for i, item in zip(rows, there, strict=True)
        if item is not None
        and (
            item.picture not in (None, source.pictures[i])
            or (source.codes is not None and item.code.tobytes() != source.codes.packed[i].tobytes())
        )
    ]
    if others:
        id, picture, other = others[0]
        what = f"{picture} and {other}" if picture != other else f"two codes of {picture}"
        raise BadRequest(
            f"expected each id to name one picture, got {len(others)} ids that others have in the gallery, the first "
            f"{id!r}: {what}; choose ids of another kind, or upsert to replace what is there"
        )
