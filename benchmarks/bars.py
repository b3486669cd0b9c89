"""What benchmarks measure beside what was promised, and the JSON that they write."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Bars = dict[str, dict[str, Any]]
"""By the bar's name its `value`, the `bar` and whether it is `met`."""


def at_least(value: float, bar: float) -> dict[str, Any]:
    """Return a bar that a value meets from the bar on."""
    return {"value": value, "bar": bar, "met": bool(value >= bar)}


def at_most(value: float, bar: float) -> dict[str, Any]:
    """Return a bar that a value meets up to the bar."""
    return {"value": value, "bar": bar, "met": bool(value <= bar)}


def lines_of(bars: Bars) -> Iterator[str]:
    """Yield a line of text for each bar."""
    for name, bar in bars.items():
        yield f"{name}: {bar['value']:.3g}, bar {bar['bar']:g}: {'met' if bar['met'] else 'NOT met'}"


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write what a benchmark found; `ValueError` for a number that JSON does not have, such as NaN."""
    path.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
