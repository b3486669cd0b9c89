"""Reports: one self-contained HTML page that says how good a model is, and shows why."""

from bitreid.evaluation.report.data import (
    AfrCurve,
    AttributeRow,
    BitUse,
    Length,
    PartDistance,
    Promise,
    RankedHit,
    RankedQuery,
    Record,
    ReliabilityCurve,
    Report,
)
from bitreid.evaluation.report.page import render_report, write_report

__all__ = [
    "AfrCurve",
    "AttributeRow",
    "BitUse",
    "Length",
    "PartDistance",
    "Promise",
    "RankedHit",
    "RankedQuery",
    "Record",
    "ReliabilityCurve",
    "Report",
    "render_report",
    "write_report",
]
