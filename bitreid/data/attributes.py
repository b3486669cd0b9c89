"""Attribute schemas and labels: clothing and carried objects as named bits."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from bitreid.errors import DataError

UNKNOWN_LABEL = -1
"""A label that nobody could see in the pictures; losses and metrics leave it out."""
MIN_POSITIVES = 10
"""A bit that fewer training identities than this have is trained but left out of the attribute code."""


@dataclass(frozen=True)
class AttributeSchema:
    """Named binary attributes and the fields that they come from.

    `names[i]` is the name of bit i, `groups[i]` that of its field: a yes/no field has one bit, of the same name; a
    field of several values has a bit for each, named `field=value`. `in_code[i]` says whether bit i is part of the
    attribute code (bits that fewer than `MIN_POSITIVES` training identities have are trained but left out). `left_out`
    holds values, as `field=value`, that have no bit on purpose ("plain" among patterns): labels may name them, and all
    bits of the field are then 0.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    in_code: tuple[bool, ...]
    left_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.names) == len(self.groups) == len(self.in_code):
            raise DataError(
                f"expected names, groups and in_code of one length, got "
                f"{len(self.names)}, {len(self.groups)} and {len(self.in_code)}"
            )
        if len(set(self.names)) != len(self.names):
            raise DataError("expected attribute names to differ, got a repeated one")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def n_code_bits(self) -> int:
        """The number of bits in the attribute code, before zeros pad it to whole bytes."""
        return sum(self.in_code)


@dataclass(frozen=True)
class AttributeTable:
    """Attribute labels of identities.

    `pids` (m,) int64, sorted, each once; `labels` (m, len(schema)) int8: 1, 0 or `UNKNOWN_LABEL`.
    """

    schema: AttributeSchema
    pids: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int8]

    def __post_init__(self) -> None:
        if self.labels.shape != (len(self.pids), len(self.schema)) or self.labels.dtype != np.int8:
            raise DataError(
                f"expected labels of shape ({len(self.pids)}, {len(self.schema)}) int8, "
                f"got {self.labels.shape} {self.labels.dtype}"
            )
        if np.any(np.diff(self.pids) <= 0):
            raise DataError("expected attribute rows sorted by identity, each identity once")
        if self.labels.size and (self.labels.min() < UNKNOWN_LABEL or self.labels.max() > 1):
            raise DataError("expected attribute labels 1, 0 or -1 (unknown)")

    def labels_of(self, pids: npt.NDArray[np.int64]) -> npt.NDArray[np.int8]:
        """Labels `(len(pids), len(schema))`; all `UNKNOWN_LABEL` for identities that have no row."""
        out = np.full((len(pids), len(self.schema)), UNKNOWN_LABEL, dtype=np.int8)
        if len(self.pids):
            at = np.clip(np.searchsorted(self.pids, pids), 0, len(self.pids) - 1)
            found = self.pids[at] == pids
            out[found] = self.labels[at[found]]
        return out

    def with_code_bits(self, train_pids: npt.NDArray[np.int64], min_positives: int = MIN_POSITIVES) -> Self:
        """The table with `schema.in_code` true for the bits that at least `min_positives` of `train_pids` have."""
        positives = (self.labels[np.isin(self.pids, train_pids)] == 1).sum(axis=0)
        in_code = tuple(bool(count >= min_positives) for count in positives)
        return replace(self, schema=replace(self.schema, in_code=in_code))
