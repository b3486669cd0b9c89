"""Pairs of two galleries: those that a loop over all pairs finds, in bounded pieces, and a stop loses nothing."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

from bitreid.codes import Codes, unpack
from bitreid.errors import BadRequest, FilterError, GalleryDamaged, Unsupported, WrongModel
from bitreid.gallery import Contract, Gallery, Items, create_gallery, link, open_gallery
from bitreid.gallery.items import Id
from bitreid.gallery.link import STATE, link_galleries
from bitreid.open_set import OpenSet
from tests.gallery.cases import CONTRACT, IDS, Create, people
from tests.reference.search import hamming

ROOT = Path(__file__).parents[2]


def pairs_in(out: Path) -> list[tuple[Id, Id, int]]:
    """The pairs in a folder, in the order in which they are there."""
    found: list[tuple[Id, Id, int]] = []
    for path in sorted(out.glob("*.parquet")):
        for row in parquet.read_table(path).to_pylist():
            ids = [
                row[f"{side}_number"] if row[f"{side}_text"] is None else row[f"{side}_text"]
                for side in ("left", "right")
            ]
            found.append((ids[0], ids[1], row["distance"]))
    return found


def by_hand(left: Items, right: Items, max_distance: int, same: bool = False) -> set[tuple[Id, Id, int]]:
    """All pairs, one by one."""
    sides = [list(zip(items.ids, unpack(items.codes) > 0, strict=True)) for items in (left, right)]
    every = ((one, other, hamming(a, b)) for one, a in sides[0] for other, b in sides[1] if not (same and one == other))
    return {pair for pair in every if pair[2] <= max_distance}


LEFT, RIGHT = people(IDS), people([*range(20, 60), "x3", "other"], seed=4)


@pytest.mark.parametrize("max_distance", [0, 4, 9, 32])
def test_the_pairs_are_those_of_a_loop(max_distance: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In small pieces: of 20 items of the first gallery, 10 of the second, and 30 pairs."""
    monkeypatch.setattr(link, "BATCH", 10)
    monkeypatch.setattr(link, "RUN", 20)
    monkeypatch.setattr(link, "PAIRS_AT_ONCE", 30)
    told: list[tuple[int, int]] = []
    out = tmp_path / "pairs"
    with create_gallery("memory:", CONTRACT) as left, create_gallery("memory:", CONTRACT) as right:
        left.add(LEFT)
        right.add(RIGHT)
        linked = link_galleries(
            left, right, out, max_distance=max_distance, progress=lambda done, total: told.append((done, total))
        )
        found = pairs_in(out)
        assert len(found) == len(set(found)) == linked.n_pairs
        assert set(found) == by_hand(LEFT, RIGHT, max_distance)
        assert (linked.n_left, linked.n_right, linked.max_distance) == (len(IDS), len(RIGHT), max_distance)
        assert told[-1] == (len(IDS), len(IDS))
        assert len(list(out.glob("*.parquet"))) == -(-len(IDS) // 20)
        assert link_galleries(left, right, out, max_distance=max_distance) == linked, "it is complete"


def test_every_gallery_can_be_linked(create: Create, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "BATCH", 50)
    monkeypatch.setattr(link, "RUN", 50)
    left, right = create(), create()
    left.add(LEFT)
    right.add(RIGHT)
    link_galleries(left, right, tmp_path / "pairs", max_distance=9)
    assert set(pairs_in(tmp_path / "pairs")) == by_hand(LEFT, RIGHT, 9)


def test_within_one_gallery_by_filters(tmp_path: Path) -> None:
    """Who of camera 1 is at camera 2; and where both may be one item, it is no pair with itself."""
    with create_gallery(tmp_path / "a.gallery", CONTRACT) as gallery, open_gallery(tmp_path / "a.gallery") as same:
        gallery.add(LEFT)
        link_galleries(gallery, same, tmp_path / "ways", max_distance=9, where="camera = 1", where_right="camera = 2")
        one, two = ([i for i, camera in enumerate(LEFT.cameras) if camera == number] for number in (1, 2))
        assert set(pairs_in(tmp_path / "ways")) == by_hand(LEFT.rows(one), LEFT.rows(two), 9)
        for right in (gallery, same):
            out = tmp_path / f"all{right is same}"
            link_galleries(gallery, right, out, max_distance=9)
            assert set(pairs_in(out)) == by_hand(LEFT, LEFT, 9, same=True)
        with pytest.raises(FilterError):
            link_galleries(gallery, same, tmp_path / "x", max_distance=9, where="colour = red")


def test_what_is_certain_is_near(tmp_path: Path) -> None:
    open_set = OpenSet(tail_slope=0.5, tail_offset=-8.0, slope=-0.2, offset=8.0)
    with create_gallery("memory:", CONTRACT) as left, create_gallery("memory:", CONTRACT) as right:
        left.add(LEFT)
        right.add(RIGHT)
        with pytest.raises(BadRequest, match="one that is not calibrated; say --max-distance"):
            link_galleries(left, right, tmp_path / "pairs")
        right.calibrate(open_set)
        linked = link_galleries(left, right, tmp_path / "pairs", fpir=0.05)
        assert linked.max_distance == open_set.threshold(0.05, len(RIGHT)) > 0
        assert set(pairs_in(tmp_path / "pairs")) == by_hand(LEFT, RIGHT, linked.max_distance)
        right.add(people(range(1000, 1400), seed=8))
        assert link_galleries(left, right, tmp_path / "pairs").max_distance == linked.max_distance
        right.calibrate(OpenSet(tail_slope=0.5, tail_offset=9.0, slope=-0.2, offset=8.0))
        with pytest.raises(BadRequest, match="nothing in it is certain"):
            link_galleries(left, right, tmp_path / "none")


def test_lengths_of_one_model(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    codes = Codes(rng.integers(0, 256, (20, 8), np.uint8), 64)
    with (
        create_gallery("memory:", Contract(64, "feed")) as long,
        create_gallery("memory:", Contract(32, "feed")) as short,
    ):
        for gallery in (long, short):
            gallery.add(Items.of(range(20), codes, model="feed"))
        cut = Items.of(range(20), codes.prefix(32))
        expected = by_hand(cut, cut, 14)
        for i, (left, right) in enumerate([(long, short), (short, long), (short, short)]):
            link_galleries(left, right, tmp_path / str(i), max_distance=14)
            wanted = expected if left is not right else {pair for pair in expected if pair[0] != pair[1]}
            assert set(pairs_in(tmp_path / str(i))) == wanted
        with create_gallery("memory:", Contract(64, "other")) as other, pytest.raises(WrongModel):
            link_galleries(long, other, tmp_path / "x", max_distance=3)


def in_folder(tmp_path: Path, n: int = 30) -> tuple[Gallery, Gallery, Path]:
    galleries = []
    for name, ids in (("a", range(n)), ("b", range(100, 140))):
        gallery = create_gallery(tmp_path / f"{name}.gallery", CONTRACT)
        gallery.add(people(list(ids), seed=len(name)))
        galleries.append(gallery)
    return galleries[0], galleries[1], tmp_path / "pairs"


def test_stopped_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "BATCH", 10)
    monkeypatch.setattr(link, "RUN", 10)
    left, right, out = in_folder(tmp_path)

    def stop(done: int, _: int) -> None:
        if done >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        link_galleries(left, right, out, max_distance=8, progress=stop)
    assert len(list(out.glob("*.parquet"))) == 2
    (out / "pairs-000002.parquet").write_bytes(b"half a file of a run that was killed")
    first = (out / "pairs-000000.parquet").stat().st_mtime_ns
    linked = link_galleries(left, right, out)
    assert (out / "pairs-000000.parquet").stat().st_mtime_ns == first
    link_galleries(left, right, tmp_path / "whole", max_distance=8)
    assert pairs_in(out) == pairs_in(tmp_path / "whole")
    assert linked.n_pairs == len(pairs_in(out))
    left.close()
    right.close()


KILLED = """
import sys
from pathlib import Path
from bitreid.gallery import link, open_gallery
link.BATCH = link.RUN = 10
folder = Path(sys.argv[1])
left, right = (open_gallery(folder / f"{name}.gallery", read_only=True) for name in "ab")
with left, right:
    link.link_galleries(left, right, folder / "pairs", max_distance=8)
print("done", flush=True)
"""


def test_killed_it_goes_on(tmp_path: Path) -> None:
    """Killed (SIGKILL) again and again, at whichever moment, it comes to its end with each pair once."""
    left, right, out = in_folder(tmp_path, 300)
    kills, done = 0, False
    while not done:
        with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT) as run:
            n_before = len(list(out.glob("pairs-*.parquet"))) if out.exists() else 0
            while run.poll() is None:
                n = len(list(out.glob("pairs-*.parquet"))) if out.exists() else 0
                if n > n_before + 4 + kills and kills < 3:
                    run.send_signal(signal.SIGKILL)
                    kills += 1
                    break
                time.sleep(0.001)
            done = run.wait() == 0
    assert kills == 3
    link_galleries(left, right, tmp_path / "whole", max_distance=8)
    assert sorted(pairs_in(out), key=str) == sorted(pairs_in(tmp_path / "whole"), key=str)
    left.close()
    right.close()


