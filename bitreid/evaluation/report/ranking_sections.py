"""Sections on rankings: ranks, lengths of the code, short lists. None where there is nothing to show."""

from collections.abc import Callable

from bitreid.evaluation.afr import AfrMetrics, bytes_read
from bitreid.evaluation.ranking import RankingMetrics
from bitreid.evaluation.report.charts import Chart, Point, Section, Series, Table, log_axis, percent_axis
from bitreid.evaluation.report.data import AfrCurve, Length, Report
from bitreid.evaluation.report.words import number, of_hundred, percent, points, rows, share
from bitreid.evaluation.scores import Scores
from bitreid.evaluation.summary import Evaluation

_RANKS = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)
_FLOAT_BITS = 32
_SMALL = 0.0005  # differences below this print as 0.0 points


def ranks(report: Report) -> Section | None:
    """Return the section on how soon the first match comes: the CMC."""
    evaluation = report.evaluation
    if evaluation is None:
        return None
    name = "float" if evaluation.codes is None else f"{evaluation.n_bits:,} bits"
    curves = {name: evaluation.main.expected}
    if evaluation.beside is not None:
        curves["float"] = evaluation.beside.expected
    cmc = evaluation.main.expected.cmc
    title = f"A right picture comes first in {of_hundred(float(cmc[0]), 'searches')}"
    if len(cmc) >= 5:
        title += f", and among the first five in {of_hundred(float(cmc[4]), 'searches').removesuffix(' searches')}"
    chart = Chart(
        "cmc",
        title,
        "The share of queries whose first match is at a rank or before it, against the rank.",
        log_axis("rank of the first match", 1, max(len(cmc), 2), [(rank, str(rank)) for rank in _RANKS]),
        percent_axis(
            "queries with a match by then, %", [float(value) for scores in curves.values() for value in scores.cmc]
        ),
        (
            *_tie_band(evaluation.main),
            *(
                Series((name, f"rank-1 {percent(scores.rank1)}"), _cmc_points(scores), tone)
                for tone, (name, scores) in enumerate(curves.items(), 1)
            ),
        ),
        Table(
            "Queries whose first match is at the rank or before, %",
            ("rank", *curves),
            tuple(
                (str(rank), *(share(scores.cmc[rank - 1]) for scores in curves.values()))
                for rank in _RANKS
                if rank <= len(cmc)
            ),
        ),
    )
    return Section("ranks", "Ranks", (_tie_words(evaluation.main),), (chart,), _reranked(evaluation))


def _reranked(evaluation: Evaluation) -> tuple[Table, ...]:
    """Return the scores after rescoring and re-ranking the nearest rows, of what was done."""
    if not (evaluation.rescored or evaluation.reranked):
        return ()
    ways = {"as searched": evaluation.main, **evaluation.rescored, **evaluation.reranked}
    rows = tuple(
        (name, share(each.rank1), share(each.mAP), share(each.mINP))
        for name, each in ((name, metrics.expected) for name, metrics in ways.items())
    )
    return (Table("After re-ranking the w nearest rows, %", ("way", "rank-1", "mAP", "mINP"), rows),)


def _cmc_points(scores: Scores) -> tuple[Point, ...]:
    return tuple((rank, float(value)) for rank, value in enumerate(scores.cmc, 1))


def _tie_band(codes: RankingMetrics) -> tuple[Series, ...]:
    """Return the area between the worst and the best order of ties; none if it is too small to be seen."""
    if codes.best.rank1 - codes.worst.rank1 < _SMALL:
        return ()
    return (Series((), (*_cmc_points(codes.worst), *reversed(_cmc_points(codes.best))), 1, "band"),)


def _tie_words(codes: RankingMetrics) -> str:
    text = "How far down the list is the first picture of the person? (The cumulative match characteristic, CMC.) "
    if codes.best.rank1 - codes.worst.rank1 < _SMALL:
        return text + "Pictures at equal distance change none of it."
    return (
        text + "Pictures at equal distance have no order: the curve is the mean over all orders, and the tinted band "
        f"reaches from the worst to the best, at rank 1 from {percent(codes.worst.rank1)} to "
        f"{percent(codes.best.rank1)}."
    )


def lengths(report: Report) -> Section | None:
    """Return the section on scores against the length of the code, beside those of the float feature."""
    codes, floats = _lengths_of(report)
    everything = codes + floats
    if len(everything) < 2:
        return None
    shortest, longest = everything[0], everything[-1]
    change = shortest.mAP - longest.mAP
    chart = Chart(
        "bits-and-bytes",
        f"{number(shortest.n_bits / 8)} bytes instead of {number(longest.n_bits / 8)} "
        + (f"{'cost' if change < 0 else 'gain'} {points(change)} of mAP" if abs(change) >= _SMALL else "cost no mAP"),
        "Rank-1 and mean average precision against the length of a code, on a logarithmic scale.",
        log_axis(
            "length: bits, and bytes below",
            shortest.n_bits / 1.2,
            longest.n_bits * 1.2,
            [(each.n_bits, f"{each.n_bits:,}\n{number(each.n_bits / 8)} B") for each in everything],
        ),
        percent_axis("rank-1 and mAP, %", [value for each in everything for value in (each.rank1, each.mAP)]),
        (
            *_length_series("rank-1", lambda each: each.rank1, 1, codes, floats),
            *_length_series("mAP", lambda each: each.mAP, 2, codes, floats),
        ),
        Table(
            "Scores by length, %",
            ("bits", "bytes", "rank-1", "mAP"),
            tuple(
                (
                    f"{each.n_bits:,}{'' if each in codes else ' (float)'}",
                    number(each.n_bits / 8),
                    share(each.rank1),
                    share(each.mAP),
                )
                for each in everything
            ),
        ),
    )
    text = "Bytes are what a picture costs in the gallery, and what a search has to read of it."
    if len(codes) > 1:
        nested = report.card is None or bool(report.card.lengths)
        which = "the first bits" if nested else "the same share of every part\u2019s bits"
        text += f" A shorter code is {which} of the longest one."
    return Section("lengths", "Length of the code", (text,), (chart,))


