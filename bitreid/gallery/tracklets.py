"""Tracklets of a video as a gallery's items: one code of all pictures of a tracklet."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from bitreid.arrays import Bools, Ints, Pixels
from bitreid.data.ahead import ahead
from bitreid.data.boxes import Boxes
from bitreid.data.manifest import UNKNOWN, Manifest
from bitreid.data.pictures import Progress
from bitreid.encoding.boxes import TrackletMeans, cut_out
from bitreid.encoding.crops import Cut, Shot, cuts_of
from bitreid.encoding.encoder import Encoded, Encoder
from bitreid.errors import BadRequest
from bitreid.gallery.base import Gallery
from bitreid.gallery.cameras import with_cameras_of
from bitreid.gallery.fields import check_text
from bitreid.gallery.ingest import Added
from bitreid.gallery.items import Id, Items
from bitreid.gallery.naming import absolute, rooted
from bitreid.gallery.requests import BATCH

TOGETHER = 64
"""Crops that are encoded together."""
ADDED_TOGETHER = 256
"""Tracklets that are added together: what is lost at most when adding is stopped, besides those that go on."""


class _Pictures(NamedTuple):
    """What was cut out of a frame: its number and time, rows of boxes `(m,)`, and pictures of the model's size."""

    number: int
    time: int
    rows: Ints
    pictures: Pixels


class _Seen(NamedTuple):
    """When a tracklet was first seen, in which frames, and how many pictures of it there were."""

    time: int
    first: int
    last: int
    n: int


def add_video(
    gallery: Gallery,
    encoder: Encoder,
    video: Path,
    boxes: Boxes,
    shot: Shot,
    *,
    name: str,
    crops: Mapping[int, Path] = MappingProxyType({}),
    root: Path | None = None,
    progress: Progress | None = None,
    added: Added | None = None,
) -> Added:
    """Add an item for each tracklet in the boxes of a video, and one for each box in none; return what was added.

    An item's code is made from the mean over its pictures, of features and of what they say of attributes. `name` is
    what the video is called: its tracklet 7 has the id and the tracklet `NAME/7`, a box in none the id
    `NAME/fFRAME/bPLACE`. An item has the camera, the time of its first picture, and as metadata the `video`, its
    `first_frame` and `last_frame` and the number of `pictures`. Its picture is the middle one of its crops that there
    are, by rows of boxes, else the video; relative to `root` below it, absolute elsewhere.

    Items that are there already are left as they are, and not encoded again: a call that was stopped is repeated to go
    on. `BadRequest` where other items have their ids: of another video of this name, or with other pictures.
    `WrongModel` for a gallery of another model.
    """
    added = Added() if added is None else added
    check_text("the name of a video", name)
    gallery.contract.check_model(encoder.model)
    camera = _camera(gallery, shot)
    groups, starts = _groups(boxes)
    ids = [_id(name, boxes, row) for row in starts.tolist()]
    shown = np.array(sorted(crops), np.int64)
    middle = _middles(groups, shown, len(ids))
    whole = str(rooted(absolute(video), root))
    pictures = [whole if row < 0 else str(rooted(absolute(crops[row]), root)) for row in middle.tolist()]
    there = _there(gallery, ids, pictures)
    added.there += int(there.sum())
    tracked = boxes.tracklets[starts] != UNKNOWN
    left = np.flatnonzero(~there[groups])
    boxes, groups = boxes.take(left), groups[left]
    # Groups by the frame of their last box, after which nothing more comes.
    lasts = np.full(len(ids), -1, np.int64)
    lasts[groups] = boxes.frames  # which ascend
    ending = np.argsort(lasts, kind="stable")[int(there.sum()) :].tolist()
    n_ended = 0
    seen: dict[int, _Seen] = {}
    means = TrackletMeans(encoder)
    model = encoder.model

    def add(some: Sequence[int]) -> None:
        encoded = means.take(some)
        known = [seen.pop(group) for group in some]
        batch = Items.of(
            [ids[group] for group in some],
            encoded.codes,
            encoded.attribute_codes if gallery.contract.attributes else None,
            cameras=np.full(len(some), camera, np.int64),
            times=np.array([each.time for each in known], np.int64),
            tracklets=[str(ids[group]) if tracked[group] else None for group in some],
            metadata=[
                {"video": name, "first_frame": each.first, "last_frame": each.last, "pictures": each.n}
                for each in known
            ],
            pictures=[pictures[group] for group in some],
            model=model,
            engine=encoder.runs,
        )
        new = gallery.add(batch)
        added.new, added.there = added.new + new, added.there + len(batch) - new

    def encode(cuts: list[_Pictures]) -> tuple[list[_Pictures], Encoded]:
        return cuts, encoder.encode(np.concatenate([cut.pictures for cut in cuts]))

    done: list[int] = []
    # A thread encodes while this one decodes the next frames.
    with closing(ahead(_together(cuts_of(video, boxes, shot, added.findings), encoder), encode, 1)) as coming:
        for cuts, encoded in coming:
            means.add(np.concatenate([groups[cut.rows] for cut in cuts]), encoded)
            for cut in cuts:
                for group in groups[cut.rows].tolist():
                    before = seen.get(group, _Seen(cut.time, cut.number, cut.number, 0))
                    seen[group] = before._replace(last=cut.number, n=before.n + 1)
            while n_ended < len(ending) and lasts[ending[n_ended]] <= cuts[-1].number:
                # None of its boxes may have enclosed anything.
                done += [ending[n_ended]] if ending[n_ended] in seen else []
                n_ended += 1
            while len(done) >= ADDED_TOGETHER:
                add(done[:ADDED_TOGETHER])
                del done[:ADDED_TOGETHER]
            if progress is not None:
                progress(int(cuts[-1].rows[-1]) + 1, len(boxes))
    rest = [*done, *sorted(seen.keys() - set(done))]  # the video may have ended before their last boxes
    for start in range(0, len(rest), ADDED_TOGETHER):
        add(rest[start : start + ADDED_TOGETHER])
    return added


