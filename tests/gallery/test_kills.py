"""A killed writer loses nothing that it acknowledged, and leaves nothing half-written."""

from pathlib import Path

from benchmarks.gallery.kills import CONTRACT, Write, apply, bars_of, check, do, kill_writers, killed_writer
from bitreid.gallery import create_gallery

KILLS = 20


def test_after_twenty_kills_all_that_was_acknowledged_is_there(tmp_path: Path) -> None:
    found = list(kill_writers(tmp_path / "people.gallery", KILLS))[-1]
    assert found.faults == []
    assert found.kills == found.whole_after == KILLS
    assert found.acknowledged_writes > KILLS
    assert found.acknowledged_items > 100 * KILLS
    assert found.cut_and_there + found.cut_and_not_there > 0
    (bar,) = bars_of(found).values()
    assert bar["met"]


def test_the_check_sees_what_is_lost_changed_or_half_there(tmp_path: Path) -> None:
    path = tmp_path / "people.gallery"
    first, second = Write("add", (1, 2, 3, 4), 1), Write("upsert", (3, 4), 2)
    with create_gallery(path, CONTRACT) as gallery:
        do(gallery, first)
    versions: dict[int, int] = {}
    apply(first, versions)
    assert check(path, versions, None, pages=True) == ([], False)
    assert check(path, versions, second, pages=False) == ([], False)
    assert check(path, {**versions, 5: 1}, None, pages=False)[0]
    assert check(path, {**versions, 4: 2}, None, pages=False)[0]
    assert check(path, {1: 1, 2: 1, 3: 1}, None, pages=False)[0]
    assert check(path, {1: 1, 2: 1, 3: 1}, Write("add", (4,), 1), pages=False) == ([], True)
    assert check(path, {1: 1, 2: 1}, Write("add", (3, 4, 5), 1), pages=False)[0]
    assert check(path, {1: 1, 2: 1, 3: 1, 4: 1, 5: 1}, Write("delete", (5,), 0), pages=False) == ([], True)


def test_a_writer_says_what_it_does_before_and_after(tmp_path: Path) -> None:
    path = tmp_path / "people.gallery"
    create_gallery(path, CONTRACT).close()
    done, _ = killed_writer(path, seed=1, seconds=0.2)
    assert done
    assert {each.action for each in done} <= {"add", "upsert", "delete", "compact"}
