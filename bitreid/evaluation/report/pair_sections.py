"""Sections on pairs and their distances: histograms, thresholds, "nobody". None where there is nothing to show."""

from collections.abc import Sequence

import numpy as np

from bitreid.arrays import Floats
from bitreid.evaluation.open_set_metrics import Identification, PairCounts, Verification
from bitreid.evaluation.report.charts import (
    Axis,
    Chart,
    Mark,
    Point,
    Section,
    Series,
    Table,
    histogram,
    outline,
    percent_axis,
    rate_axis,
    round_axis,
)
from bitreid.evaluation.report.data import Promise, ReliabilityCurve, Report
from bitreid.evaluation.report.words import NO_BREAK, number, of_hundred, percent, share

RARE = 0.005
"""A bin with fewer rows than this share of the searches is in the table of reliability, not in the chart."""


def distances(report: Report) -> Section | None:
    """Return the section on how far apart pictures of one person and of two are."""
    pairs = report.pairs
    if pairs is None or not (pairs.genuine.any() or pairs.impostor.any()):
        return None
    bars = histogram(pairs.genuine, pairs.impostor, pairs.unit)
    kinds = (("same person", bars.genuine, 1), ("different people", bars.impostor, 2))
    y = round_axis("pairs of a kind, %", 0, 112 * max(float(shares.max()) for _, shares, _ in kinds))
    unit = _unit(pairs)
    marks = _threshold_marks(report.promise, unit)
    xs = [float(bars.edges[0]), float(bars.edges[-1]), *(mark.x for mark in marks)]
    chart = Chart(
        "histograms",
        _threshold_finding(pairs, report.promise),
        "Two histograms of distances: of pairs of one person, and of pairs of different people.",
        round_axis(f"distance, {unit}", min(xs), max(xs)),
        Axis(y.label, y.low / 100, y.high / 100, tuple((value / 100, text) for value, text in y.ticks)),
        tuple(
            Series((name,), outline(bars.edges, shares), tone, "area") for name, shares, tone in kinds if shares.any()
        ),
        Table(
            "Pairs by distance, %",
            (f"distance, {unit}", "same person", "different people"),
            tuple(
                (f"{number(low)} to {number(high)}", share(same, 3), share(other, 3))
                for low, high, same, other in zip(bars.edges, bars.edges[1:], bars.genuine, bars.impostor, strict=False)
            ),
        ),
        marks,
    )
    overlap = float(np.minimum(bars.genuine, bars.impostor).sum())
    text = (
        f"The distances of all {number(float(pairs.genuine.sum()))} pairs of a query and a gallery picture of the same "
        f"person, and of all {number(float(pairs.impostor.sum()))} of different people. Each kind adds up to "
        f"100{NO_BREAK}%; the two shapes share {percent(overlap)} of their areas."
    )
    if report.verification is not None:
        text += f" Their means are {report.verification.d_prime:.2f} standard deviations apart (d\u2032)."
    return Section("distances", "Distances", (text,), (chart,))


def _unit(pairs: PairCounts) -> str:
    return "bits" if pairs.unit == 1 else "cosine"


def _threshold_finding(pairs: PairCounts, promise: Promise | None) -> str:
    if promise is None or promise.threshold < 0 or not pairs.genuine.any() or not pairs.impostor.any():
        return "How far apart pictures of one person and of different people are"
    same, other = (
        float(counts[: promise.threshold + 1].sum() / counts.sum()) for counts in (pairs.genuine, pairs.impostor)
    )
    return (
        f"Within the threshold lie {of_hundred(same, 'pairs')} of one person, and {percent(other)} of the pairs of "
        "different people"
    )


def _threshold_marks(promise: Promise | None, unit: str) -> tuple[Mark, ...]:
    if promise is None or promise.threshold < 0:
        return ()
    # Distances are whole: what lies within the threshold is left of the middle between it and the next.
    return (Mark(promise.threshold + 0.5, f"threshold: {promise.threshold:,} {unit}"),)


def searches(report: Report) -> Section | None:
    """Return the section on what thresholds find and let through, in single pairs and in searches for absent people."""
    charts = []
    text = []
    if report.identification is not None:
        charts.append(_identification_chart(report.identification, report.promise))
        text.append(_nobody_words(report.identification))
        if report.promise is not None:
            text.append(_promise_words(report.identification, report.promise))
    if report.verification is not None:
        charts.append(_verification_chart(report.verification))
    if report.reliability:
        charts.append(reliability_chart(report.reliability))
    return Section("nobody", "\u201cNobody\u201d", tuple(text), tuple(charts)) if charts else None


def _nobody_words(found: Identification) -> str:
    return (
        f"Is the nearest picture near enough? Each of {found.n_absent:,} queries was searched twice among "
        f"{found.n_gallery:,} rows, once with the person in the gallery ({found.n_present:,} have a match) and once "
        "with all pictures of the person taken out. A threshold on the distance says \u201cnobody\u201d beyond it: a "
        "strict one misses people who are there, a loose one names people who are not."
    )


