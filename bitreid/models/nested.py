"""Nested codes: bits in an order in which every prefix is a code in its own right."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bitreid.codes import Part
from bitreid.errors import SettingsError
from bitreid.models.parts import code_layout

SUMMARY = Part("summary", 0, 128)
"""The first bits of a nested code, made from all parts at once: an eighth of 32 bits says nothing of a stripe."""
DIRECTIONS = SUMMARY.n_bits
"""Directions among all values that the summary is made of: as many as it has first bits."""
_RUN = 8  # bits of a part that stay together, where its bits come to whole bytes


def check_nested(n_bits: int) -> None:
    """Check that a code is long enough to be nested; else raise `SettingsError`."""
    if n_bits < 2 * SUMMARY.n_bits:
        raise SettingsError(f"expected n_bits of {2 * SUMMARY.n_bits} or more for a nested code, got {n_bits}")


def nested_layout(n_bits: int, n_parts: int) -> tuple[Part, ...]:
    """Return the runs of a nested code: the summary's first bits, then short runs of the summary and all parts in turn.

    The summary has half of the bits after its first ones, or a little more. Every prefix has each part's share, to a
    run's length. `SettingsError` for fewer than 256 bits.
    """
    check_nested(n_bits)
    rest = n_bits - SUMMARY.n_bits
    parts = code_layout(rest // 64 * 32, n_parts)
    run = _RUN if all(part.n_bits % _RUN == 0 for part in parts) else 1
    shares = [Part(SUMMARY.name, 0, rest - parts[-1].stop), *parts]
    left = [part.n_bits for part in shares]
    runs, place = [SUMMARY], SUMMARY.stop
    while any(left):
        # The one comes next that is farthest behind: of which most is left.
        i = max(range(len(left)), key=lambda i: left[i] / shares[i].n_bits)
        n = min(run, left[i])
        left[i] -= n
        if runs[-1].name == shares[i].name:
            runs[-1] = Part(shares[i].name, runs[-1].start, place + n)
        else:
            runs.append(Part(shares[i].name, place, place + n))
        place += n
    return tuple(runs)


class NestedMap(nn.Module):
    """A descriptor's values `(N, n_bits)`, before any activation, to those of a nested code, whose signs are the code.

    The summary is a linear map of a few directions among all values. A part's bits are one of the part's own values, so
    that a person can still be searched for by parts.
    """

    order: Tensor

    def __init__(self, layout: Sequence[Part], n_parts: int) -> None:
        super().__init__()
        n_bits = layout[-1].stop
        self.slices = [slice(part.start, part.stop) for part in layout]
        self.runs = nested_layout(n_bits, n_parts)
        self.directions = nn.Linear(n_bits, DIRECTIONS)
        self.summary = nn.Linear(DIRECTIONS, _n_bits(SUMMARY.name, self.runs))
        self.linears = [nn.Linear(part.n_bits, _n_bits(part.name, self.runs)) for part in layout]
        self.parts = nn.ModuleList(self.linears)
        self.register_buffer("order", _order(self.runs, [SUMMARY.name, *(p.name for p in layout)]), persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        of_parts = [linear(values[:, where]) for linear, where in zip(self.linears, self.slices, strict=True)]
        return torch.cat([self.summary(self.directions(values)), *of_parts], dim=1)[:, self.order]


def _n_bits(name: str, runs: Sequence[Part]) -> int:
    return sum(run.n_bits for run in runs if run.name == name)


def _order(runs: Sequence[Part], names: Sequence[str]) -> Tensor:
    """Return, for each bit of the code, its column where the bits of each part lie side by side, by `names`."""
    sizes = [_n_bits(name, runs) for name in names]
    next_column = {name: sum(sizes[:i]) for i, name in enumerate(names)}
    columns: list[int] = []
    for run in runs:
        first = next_column[run.name]
        columns += range(first, first + run.n_bits)
        next_column[run.name] = first + run.n_bits
    return torch.tensor(columns)
