"""The contents of a report. All parts but the title are optional; the page leaves out what is missing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from bitreid.artifact import Card
from bitreid.codes import BitStatistics
from bitreid.errors import DataError
from bitreid.evaluation.afr import AfrMetrics
from bitreid.evaluation.calibration.promises import Reliability
from bitreid.evaluation.confidence import Interval
from bitreid.evaluation.open_set_metrics import Identification, PairCounts, Verification
from bitreid.evaluation.summary import Evaluation

INTERVALS = ("rank1", "mAP", "mINP")
"""Names that intervals may have: those of the scores at the top of the page."""


@dataclass(frozen=True)
class Length:
    """How well codes of `n_bits` bits rank; both scores between 0 and 1."""

    n_bits: int
    rank1: float
    mAP: float


@dataclass(frozen=True)
class Promise:
    """A threshold in bits that was chosen beforehand (-1: no distance is near enough), and its promise: of searches for
    a person who is not in a gallery of `n_gallery` rows, at most the share `fpir` give an answer."""

    threshold: int
    fpir: float
    n_gallery: int


@dataclass(frozen=True)
class ReliabilityCurve:
    """How well probabilities are kept in searches of `n_gallery` rows that hold the person every second time, in as
    many rows as the gallery of the report does."""

    n_gallery: int
    bins: tuple[Reliability, ...]


@dataclass(frozen=True)
class AfrCurve:
    """Two-stage search with one kind of short code of `n_bits` bits: its name ("attribute code", "coarse code"),
    and the metrics for each `w`, ascending."""

    name: str
    n_bits: int
    metrics: tuple[AfrMetrics, ...]

    def __post_init__(self) -> None:
        ws = [each.w for each in self.metrics]
        if not ws or ws != sorted(ws):
            raise DataError(f"expected one or more ascending w for {self.name!r}, got {ws}")


@dataclass(frozen=True)
class PartDistance:
    """The distance of a named part of the picture: `distance` of its `n_bits` bits differ."""

    name: str
    distance: int
    n_bits: int


@dataclass(frozen=True)
class RankedHit:
    """A picture that was found: its file, its distance, whether it is right (None: not known), and the distance of each
    part, from the top of the picture to its bottom; the parts `global` and `summary` are the whole picture."""

    path: Path
    distance: float
    right: bool | None = None
    parts: tuple[PartDistance, ...] = ()


@dataclass(frozen=True)
class RankedQuery:
    """A query: its file, a label that does not name the file, its average precision, and its hits, nearest first."""

    path: Path
    label: str
    average_precision: float
    hits: tuple[RankedHit, ...]


@dataclass(frozen=True)
class AttributeRow:
    """How well an attribute is recognised in the `labelled` pictures whose label is known; `positives` of them have it.

    `accuracy` is the share of right answers; `balanced` is the mean of the shares among pictures with the attribute and
    among pictures without, None if there are no pictures of one kind.
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
    """How the report was made: when, by which command, with which versions of which packages.

    Words of the command that are a `Path` are names of files; a report without pictures leaves them out.
    """

    made: datetime
    command: tuple[str | Path, ...]
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Report:
    """The contents of a report.

    title         of the page
    card          the model's contract
    data          name of the data set
    protocol      one sentence: which gallery pictures count
    evaluation    the scores; those of two-stage search are shown from `afr`
    intervals     by name, one of `INTERVALS`, of the codes' scores
    lengths       several lengths of one code, ascending
    pairs         pairs by distance; `verification` and `identification` are made from them
    promise       the threshold for these pairs, if one was chosen beforehand
    reliability   probabilities that were given for these pairs, and what came, a curve for each size of gallery
    afr           two-stage search, a curve for each kind of short code
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
    reliability: tuple[ReliabilityCurve, ...] = ()
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