def _promise_words(found: Identification, promise: Promise) -> str:
    asked = (
        f"for a gallery of {promise.n_gallery:,} rows, at most {percent(promise.fpir)} of searches for somebody "
        "who is not there give an answer"
    )
    if promise.threshold < 0:
        return f"Promised: {asked}. No threshold keeps that, so the answer is always \u201cnobody\u201d."
    level = min(promise.threshold, len(found.fpir_curve) - 1)
    fpir, hits = float(found.fpir_curve[level]), float(found.dir_curve[level])
    verdict = "The promise is kept" if fpir <= promise.fpir else "The promise is not kept"
    return (
        f"Promised for the threshold of {promise.threshold:,} bits, which was chosen without these people: {asked}. "
        f"Measured here, among {found.n_gallery:,} rows: {percent(fpir)}. {verdict}; {percent(hits)} of the people "
        "who are there are found first and within the threshold."
    )


def _identification_chart(found: Identification, promise: Promise | None) -> Chart:
    marks = () if promise is None else (Mark(promise.fpir, f"promised: {percent(promise.fpir)}"),)
    return Chart(
        "dir",
        f"With {percent(found.fpir[0])} false alarms, a search finds {of_hundred(found.dir[0], 'people')} who are there"
        if found.fpir
        else "People found, against false alarms",
        "The share of people in the gallery who are found first and within a threshold, against the share of searches "
        "for somebody who is not there that give an answer, for all thresholds.",
        rate_axis("false alarms: searches for the absent, %", _first_rate(found.fpir_curve, found.fpir)),
        percent_axis("people found, %", [float(found.dir_curve[0]), float(found.dir_curve[-1])]),
        (
            Series(
                ("found first", f"{percent(float(found.dir_curve[-1]))} at most"),
                _curve(found.fpir_curve, found.dir_curve),
            ),
        ),
        Table(
            f"Searches of {found.n_gallery:,} rows",
            ("false alarms (FPIR), %", "people found (DIR), %", "threshold"),
            tuple(
                (number(100 * rate), share(hits), _threshold(threshold))
                for rate, hits, threshold in zip(found.fpir, found.dir, found.thresholds, strict=True)
            ),
        ),
        marks,
    )


def _verification_chart(found: Verification) -> Chart:
    return Chart(
        "roc",
        f"Of single pairs, {of_hundred(found.tpr[0], 'pairs')} of one person are told where {percent(found.rates[0])} "
        "of strangers pass"
        if found.rates
        else "Pairs of one person told, against strangers who pass",
        "The receiver operating characteristic: the share of pairs of one person within a threshold, against the share "
        "of pairs of different people within it, for all thresholds.",
        rate_axis("pairs of different people that pass, %", _first_rate(found.fpr_curve, found.rates)),
        percent_axis("pairs of one person that pass, %", [float(found.tpr_curve[0]), 1.0]),
        (Series((), _curve(found.fpr_curve, found.tpr_curve)),),
        Table(
            "Single pairs",
            ("different people that pass (FPR), %", "one person (TPR), %", "threshold"),
            tuple(
                (number(100 * rate), share(hits), _threshold(threshold))
                for rate, hits, threshold in zip(found.rates, found.tpr, found.thresholds, strict=True)
            ),
        ),
    )


def reliability_chart(curves: Sequence[ReliabilityCurve]) -> Chart:
    """Return the chart of how often a row shows the person of the query, against the probability that was given."""
    kept = [(curve, [each for each in curve.bins if each.share >= RARE / curve.n_gallery]) for curve in curves]
    worst = max((abs(each.predicted - each.observed) for _, bins in kept for each in bins), default=0.0)
    return Chart(
        "reliability",
        f"Probabilities are right to {percent(worst)}, where they are frequent enough to tell",
        "The share of rows that show the query\u2019s person, against the probability that was given to them; on the "
        "diagonal, both are the same. The person is in the gallery every second time, in as many rows as in this one.",
        percent_axis("probability given, %", [0.0, 1.0]),
        percent_axis("rows that show the person, %", [0.0, 1.0]),
        (
            Series((), ((0.0, 0.0), (1.0, 1.0)), 4),
            *(
                Series(
                    (f"{curve.n_gallery:,} row{'s' if curve.n_gallery > 1 else ''}",),
                    tuple((each.predicted, each.observed) for each in bins),
                    tone,
                    "marked",
                )
                for tone, (curve, bins) in enumerate(kept[:3], 1)
            ),
        ),
        Table(
            "Probability that a row shows the query\u2019s person, %",
            ("rows searched", "given", "rows given it", "mean given", "observed"),
            tuple(
                (
                    f"{curve.n_gallery:,}",
                    f"{number(100 * each.low)} to {number(100 * each.high)}",
                    share(each.share, 5),
                    share(each.predicted),
                    share(each.observed),
                )
                for curve in curves
                for each in curve.bins
            ),
        ),
    )


def _threshold(value: float) -> str:
    return "none" if value < 0 else number(value)


def _first_rate(curve: Floats, asked: tuple[float, ...]) -> float:
    """Return the rate that an axis has to begin at: the lowest that was measured or asked for, but not 0."""
    return min([float(rate) for rate in (*curve, *asked) if rate > 0], default=0.01)


def _curve(rates: Floats, found: Floats) -> tuple[Point, ...]:
    return tuple((float(x), float(y)) for x, y in zip(rates, found, strict=True))
