"""The tables of the benchmark of galleries."""

from collections.abc import Iterable, Mapping

from rich.table import Table

from benchmarks.gallery.parts import Measured
from benchmarks.gallery.timing import ADDING, DUCKDB, FAISS, KERNEL, LANCEDB, OURS, SINGLE, Latency
from benchmarks.search.tables import table_of

_ENOUGH = 100  # calls, below which the 99th percentile is the longest call or nearly so


def tables_of(measured: Measured, unsynced: Iterable[str] = ()) -> dict[str, Table]:
    """Return the tables by title; `unsynced` names ways whose additions are not on the disk when the call ends."""
    searches = [each for each in measured.latencies if each.part == "search"]
    adding = [each for each in measured.latencies if each.part == ADDING]
    return {
        "search, ms a call: p50 / p99; ~: of fewer than 100 calls": search_table(searches),
        f"search {ADDING}, ms a call: p50 / p99; items added a second meanwhile": adding_table(adding, measured),
        "additions a second": additions_table(measured, set(unsynced)),
        f"{SINGLE}, ms, p50; bytes an item": single_table(measured),
    }


def search_table(latencies: Iterable[Latency]) -> Table:
    """Return the table of searches; of a way with several settings, the quickest."""
    found = quickest(latencies)
    ways = in_order(way for _, _, way in found)
    others = [way for way in ways if way not in (KERNEL, OURS)]
    table = table_of(
        "rows", "search", KERNEL, OURS, "times kernel", *(h for way in others for h in (way, "times ours"))
    )
    for rows, task in dict.fromkeys((rows, task) for rows, task, _ in found):
        mine, bare = found[rows, task, OURS], found[rows, task, KERNEL]
        cells = [percentiles(bare), percentiles(mine), f"{mine.p50_ms / bare.p50_ms:.2f}"]
        for way in others:
            rival = found.get((rows, task, way))
            cells += ["", ""] if rival is None else [percentiles(rival), f"{rival.p50_ms / mine.p50_ms:.1f}"]
        table.add_row(f"{rows:,}", task, *cells)
    return table


def adding_table(latencies: Iterable[Latency], measured: Measured) -> Table:
    found = quickest(latencies)
    table = table_of("rows", "way", "search, who adds", "p50 / p99", "added a second")
    rates = {(fact.rows, fact.name, fact.way, fact.setting): fact.value for fact in measured.facts}
    for (rows, task, way), each in found.items():
        rate = rates[rows, f"added a second meanwhile, {task}", way, each.setting]
        table.add_row(f"{rows:,}", way, task, percentiles(each), f"{rate:.0f}")
    return table


def additions_table(measured: Measured, unsynced: set[str]) -> Table:
    start = "added a second, batches"
    facts = {(fact.rows, fact.way, fact.name): fact.value for fact in measured.facts if fact.name.startswith(start)}
    names = sorted({name for _, _, name in facts}, key=lambda name: int(name.split()[-1].replace(",", "")))
    table = table_of("rows", "way", *(name.removeprefix("added a second, ") for name in names), "synced")
    for rows, way in dict.fromkeys((rows, way) for rows, way, _ in facts):
        rates = (f"{facts[rows, way, name]:,.0f}" for name in names)
        table.add_row(f"{rows:,}", way, *rates, "no" if way in unsynced else "yes")
    return table


def single_table(measured: Measured) -> Table:
    tasks = ("open", "open and search", "first search by metadata", "fetch", "delete")
    rooms = ("disk, bytes an item", "memory, bytes an item")
    single = [each for each in measured.latencies if each.part == SINGLE]
    ms = {(each.rows, each.way, each.task): each.p50_ms for each in single}
    facts = {(fact.rows, fact.way, fact.name): fact.value for fact in measured.facts}
    table = table_of("rows", "way", *tasks, *rooms)
    for rows, way in dict.fromkeys((rows, way) for rows, way, _ in ms):
        room = (facts.get((rows, way, name)) for name in rooms)
        table.add_row(
            f"{rows:,}",
            way,
            *(short(ms[rows, way, task]) if (rows, way, task) in ms else "" for task in tasks),
            *("" if value is None else f"{value:.0f}" for value in room),
        )
    return table


def quickest(latencies: Iterable[Latency]) -> Mapping[tuple[int, str, str], Latency]:
    """Return the figures by rows, task and way, of the setting with the least median."""
    found: dict[tuple[int, str, str], Latency] = {}
    for each in latencies:
        key = each.rows, each.task, each.way
        if key not in found or each.p50_ms < found[key].p50_ms:
            found[key] = each
    return found


def in_order(ways: Iterable[str]) -> list[str]:
    """Return the ways, each once, in the order of all tables."""
    known = [KERNEL, OURS, FAISS, DUCKDB, LANCEDB]
    return sorted(set(ways), key=lambda way: (known.index(way) if way in known else len(known), way))


def percentiles(each: Latency) -> str:
    return f"{short(each.p50_ms)} / {'~' if each.calls < _ENOUGH else ''}{short(each.p99_ms)}"


def short(ms: float) -> str:
    """Return a number with three digits, without an exponent."""
    return f"{ms:,.0f}" if ms >= 100 else f"{ms:.3g}"
