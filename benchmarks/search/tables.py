"""The tables of the benchmark of searching."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from rich.table import Table

from benchmarks.search.timing import FLAT, FLOAT, READ, TWO_STAGE, Cell, Timing, ms_at_recall

Ms = Mapping[str, float]
"""What each way of a cell takes."""


def tables_of(timings: Sequence[Timing]) -> dict[str, Table]:
    """Return the tables of the parts that were run, by their titles."""
    titles: dict[str, tuple[str, Callable[[Sequence[Timing]], Table]]] = {
        "exact": ("exact search, ms a query; others: times as long", exact_table),
        "two-stage": ("two stages, ms a query; others: times as long", two_stage_table),
        "stage 1": ("stage 1 alone, 64 bits, w found, ms a query; others: times as long", short_table),
        "paths": ("paths of the kernel, ms a query", path_table),
        "float": ("2,048 bits against 2,048 floats, ms a query", float_table),
        "real": ("a model's codes: recall of the 100 nearest", real_table),
    }
    parts = {name: [timing for timing in timings if timing.cell.part == name] for name in titles}
    return {title: table(parts[name]) for name, (title, table) in titles.items() if parts[name]}


def cells_of(timings: Iterable[Timing]) -> dict[Cell, dict[str, float]]:
    cells: dict[Cell, dict[str, float]] = {}
    for timing in timings:
        cells.setdefault(timing.cell, {})[timing.way] = timing.ms
    return cells


def quickest(ms: Ms, start: str) -> float | None:
    """Return the least time of the ways whose names start with `start`; None: none was run."""
    return min((taken for name, taken in ms.items() if name.startswith(start)), default=None)


def times(ms: Ms, start: str, ours: float) -> str:
    """Return how many times as long as ours the quickest of some ways takes, if one was run."""
    taken = quickest(ms, start)
    return "" if taken is None else f"{taken / ours:.1f}"


def share(ms: Ms, ours: float) -> str:
    taken = quickest(ms, READ)
    return "" if taken is None else f"{taken / ours:.0%}"


def table_of(*headings: str) -> Table:
    table = Table()
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def exact_table(timings: Sequence[Timing]) -> Table:
    """Return the table of whole scans; the share of the read rate only for one query: several share what is read."""
    table = table_of("rows", "bits", "queries", "threads", "ours", "GB/s", "of read rate", "faiss", "usearch", "numpy")
    for cell, ms in cells_of(timings).items():
        ours = ms["exact"]
        table.add_row(
            *(f"{n:,}" for n in (cell.rows, cell.n_bits, cell.queries, cell.threads)),
            f"{ours:.3g}",
            f"{Timing(cell, 'exact', '', ours).gb_per_s:.0f}",
            share(ms, ours) if cell.queries == 1 else "",
            *(times(ms, rival, ours) for rival in (FLAT, "usearch", "numpy")),
        )
    return table


def two_stage_table(timings: Sequence[Timing]) -> Table:
    columns = (
        "rows",
        "bits",
        "queries",
        "threads",
        "w",
        "ours",
        "ours, one stage",
        "faiss",
        "faiss, one stage",
    )
    table = table_of(*columns)
    for cell, ms in cells_of(timings).items():
        ours = ms["two-stage"]
        table.add_row(
            *(f"{n:,}" for n in (cell.rows, cell.n_bits, cell.queries, cell.threads, cell.w)),
            f"{ours:.3g}",
            *(times(ms, way, ours) for way in ("exact", TWO_STAGE, FLAT)),
        )
    return table


def short_table(timings: Sequence[Timing]) -> Table:
    table = table_of("rows", "queries", "w", "ours", "GB/s", "of read rate", "faiss")
    for cell, ms in cells_of(timings).items():
        ours = ms["exact"]
        table.add_row(
            *(f"{n:,}" for n in (cell.rows, cell.queries, cell.w)),
            f"{ours:.3g}",
            f"{Timing(cell, 'exact', '', ours).gb_per_s:.0f}",
            share(ms, ours) if cell.queries == 1 else "",
            times(ms, FLAT, ours),
        )
    return table


def path_table(timings: Sequence[Timing]) -> Table:
    table = table_of("rows", "bits", "queries", "path", "exact", "two stages, w = 1 %")
    found = {(timing.cell, timing.setting, timing.way): timing.ms for timing in timings}
    for cell, path in dict.fromkeys((timing.cell, timing.setting) for timing in timings):
        sizes = (f"{n:,}" for n in (cell.rows, cell.n_bits, cell.queries))
        table.add_row(*sizes, path, *(f"{found[cell, path, way]:.3g}" for way in ("exact", "two-stage")))
    return table


def float_table(timings: Sequence[Timing]) -> Table:
    table = table_of("rows", "queries", "floats", "ours, one stage", "times less", "two stages, w = 1 %", "times less")
    for cell, ms in cells_of(timings).items():
        floats = quickest(ms, FLOAT)
        ours = [cells for way in ("exact", "two-stage") for cells in (f"{ms[way]:.3g}", times(ms, FLOAT, ms[way]))]
        table.add_row(f"{cell.rows:,}", f"{cell.queries}", "" if floats is None else f"{floats:.3g}", *ours)
    return table


def real_table(timings: Sequence[Timing]) -> Table:
    """Return the table of our ways, and what the inverted lists take to find as much ("no": no setting does)."""
    at_once = sorted({timing.cell.queries for timing in timings})
    columns = (heading for n in at_once for heading in (f"{n} at once, ms", "IVF, as much", "times ours"))
    table = table_of("rows", "way", "setting", "recall", *columns, "built, s")
    found = {(timing.cell.rows, timing.way, timing.setting, timing.cell.queries): timing for timing in timings}
    for rows, way, setting in dict.fromkeys(key[:3] for key in found):
        ways = [found[rows, way, setting, queries] for queries in at_once]
        cells = [text for timing in ways for text in beside_lists(timing, timings)]
        built = f"{ways[0].build_s:.0f}" if ways[0].build_s else ""
        table.add_row(f"{rows:,}", way, setting, f"{ways[0].recall:.1%}", *cells, built)
    return table


def beside_lists(timing: Timing, timings: Iterable[Timing]) -> tuple[str, str, str]:
    """Return what a way takes and, if it is ours, what the inverted lists take to find as much, and the ratio."""
    lists = [(each.recall or 0.0, each.ms) for each in timings if each.cell == timing.cell and each.way == "IVF"]
    ours = f"{timing.ms:.3g}"
    if not lists or timing.recall is None or not timing.way.startswith(("exact", "two-stage")):
        return ours, "", ""
    ms = ms_at_recall(lists, timing.recall)
    return (ours, "no", "") if ms is None else (ours, f"{ms:.3g}", f"{ms / timing.ms:.2f}")