def test_folders_of_something_else(tmp_path: Path) -> None:
    left, right, out = in_folder(tmp_path)
    linked = link_galleries(left, right, out, max_distance=8)
    for wrong, what in (
        ({"max_distance": 9}, "max_distance: 8, not 9"),
        ({"where": "camera = 1"}, "where: None, not 'camera = 1'"),
    ):
        words: dict[str, Any] = {"max_distance": 8} | wrong
        with pytest.raises(BadRequest, match=what):
            link_galleries(left, right, out, **words)
    with pytest.raises(BadRequest, match="left: "):
        link_galleries(right, left, out, max_distance=8)
    (path,) = out.glob("*.parquet")
    whole, state = path.read_bytes(), json.loads((out / STATE).read_text(encoding="utf-8"))
    path.write_bytes(whole[:-1] + b"X")
    with pytest.raises(GalleryDamaged, match="others; begin anew"):
        link_galleries(left, right, out, max_distance=8)
    path.write_bytes(whole)
    assert link_galleries(left, right, out, max_distance=8) == linked
    for content, kind in (
        ("{", GalleryDamaged),
        ("[]", GalleryDamaged),
        (json.dumps({**state, "files": [["../../a", 1, 1, 1, ""]]}), GalleryDamaged),
        (json.dumps({**state, "format": 99}), Unsupported),
    ):
        (out / STATE).write_text(content, encoding="utf-8")
        with pytest.raises(kind):
            link_galleries(left, right, out, max_distance=8)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear", encoding="utf-8")
    for taken in ("mine", "a.gallery"):
        with pytest.raises(BadRequest, match="a new or empty folder"):
            link_galleries(left, right, tmp_path / taken, max_distance=8)
    with pytest.raises(BadRequest, match="whole number of bits"):
        link_galleries(left, right, tmp_path / "x", max_distance=1.5)  # type: ignore[arg-type]
    left.close()
    right.close()
