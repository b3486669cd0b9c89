"""What the benchmark of galleries could get wrong quietly: its items, filters, turns, percentiles, bars, tables."""

import itertools
import json
import threading
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from gallery import installed, plan_of, record_of
from gallery_adding import BATCH, Added, by_process, paced
from gallery_data import CONTRACT, FILTERS, Rows, crowd_of, passing
from gallery_engines import FILL, Ask, Engine, K, Ours, kernel_way
from gallery_parts import Plan, asks_of, measure, recall_of
from gallery_rivals import MODULES, RIVALS
from gallery_tables import in_order, quickest, short, tables_of
from gallery_timing import (
    DUCKDB,
    EXACT,
    KERNEL,
    LANCEDB,
    OURS,
    SINGLE,
    TWO_STAGE,
    Latency,
    bars_of,
    calls_for,
    calls_in_turns,
    latency,
)
from hypothesis import given
from hypothesis import strategies as st
from search_timing import Array, Pace, Way

from bitreid.codes import hamming_distances
from bitreid.gallery import create_gallery
from bitreid.hamming import kernel

SHORT_PACE = Pace(turn_s=0, budget_s=0, fewest=1, most=1)


class Other(Engine):
    """A rival that is always there: numpy over lists, nothing on the disk."""

    name, synced = DUCKDB, False

    def create(self) -> None:
        self.kept: list[Rows] = []

    def open(self) -> None: ...

    def close(self) -> None: ...

    def add(self, rows: Rows) -> None:
        self.kept.append(rows)

    def ways(self, ask: Ask) -> list[Way]:
        if ask.filter == "metadata" or ask.at_once > 1:
            return []

        def call(i: int) -> Array:
            found = passing(self.crowd, self.n, ask.filter)
            rows = np.arange(self.n) if found is None else np.flatnonzero(found)
            for pair, keep in ((self.crowd.short, ask.w), (self.crowd.long, K)):
                gallery = pair.gallery[rows % len(self.crowd)]
                if keep:
                    rows = rows[
                        np.argsort(hamming_distances(pair.queries[i : i + 1], gallery)[0], kind="stable")[:keep]
                    ]
            return rows[None]

        return [Way(self.name, call, "one"), Way(self.name, call, "two")]

    def get(self, id: int) -> None: ...

    def delete(self, id: int) -> None: ...


def of(way: str, p50_ms: float, task: str = TWO_STAGE, part: str = "search", setting: str = "") -> Latency:
    return Latency(part, task, 1000, way, setting, p50_ms, p50_ms, 100)


