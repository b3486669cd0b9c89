"""A killed writer loses nothing that it acknowledged, and leaves nothing half-written.

    pytest -s tests/gallery/sqlite/test_kills.py --kills 200

kills more of them, and shows what was found.
"""

from pathlib import Path

import pytest

from bitreid.gallery import create_gallery
from tests.gallery.sqlite.kills import CONTRACT, Write, apply, check, do, kill_writers, killed_writer


def test_after_each_kill_all_that_was_acknowledged_is_there(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    kills: int = pytestconfig.getoption("kills")
    found = list(kill_writers(tmp_path / "people.gallery", kills))[-1]
    for line in (
        f"\n{kills} kills; {found.acknowledged_writes:,} writes of {found.acknowledged_items:,} items acknowledged",
        f"after {kills - found.whole_after} kills something was lost, changed or half-written",
        f"of the batches under way {found.cut_and_there} were there as a whole, {found.cut_and_not_there} not at all",
        f"killed meanwhile: {', '.join(f'{n} {kind}' for kind, n in sorted(found.cut_in.items()))}",
        f"{found.items_at_the_end:,} items at the end",
    ):
        print(line)
    assert found.faults == []
    assert found.kills == found.whole_after == kills
    assert found.acknowledged_writes > kills
    assert found.acknowledged_items > 100 * kills
    assert found.cut_and_there + found.cut_and_not_there > 0
    assert found.cut_in["compact"]
    assert found.cut_in.total() > found.cut_in["compact"]


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
    done, _, _ = killed_writer(path, seed=1, seconds=0.2)
    assert done
    assert {each.action for each in done} <= {"add", "upsert", "delete", "compact"}
