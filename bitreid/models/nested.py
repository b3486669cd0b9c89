"""Nested codes: bits in an order in which every prefix is a code in its own right."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bitreid.codes import Part
from bitreid.errors import SettingsError
from bitreid.models.parts import code_layout

SUMMARY = Part("summary", 0, 128)
"""The first bits of a nested code, made from all parts at once: an eighth of 32 bits says nothing of a stripe."""
LEARNED = 512
"""Bits that are learned; those after them are the descriptor's own."""
_RUN = 8  # bits of a part that stay together, where its bits come to whole bytes


def check_nested(n_bits: int) -> None:
    """Check that a code is long enough to be nested; else raise `SettingsError`."""
    if n_bits < 2 * SUMMARY.n_bits:
        raise SettingsError(f"expected n_bits of {2 * SUMMARY.n_bits} or more for a nested code, got {n_bits}")


def nested_layout(n_bits: int, n_parts: int) -> tuple[Part, ...]:
    """Return the runs of a nested code: the summary, then short runs of all parts in turn.

    Every prefix has each part's share, to a run's length. `SettingsError` for fewer than 256 bits.
    """
    check_nested(n_bits)
    parts = code_layout(n_bits - SUMMARY.n_bits, n_parts)
    run = _RUN if all(part.n_bits % _RUN == 0 for part in parts) else 1
    left = [part.n_bits for part in parts]
    runs, place = [SUMMARY], SUMMARY.stop
    while any(left):
        # The part comes next that is farthest behind: of which most is left.
        i = max(range(len(parts)), key=lambda i: left[i] / parts[i].n_bits)
        left[i] -= run
        if runs[-1].name == parts[i].name:
            runs[-1] = Part(parts[i].name, runs[-1].start, place + run)
        else:
            runs.append(Part(parts[i].name, place, place + run))
        place += run
    return tuple(runs)


class NestedMap(nn.Module):
    """A descriptor's values `(N, n_bits)` to those of a nested code of as many bits, whose signs are the code.

    The summary is a linear map of all values. Of a part's bits, those among the first `LEARNED` of the code are a
    linear map of the part's own values, so that a person can still be searched for by parts, and the others are its
    first values as they are.
    """

    order: Tensor

    def __init__(self, layout: Sequence[Part], n_parts: int) -> None:
        super().__init__()
        n_bits = layout[-1].stop
        self.slices = [slice(part.start, part.stop) for part in layout]
        self.runs = nested_layout(n_bits, n_parts)
        learned = [_bits_of(part.name, self.runs, LEARNED) for part in layout]
        self.kept = [_bits_of(part.name, self.runs, n_bits) - n for part, n in zip(layout, learned, strict=True)]
        self.summary = nn.Linear(n_bits, SUMMARY.n_bits)
        self.linears = [nn.Linear(part.n_bits, n) for part, n in zip(layout, learned, strict=True)]
        self.parts = nn.ModuleList(self.linears)
        self.register_buffer("order", _order(self.runs, [SUMMARY.name, *(p.name for p in layout)]), persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        columns = [self.summary(values)]
        for linear, where, kept in zip(self.linears, self.slices, self.kept, strict=True):
            own = values[:, where]
            columns += [linear(own), own[:, :kept]]
        return torch.cat(columns, dim=1)[:, self.order]

    def learned(self, values: Tensor) -> Tensor:
        """Return the first bits' values only, those that are learned: `(N, LEARNED)` or fewer."""
        return self.forward(values)[:, :LEARNED]

    @torch.no_grad()
    def absorb(self, norm: nn.BatchNorm1d) -> None:
        """Take over a batch norm that follows `learned`, in evaluation mode: the map alone then gives its values."""
        places = self.order[:LEARNED]
        unit = norm.weight.new_ones((1, len(places)))
        zero, one = norm.eval()(0 * unit)[0], norm(unit)[0]
        start = 0
        for linear, kept in zip([self.summary, *self.linears], [0, *self.kept], strict=True):
            stop = start + linear.out_features
            own = (places >= start) & (places < stop)  # in ascending order of column, as a part's runs are
            linear.weight.mul_((one - zero)[own][:, None])
            linear.bias.mul_((one - zero)[own]).add_(zero[own])
            start = stop + kept


def _bits_of(name: str, runs: Sequence[Part], stop: int) -> int:
    """Return how many of the bits before `stop` belong to a part."""
    return sum(min(run.stop, stop) - run.start for run in runs if run.name == name and run.start < stop)


def _order(runs: Sequence[Part], names: Sequence[str]) -> Tensor:
    """Return, for each bit of the code, its column where the bits of each part lie side by side, by `names`."""
    sizes = [_bits_of(name, runs, runs[-1].stop) for name in names]
    next_column = {name: sum(sizes[:i]) for i, name in enumerate(names)}
    columns: list[int] = []
    for run in runs:
        first = next_column[run.name]
        columns += range(first, first + run.n_bits)
        next_column[run.name] = first + run.n_bits
    return torch.tensor(columns)
