"""Settings of an evaluation, as a command or a caller writes them: `100,1%` for numbers and shares of rows."""

from dataclasses import dataclass

from bitreid.errors import SettingsError
from bitreid.evaluation.protocol import PROTOCOLS, ProtocolSettings
from bitreid.evaluation.ranking import check_settings
from bitreid.evaluation.summary import rows_of_share
from bitreid.hamming.threads import default_threads

USUAL_W = "1%,2%,5%,10%,20%"
"""Short lists of two-stage search that are scored where nothing else is said."""
USUAL_RESCORED = "100"
"""Rows that are rescored where nothing else is said."""


@dataclass(frozen=True)
class EvaluationSettings:
    """How a subject is scored.

    `SettingsError` for what is impossible with any subject, so that it is found before a data set is encoded.
    """

    protocol: str = "market1501"
    """A name in `PROTOCOLS`."""

    w: str | None = None
    """Short lists of two-stage search, such as `100,1%`; None for the usual ones where there are short codes."""

    rerank: str | None = None
    """Rows to re-rank, such as `100` or `1%`; None not to."""

    rescore: str | None = None
    """Rows to rescore by the queries' features, such as `100` or `1%`; None for the usual number where there are codes
    that are the signs of features."""

    fpir: str = "1%"
    """False alarms per search of somebody who is not there, for the report's threshold."""

    memory_mb: float = 512
    """Bound for comparisons."""

    n_threads: int | None = None
    """None for `default_threads`."""

    recall: str | None = None
    """Wanted shares of the matches instead of `w`, such as `0.9,95%`: the coarse code's table says what to keep."""

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise SettingsError(f"expected a protocol among {', '.join(PROTOCOLS)}, got {self.protocol!r}")
        if self.w:
            parse_list(self.w, 1)
        if self.recall is not None:
            if self.w:
                raise SettingsError("expected w or recall for two-stage search, got both; leave one out")
            for each in self.recall.split(","):
                parse_share(each)
        if self.rerank:
            parse_rows(self.rerank, 1)
        if self.rescore:
            parse_rows(self.rescore, 1)
        if (self.w or self.recall or self.rerank or self.rescore) and self.rules.single_shots:
            raise SettingsError(
                "expected a protocol of the whole gallery for short lists (w, recall, rerank, rescore), got single "
                "shots; choose another protocol or leave them out"
            )
        parse_share(self.fpir)
        check_settings(1, self.memory_mb)
        if self.n_threads is None:
            default_threads()
        elif self.n_threads < 1:
            raise SettingsError(f"expected at least one thread, got {self.n_threads}; leave it out for one a processor")

    @property
    def rules(self) -> ProtocolSettings:
        """The protocol's own settings."""
        return PROTOCOLS[self.protocol]


def parse_list(text: str, n_gallery: int) -> list[int]:
    """Return the rows that several numbers or shares of the gallery mean (`100,1%`)."""
    return [parse_rows(each, n_gallery) for each in text.split(",")]


def parse_rows(text: str, n_gallery: int) -> int:
    """Return the rows that a number (`100`) or a share of the gallery (`1%`) means."""
    share = text.endswith("%")
    try:
        value = float(text[:-1]) / 100 if share else int(text)
    except ValueError:
        value = 0
    if not 0 < value <= (1 if share else float("inf")):
        raise SettingsError(
            f"expected a number of rows such as 100, or a share of the gallery such as 1%, above 0, got {text!r}"
        )
    return rows_of_share(value, n_gallery) if share else int(value)


def parse_share(text: str) -> float:
    """Return the share that `1%` or `0.01` means, between 0 and 1."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = 0
    if not 0 < value < 1:
        raise SettingsError(f"expected a share such as 1% or 0.01, between 0 and 1, got {text!r}")
    return value
