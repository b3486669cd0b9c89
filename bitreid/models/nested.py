"""Nested codes: bits in an order in which every prefix is a code in its own right."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bitreid.codes import Part
from bitreid.errors import SettingsError
from bitreid.models.parts import code_layout

SUMMARY = Part("summary", 0, 128)
"""The first bits of a nested code, made from all parts at once: an eighth of 32 bits says nothing of a stripe."""
SHORTEST = 32
_RUN = 8  # bits of a part that stay together, where its bits come to whole bytes


def nested_lengths(n_bits: int) -> tuple[int, ...]:
    """Return the lengths of a nested code's prefixes, in bits: powers of two from 32 up to `n_bits`."""
    return tuple(SHORTEST << i for i in range((n_bits // SHORTEST).bit_length()) if SHORTEST << i < n_bits) + (n_bits,)


def nested_layout(n_bits: int, n_parts: int) -> tuple[Part, ...]:
    """Return the runs of a nested code: the summary, then short runs of all parts in turn.

    Every prefix has each part's share, to a run's length. `SettingsError` for fewer than 256 bits.
    """
    if n_bits < 2 * SUMMARY.n_bits:
        raise SettingsError(f"expected n_bits of {2 * SUMMARY.n_bits} or more for a nested code, got {n_bits}")
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

    The summary is a linear map of all values, the bits of a part one of the part's own values, so that a person can
    still be searched for by parts.
    """

    order: Tensor

    def __init__(self, layout: Sequence[Part], n_parts: int) -> None:
        super().__init__()
        self.slices = [slice(part.start, part.stop) for part in layout]
        n_bits = layout[-1].stop
        self.runs = nested_layout(n_bits, n_parts)
        own = [sum(run.n_bits for run in self.runs if run.name == part.name) for part in layout]
        self.summary = nn.Linear(n_bits, SUMMARY.n_bits)
        self.parts = nn.ModuleList(nn.Linear(part.n_bits, n) for part, n in zip(layout, own, strict=True))
        self.register_buffer("order", self._order([SUMMARY.name, *(part.name for part in layout)]), persistent=False)

    def _order(self, names: Sequence[str]) -> Tensor:
        """Return, for each bit of the code, its column among the maps' outputs side by side."""
        sizes = [sum(run.n_bits for run in self.runs if run.name == name) for name in names]
        next_column = {name: sum(sizes[:i]) for i, name in enumerate(names)}
        columns: list[int] = []
        for run in self.runs:
            first = next_column[run.name]
            columns += range(first, first + run.n_bits)
            next_column[run.name] = first + run.n_bits
        return torch.tensor(columns)

    def forward(self, values: Tensor) -> Tensor:
        of_parts = [linear(values[:, part]) for linear, part in zip(self.parts, self.slices, strict=True)]
        return torch.cat([self.summary(values), *of_parts], dim=1)[:, self.order]

    @torch.no_grad()
    def scale(self, norm: nn.BatchNorm1d) -> None:
        """Take over a batch norm that follows the map, in evaluation mode."""
        zero, one = (norm(torch.full((1, len(self.order)), value))[0] for value in (0.0, 1.0))
        shift, factor = torch.empty_like(zero), torch.empty_like(zero)
        shift[self.order], factor[self.order] = zero, one - zero
        linears = [self.summary, *self.parts]
        sizes = [linear.out_features for linear in linears]
        for linear, f, b in zip(linears, factor.split(sizes), shift.split(sizes), strict=True):
            linear.weight.mul_(f[:, None])
            linear.bias.mul_(f).add_(b)
