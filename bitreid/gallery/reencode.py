"""A gallery's items for another model: the codes of one model say nothing to another, so pictures are encoded anew."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from bitreid.arrays import Ints
from bitreid.data.pictures import Findings, Progress
from bitreid.encoding.encoder import Encoder
from bitreid.errors import BadRequest, PictureError
from bitreid.gallery.base import Gallery
from bitreid.gallery.ingest import PICTURES_BATCH
from bitreid.gallery.items import GalleryItem, Id, Items, joined
from bitreid.gallery.transfer import content_of, copy_decisions


@dataclass
class Reencoded:
    """What was encoded anew so far: `new` items, `there` that were there already, and what was found.

    `left_out` are the ids of the items whose pictures `findings.bad` says are missing or cannot be read, in its order.
    """

    new: int = 0
    there: int = 0
    left_out: list[Id] = field(default_factory=list)
    findings: Findings = field(default_factory=Findings)


def reencode_gallery(
    old: Gallery,
    new: Gallery,
    encoder: Encoder,
    pictures: Path,
    progress: Progress | None = None,
    done: Reencoded | None = None,
) -> Reencoded:
    """Encode the pictures of the items of `old` with another model, and add them to `new`, a gallery of that model.

    Pictures that items refer to are below the folder `pictures`, or where they say if they are absolute. Ids, cameras
    with their names, times, tracklets, persons, metadata, decisions and the times of addition come along; the audit log
    and what was calibrated do not. Items without a picture that can be read are left out and told.

    Items that are in `new` already are not encoded again, and only brought up to date, so that a call that was stopped
    is repeated to go on. `done` counts on, so that a caller knows what was done before an error. `WrongModel` where
    `new` is of another model than the encoder, `BadRequest` where both are one gallery.
    """
    done = Reencoded() if done is None else done
    new.contract.check_model(encoder.model)
    if encoder.n_bits < new.contract.n_bits:
        raise BadRequest(
            f"expected an encoder of {new.contract.n_bits} bits, as the gallery's codes are, got one of "
            f"{encoder.n_bits}; ask for longer codes"
        )
    place = old.info().place
    if old is new or (place != "memory:" and place == new.info().place):
        raise BadRequest(f"expected another gallery to write to, got {place} twice; name a new one")
    new.name_cameras(old.camera_names)
    total, n_seen = old.count(), 0
    for batch in old.scan(batch_size=PICTURES_BATCH):
        added = old._added(batch.ids)
        when = np.array([added.get(id, -1) for id in batch.ids], np.int64)
        there = new.get(batch.ids)
        known = [i for i, item in enumerate(there) if item is not None]
        missing = [i for i, item in enumerate(there) if item is None]
        _bring_up_to_date(new, batch.rows(known), [item for item in there if item is not None], when[known])
        done.there += len(known)
        if missing:
            some, rows = _encoded(encoder, new, batch.rows(missing), pictures, done)
            done.new += new._put(some, replace=True, decided=False, added=when[missing][rows])
        n_seen += len(batch)
        if progress is not None:
            progress(n_seen, max(n_seen, total))
    copy_decisions(old, new)
    return done


def _encoded(encoder: Encoder, new: Gallery, batch: Items, pictures: Path, done: Reencoded) -> tuple[Items, Ints]:
    """Return the items whose pictures can be read, encoded anew, and their rows."""
    paths = [None if picture is None else pictures / picture for picture in batch.pictures]
    # What is no file, a pipe for example, might never end.
    there = np.array([path is not None and path.is_file() for path in paths], np.bool_)
    encoded, good, findings = encoder.encode_readable([path for path in paths if path is not None and path.is_file()])
    rows = np.flatnonzero(there)[good]
    bad = {i: PictureError(paths[i] or Path(str(batch.ids[i])), _missing(paths[i])) for i in np.flatnonzero(~there)}
    unreadable = np.setdiff1d(np.flatnonzero(there), rows)
    bad |= dict(zip(unreadable.tolist(), findings.bad, strict=True))
    done.left_out += [batch.ids[i] for i in sorted(bad)]
    done.findings.bad += [bad[i] for i in sorted(bad)]
    done.findings.odd += findings.odd
    attributes = bool(new.contract.attributes)
    some = replace(
        batch.rows(rows),
        codes=encoded.codes,
        attribute_codes=encoded.attribute_codes if attributes else None,
        model=encoder.model,
        engine=encoder.runs,
    )
    return some, rows


def _missing(path: Path | None) -> str:
    return "an item that names no picture" if path is None else "no file"


def _bring_up_to_date(new: Gallery, batch: Items, there: Sequence[GalleryItem], when: Ints) -> None:
    """Write what was learned of items since they were encoded, with the codes that they have."""
    known = list(batch)
    differ = [
        i
        for i, (item, mine) in enumerate(zip(known, there, strict=True))
        if content_of(item)[2:] != content_of(mine)[2:]
    ]
    if differ:
        codes = joined([there[i] for i in differ], new.contract)
        some = replace(
            batch.rows(differ), codes=codes.codes, attribute_codes=codes.attribute_codes, model=new.contract.model
        )
        new._put(some, replace=True, decided=False, added=when[differ])