def _camera(gallery: Gallery, shot: Shot) -> int:
    """Return the camera's number in the gallery, which keeps its name."""
    one = np.array([shot.camera_number], np.int64)
    alone = Manifest((Path("video"),), np.array([UNKNOWN]), one, ("gallery",), camera_names=shot.camera_names)
    known = with_cameras_of(gallery, alone)
    gallery.name_cameras(known.camera_names)
    return int(known.camids[0])


def _groups(boxes: Boxes) -> tuple[Ints, Ints]:
    """Return the number of each box's tracklet, a box in none being one by itself, and the first row of each."""
    alone = boxes.tracklets == UNKNOWN
    keys = np.where(alone, np.arange(len(boxes)), boxes.tracklets)
    _, starts, groups = np.unique(np.stack([alone, keys], axis=1), axis=0, return_index=True, return_inverse=True)
    return groups.reshape(-1).astype(np.int64), starts.astype(np.int64)


def _middles(groups: Ints, shown: Ints, n: int) -> Ints:
    """Return the middle one of the `shown` rows of each of `n` groups; -1 for a group of which none is shown."""
    order = shown[np.argsort(groups[shown], kind="stable")]
    counts = np.bincount(groups[shown], minlength=n)
    middle = np.cumsum(counts) - counts + counts // 2
    return np.where(counts > 0, np.append(order, -1)[middle], -1)


def _id(name: str, boxes: Boxes, row: int) -> Id:
    tracklet = boxes.tracklets[row]
    return f"{name}/f{boxes.frames[row]}/b{boxes.places[row]}" if tracklet == UNKNOWN else f"{name}/{tracklet}"


def _there(gallery: Gallery, ids: Sequence[Id], pictures: Sequence[str]) -> Bools:
    """Return which ids the gallery has; `BadRequest` where it has them of other pictures."""
    there = np.zeros(len(ids), np.bool_)
    for start in range(0, len(ids), BATCH):
        for i, item in enumerate(gallery.get(ids[start : start + BATCH]), start=start):
            there[i] = item is not None
            if item is not None and item.picture != pictures[i]:
                raise BadRequest(
                    f"expected a video that the gallery does not have under this name, got {ids[i]!r}, which it has "
                    f"of {item.picture}, not of {pictures[i]}; say another --name"
                )
    return there


def _together(cuts: Iterator[Cut], encoder: Encoder) -> Iterator[list[_Pictures]]:
    """Yield what was cut out, as many frames together as have about `TOGETHER` crops."""
    some: list[_Pictures] = []
    for cut in cuts:
        pictures = cut_out(cut.pixels, cut.inside, encoder.card.input.height, encoder.card.input.width)
        some.append(_Pictures(cut.number, cut.time, cut.rows, pictures))
        if sum(len(each.rows) for each in some) >= TOGETHER:
            yield some
            some = []
    if some:
        yield some