def test_items_past_the_last_row_are_the_first_ones_again_under_new_ids() -> None:
    crowd = crowd_of(60)
    first, again = crowd.rows(1, 3), crowd.rows(61, 63)
    assert (first.ids.tolist(), again.ids.tolist()) == ([1, 2], [61, 62])
    for one, other in zip(first[1:], again[1:], strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.concatenate([rows.ids for rows in crowd.batches(60, 25)]).tolist() == list(range(60))


@pytest.mark.parametrize("name", FILTERS)
def test_rows_that_pass_are_those_that_a_gallery_lets_through(name: str) -> None:
    crowd = crowd_of(2000)
    found = passing(crowd, 2000, name)
    with create_gallery("memory:", CONTRACT) as gallery:
        gallery.add(crowd.rows(0, 2000).items())
        ids = [id for batch in gallery.scan(FILTERS[name]) for id in batch.ids]
    assert ids == (list(range(2000)) if found is None else np.flatnonzero(found).tolist())
    shares = {"": 1, "camera and time": 1 / 8, "metadata": 1 / 4}
    assert len(ids) / 2000 == pytest.approx(shares[name], abs=0.03)


@given(st.lists(st.floats(0.001, 10), min_size=1, max_size=30))
def test_a_percentile_is_the_least_call_that_so_many_calls_do_not_exceed(seconds: list[float]) -> None:
    found = latency("search", EXACT, 10, OURS, seconds)
    for share, ms in ((50, found.p50_ms), (99, found.p99_ms)):
        enough = [each for each in seconds if 100 * sum(other <= each for other in seconds) >= share * len(seconds)]
        assert ms == pytest.approx(1e3 * min(enough))
    assert found.calls == len(seconds)


def test_turns_count_calls_but_not_a_short_first_one(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, calls = [0.0], []

    def way(name: str, seconds: float) -> Way:
        def call(i: int) -> Array:
            calls.append((name, i))
            clock[0] += seconds
            return np.empty((0, 0))

        return Way(name, call)

    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    pace = Pace(turn_s=0.25, budget_s=1.5, fewest=1, most=9)
    long, brief = calls_in_turns([way("long", 1), way("brief", 0.125)], 4, pace)
    assert calls[:2] == [("long", 3), ("brief", 3)]  # once before
    assert calls[2:6] == [("long", 0), ("brief", 0), ("brief", 1), ("brief", 2)]
    assert (long, brief) == ([1, 1], [0.125] * 12)
    numbers = [i for name, i in calls[2:] if name == "brief"]
    assert numbers == list(itertools.islice(itertools.cycle(range(4)), 18))  # 12, and a first one of each turn


def test_single_calls_stop_at_the_budget_and_are_at_least_one() -> None:
    assert len(calls_for(lambda _: None, 9, 5)) == 5
    assert len(calls_for(lambda _: None, 0, 5)) == 1


def test_what_is_added_meanwhile_is_counted_in_items() -> None:
    stop, numbers = threading.Event(), []

    def add(number: int) -> None:
        numbers.append(number)
        if number == 2:
            stop.set()

    assert paced(add, threading.Event(), stop).items == 3 * BATCH
    assert numbers == [0, 1, 2]


def test_a_process_adds_batches_under_new_ids(tmp_path: Path) -> None:
    engine = Ours(tmp_path, crowd_of(30))
    engine.fill(20)
    with by_process(engine) as added:
        pass
    assert added.items >= BATCH
    assert engine.n == 20 + added.items
    found = engine.gallery.get(list(range(engine.n + 1)))
    assert [item is None for item in found] == [False] * engine.n + [True]
    engine.close()


def test_somebody_who_failed_to_add_is_no_rate() -> None:
    with pytest.raises(RuntimeError, match="expected somebody who adds"):
        assert Added(10, 0).a_second
    assert Added(10, 4).a_second == 2.5


def test_bars_are_judged_by_medians_of_the_quickest_setting() -> None:
    found = [
        *(of(way, ms, EXACT) for way, ms in ((KERNEL, 10), (OURS, 11))),
        *(of(way, ms) for way, ms in ((KERNEL, 1), (OURS, 1.7), (DUCKDB, 17))),
        *(of(LANCEDB, ms, setting=setting) for ms, setting in ((99, "by ids"), (16, "by numpy"))),
        of(OURS, 2999, "open", SINGLE),
    ]
    bars = bars_of(found, 1000)
    assert {name: (bar["value"], bar["bar"], bar["met"]) for name, bar in bars.items()} == {
        "exact search: times the kernel": (pytest.approx(1.1), 1.1, True),
        "two-stage search: ms, against 1.3 times the kernel's + 0.3": (1.7, pytest.approx(1.6), False),
        "two-stage search: times faster than LanceDB": (pytest.approx(16 / 1.7), 10, False),
        "two-stage search: times faster than DuckDB": (10, 10, True),
        "open, seconds": (2.999, 3, True),
    }
    assert bars_of(found) == {}  # of another number of rows
    assert list(bars_of(found[-1:], 1000)) == ["open, seconds"]


def test_tables_show_the_quickest_setting_and_known_ways_first() -> None:
    found = quickest([of(LANCEDB, 3, setting="a"), of(LANCEDB, 2, setting="b"), of(OURS, 1)])
    assert {way: (each.p50_ms, each.setting) for (_, _, way), each in found.items()} == {
        LANCEDB: (2, "b"),
        OURS: (1, ""),
    }
    assert in_order([LANCEDB, "another", OURS, KERNEL]) == [KERNEL, OURS, LANCEDB, "another"]
    assert [short(ms) for ms in (0.01234, 12.345, 1234.5)] == ["0.0123", "12.3", "1,234"]


def test_recall_is_less_than_one_for_a_way_that_finds_other_items() -> None:
    crowd = crowd_of(300)
    ask = Ask(filter="camera and time")
    assert recall_of(kernel_way(crowd, 300, ask), crowd, 300, ask) == 1
    assert recall_of(kernel_way(crowd, 300, Ask()), crowd, 300, ask) < 1


def test_a_rival_that_is_not_installed_is_left_out_and_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODULES, LANCEDB, ("json", "no_such_rival"))
    said: list[str] = []
    assert LANCEDB not in installed(said.append)
    assert any("LanceDB is left out" in line and "no_such_rival" in line for line in said)


def test_milvus_is_added_where_asked_and_only_up_to_its_rows() -> None:
    assert plan_of(True, [Ours], None).makes(1000) == [Ours]
    plan = plan_of(False, [Ours], "milvus://localhost:19530/people")
    assert [len(plan.makes(n)) for n in plan.rows] == [2, 1]


def test_all_parts_run_with_and_without_rivals(tmp_path: Path) -> None:
    n, crowd = 300, crowd_of(300)
    on_milvus = partial(Ours, place=str(tmp_path / "elsewhere.gallery"), name="ours, Milvus")
    rivals = [RIVALS[name] for name in installed(lambda _: None)]
    with_rivals = Plan((n,), [Ours, Other, *rivals], SHORT_PACE, single_s=0, calls=2, milvus=on_milvus)
    folders = [tmp_path / name for name in ("alone", "beside")]
    for plan, folder in zip((Plan((n,), [Ours], SHORT_PACE, single_s=0, calls=2), with_rivals), folders, strict=True):
        folder.mkdir()
        measured = measure(plan, crowd, folder, lambda _: None)
        assert list(folder.iterdir()) == []
        exact = {OURS, KERNEL, "ours, Milvus", DUCKDB}
        recalls = [each.recall for each in measured.latencies if each.part == "search" and each.way in exact]
        assert recalls == [1.0] * len(recalls)
        engines = {fact.way for fact in measured.facts}
        assert {each.way for each in measured.latencies} == engines | {KERNEL}
        assert {each.task for each in measured.latencies if each.part == "search"} == {ask.task for ask in asks_of(n)}
        names = {fact.name for fact in measured.facts if fact.way == OURS}
        rates = {f"added a second, batches of {size:,}" for size in (1, 1000, FILL)}
        assert rates | {"disk, bytes an item", "memory, bytes an item"} <= names
        assert all(fact.value > 0 for fact in measured.facts if fact.way == OURS)
        tables = tables_of(measured, [DUCKDB])
        assert next(table.row_count for table in tables.values()) == len(asks_of(n))
        assert all(table.row_count >= len(engines) for table in list(tables.values())[1:])
        record = json.loads(json.dumps(record_of(measured), allow_nan=False))
        assert set(record) == {"path", "machine", "latencies", "facts", "bars"}
        assert record["path"] == kernel.path()
        assert record["latencies"] == [asdict(each) for each in measured.latencies]
