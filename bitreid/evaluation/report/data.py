"""What a report tells. Every part but the title is optional: what is not there, the page leaves out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from bitreid.artifact import Card
from bitreid.codes import BitStatistics
from bitreid.errors import DataError
from bitreid.evaluation.afr import AfrMetrics
from bitreid.evaluation.confidence import Interval
from bitreid.evaluation.open_set_metrics import Identification, PairCounts, Verification
from bitreid.evaluation.summary import Evaluation

INTERVALS = ("rank1", "mAP", "mINP")
"""Names that an interval may have: those of the scores of the codes that the summary shows."""


@dataclass(frozen=True)
class Length:
    """How well codes of `n_bits` bits rank; both scores between 0 and 1."""

    n_bits: int
    rank1: float
    mAP: float


@dataclass(frozen=True)
class Promise:
    """A threshold chosen beforehand, in bits (-1: no distance is near enough), and what was promised for it: at most
    the share `fpir` of searches, in a gallery of `n_gallery` rows, for somebody who is not there gives an answer."""

    threshold: int
    fpir: float
    n_gallery: int


@dataclass(frozen=True)
class AfrCurve:
    """Two-stage search with one kind of short code of `n_bits` bits: its name ("attribute code", "weighted attribute
    code"), and the metrics for each `w`, ascending."""

    name: str
    n_bits: int
    metrics: tuple[AfrMetrics, ...]

    def __post_init__(self) -> None:
        ws = [each.w for each in self.metrics]
        if not ws or ws != sorted(ws):
            raise DataError(f"expected one or more ascending w for {self.name!r}, got {ws}")


@dataclass(frozen=True)
class PartDistance:
    """Of the `n_bits` bits of a named part of the picture, `distance` differ."""

    name: str
    distance: int
    n_bits: int


@dataclass(frozen=True)
class RankedHit:
    """A picture that was found: its file, its distance (bits), whether it is right (None: nobody knows), and the
    distance of each part in the layout's order, from the top of the picture to its bottom; `global` is all of it."""

    path: Path
    distance: float
    right: bool | None = None
    parts: tuple[PartDistance, ...] = ()


@dataclass(frozen=True)
class RankedQuery:
    """A query: its file, words that tell it from others without naming the file, its average precision, and its hits,
    nearest first."""

    path: Path
    label: str
    average_precision: float
    hits: tuple[RankedHit, ...]


@dataclass(frozen=True)
class AttributeRow:
    """How well an attribute is told, on `labelled` pictures whose label is known, `positives` of them with it.

    `accuracy` is the share of them told right; `balanced` the mean of that share among the pictures with the attribute
    and among those without, None if one kind is missing.
    """

    name: str
    accuracy: float
    balanced: float | None
    positives: int
    labelled: int


@dataclass(frozen=True)
class BitUse:
    """How a kind of code ("identity code") uses its bits over `n_codes` pictures."""

    name: str
    statistics: BitStatistics
    n_codes: int


@dataclass(frozen=True)
class Record:
    """How the report came about: when, by which command, with which versions of what.

    Words of the command that are a `Path` are names of files, which a report without pictures leaves out.
    """

    made: datetime
    command: tuple[str | Path, ...]
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Report:
    """What a report tells.

    title         of the page
    card          the model's contract
    data          name of the data set
    protocol      one sentence: which gallery pictures count
    evaluation    its scores; `evaluation.afr` is told by `afr`
    intervals     by name, one of `INTERVALS`, of the codes' scores
    lengths       several lengths of one code, ascending
    pairs         with `verification` and `identification` made of it
    promise       the threshold that is used on these pairs, if one was chosen beforehand
    afr           two-stage search, a curve a kind of short code
    worst, best   queries by average precision, the most extreme first
    pictures      False leaves out every picture and every name of a file
    """

    title: str
    card: Card | None = None
    data: str = ""
    protocol: str = ""
    evaluation: Evaluation | None = None
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    lengths: tuple[Length, ...] = ()
    pairs: PairCounts | None = None
    promise: Promise | None = None
    verification: Verification | None = None
    identification: Identification | None = None
    afr: tuple[AfrCurve, ...] = ()
    worst: tuple[RankedQuery, ...] = ()
    best: tuple[RankedQuery, ...] = ()
    attributes: tuple[AttributeRow, ...] = ()
    bits: tuple[BitUse, ...] = ()
    record: Record | None = None
    pictures: bool = True

    def __post_init__(self) -> None:
        unknown = sorted(set(self.intervals) - set(INTERVALS))
        if unknown:
            raise DataError(f"expected intervals of {', '.join(INTERVALS)}, got {', '.join(unknown)}")
        lengths = [each.n_bits for each in self.lengths]
        if lengths != sorted(set(lengths)):
            raise DataError(f"expected lengths that ascend, got {lengths}")
