"""What a run has left in its folder, read and compared."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def log_of(run: Path) -> list[dict[str, Any]]:
    """The log's records without what the clock decides."""
    records = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{name: value for name, value in record.items() if name != "pictures_per_s"} for record in records]


def states_of(run: Path) -> dict[str, Any]:
    """The checkpoint's states without what the clock decides."""
    saved = torch.load(run / "checkpoint.pt", weights_only=True)
    states: dict[str, Any] = {"position": (saved["epoch"], saved["step"])} | saved["states"]
    del states["seconds"]
    return states


def assert_same(a: Any, b: Any, where: str = "states") -> None:
    """Bit by bit, through dicts and lists."""
    assert type(a) is type(b), where
    if isinstance(a, Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for name in a:
            assert_same(a[name], b[name], f"{where}.{name}")
    elif isinstance(a, list):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}.{i}")
    else:
        assert a == b, where


def assert_equal_runs(run: Path, other: Path) -> None:
    assert log_of(run) == log_of(other)
    assert_same(states_of(run), states_of(other))
    weights = [(each / "artifact" / "weights.safetensors").read_bytes() for each in (run, other)]
    assert weights[0] == weights[1]