def _lengths_of(report: Report) -> tuple[list[Length], list[Length]]:
    """Return the lengths of codes, and the float feature as a length (none without)."""
    evaluation = report.evaluation
    if evaluation is None or evaluation.codes is None:
        return list(report.lengths), []
    scores = evaluation.codes.expected
    codes = list(report.lengths) or [Length(evaluation.n_bits, scores.rank1, scores.mAP)]
    if evaluation.floats is None:
        return codes, []
    floats = evaluation.floats.expected
    return codes, [Length(_FLOAT_BITS * evaluation.n_features, floats.rank1, floats.mAP)]


def _length_series(
    name: str, value: Callable[[Length], float], tone: int, codes: list[Length], floats: list[Length]
) -> list[Series]:
    """Return a line through the codes' values, and a single marker for the float feature's."""
    line = tuple((float(each.n_bits), value(each)) for each in codes)
    alone = tuple((float(each.n_bits), value(each)) for each in floats)
    series = [Series((name, f"{percent(line[-1][1])} at {codes[-1].n_bits:,} bits"), line, tone, "marked")]
    return series + [Series((f"{name}, float", percent(y)), ((x, y),), tone + 2, "dots") for x, y in alone]


def short_lists(report: Report) -> Section | None:
    """Return the section on what two-stage search keeps, against the length of the short list."""
    if not report.afr:
        return None
    best = max(report.afr, key=lambda curve: curve.metrics[0].kept)
    first, last = best.metrics[0], best.metrics[-1]
    exact = None if report.evaluation is None else report.evaluation.main.expected.mAP
    cost = 0.0 if exact is None else exact - last.expected.mAP
    if exact is None:
        finding = f"With a short list of {rows(last.w, last.share)}, mAP is {percent(last.expected.mAP)}"
    elif abs(cost) < _SMALL:
        finding = f"A short list of {rows(last.w, last.share)} costs no mAP"
    else:
        finding = f"A short list of {rows(last.w, last.share)} {'costs' if cost > 0 else 'gains'} {points(cost)} of mAP"
    kept = f"A short list of {rows(first.w, first.share)} keeps {of_hundred(first.kept, 'right pictures')}"
    charts = (
        _short_list_chart("kept", kept, "right pictures kept, %", report.afr, lambda each: each.kept, None),
        _short_list_chart("two-stage", finding, "mAP, %", report.afr, lambda each: each.expected.mAP, exact),
    )
    text = (
        "Two-stage search compares short codes with the whole gallery, keeps the nearest rows, and ranks only those by "
        "the long code. It is as quick as the short list is short; a right picture that the first stage drops is never "
        "found."
    )
    return Section("short-lists", "Two-stage search", (text,), charts, _bytes_tables(report))


def _bytes_tables(report: Report) -> tuple[Table, ...]:
    """Return a table a length of short codes: what a search reads in one stage and in two; none without scores."""
    evaluation = report.evaluation
    if evaluation is None:
        return ()
    n_gallery, n_bits = evaluation.n_gallery, evaluation.n_bits
    whole = n_gallery * n_bits // 8
    found = []
    for short in sorted({curve.n_bits for curve in report.afr}):
        ws = sorted({each.w for curve in report.afr for each in curve.metrics if curve.n_bits == short})
        read = [bytes_read(short, n_bits, w, n_gallery) for w in ws]
        found.append(
            Table(
                f"Bytes read a search, with short codes of {number(short / 8)} bytes and long ones of "
                f"{number(n_bits / 8)}",
                ("rows (w)", "two stages", "whole gallery", "times fewer"),
                tuple((f"{w:,}", f"{n:,}", f"{whole:,}", f"{whole / n:.1f}") for w, n in zip(ws, read, strict=True)),
            )
        )
    return tuple(found)


def _short_list_chart(
    id: str,
    title: str,
    label: str,
    curves: tuple[AfrCurve, ...],
    value: Callable[[AfrMetrics], float],
    exact: float | None,
) -> Chart:
    shares = {each.w: each.share for curve in curves for each in curve.metrics}
    ws = sorted(shares)
    values = {(curve.name, each.w): value(each) for curve in curves for each in curve.metrics}
    series = []
    for i, curve in enumerate(curves):
        line = tuple((each.share, value(each)) for each in curve.metrics)
        note = f"{percent(line[-1][1])} at {percent(line[-1][0])}"
        series.append(Series((curve.name, note), line, 1 + i % 3, "marked"))
    if exact is not None:
        level = tuple((shares[w], exact) for w in (ws[0], ws[-1]))
        series.append(Series(("whole gallery", percent(exact)), level, 4))
    return Chart(
        id,
        title,
        f"{label} against the share of the gallery that the first stage keeps, on a logarithmic scale.",
        log_axis(
            "short list: rows, and share of the gallery",
            shares[ws[0]],
            shares[ws[-1]],
            [(shares[w], f"{w:,}\n{percent(shares[w])}") for w in ws],
        ),
        percent_axis(label, [*values.values(), *([] if exact is None else [exact])]),
        tuple(series),
        Table(
            label,
            ("rows (w)", "share, %", *(curve.name for curve in curves)),
            tuple(
                (
                    f"{w:,}",
                    share(shares[w]),
                    *(share(values[curve.name, w]) if (curve.name, w) in values else "" for curve in curves),
                )
                for w in ws
            ),
        ),
    )
