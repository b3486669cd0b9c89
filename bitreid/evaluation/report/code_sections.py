"""Sections on single queries, attributes and bits. None where there is nothing to show."""

import numpy as np

from bitreid.evaluation.report.charts import Chart, Mark, Section, Series, Table, outline, round_axis
from bitreid.evaluation.report.data import BitUse, Report
from bitreid.evaluation.report.words import NO_BREAK, number, of_hundred, percent, share

_BALANCE_BINS = 20
_BALANCED = (0.4, 0.6)


def queries(report: Report) -> Section | None:
    """Return the section of the worst and the best queries, as ranked sheets."""
    groups = tuple((heading, rows) for heading, rows in (("Worst", report.worst), ("Best", report.best)) if rows)
    if not groups:
        return None
    features = report.evaluation is not None and report.evaluation.codes is None
    text = [
        "Queries with the lowest and the highest average precision, each with its nearest gallery pictures, nearest "
        "first. A tick and a solid frame say right, a cross and a dashed frame wrong; the number is the "
        f"{'cosine distance' if features else 'distance in bits'}."
    ]
    if any(hit.parts for _, rows in groups for row in rows for hit in row.hits):
        text.append(
            "The bars beside a picture are the distances of the parts of the body, each at its part\u2019s height, and "
            "the bar below that of the picture as a whole. A full bar means that half of the part\u2019s bits differ, "
            "as they do by chance."
        )
    return Section("queries", "Queries", tuple(text), queries=groups)


def attributes(report: Report) -> Section | None:
    """Return the section on how well each attribute is recognised, the best first."""
    if not report.attributes:
        return None
    told = sorted(report.attributes, key=lambda row: (-(row.balanced or 0), row.name))
    balanced = [row.balanced for row in told if row.balanced is not None]
    text = (
        "Attributes as the model tells them, against the labels. Balanced accuracy is the mean of the accuracies among "
        "pictures with the attribute and among those without: whoever guesses, or always says no, has "
        f"50{NO_BREAK}%, however rare the attribute."
    )
    if balanced:
        text += f" Its mean over the attributes is {percent(sum(balanced) / len(balanced))}."
    table = Table(
        "Accuracy of attributes",
        ("attribute", "balanced, %", "accuracy, %", "pictures with it", "of"),
        tuple(
            (
                row.name,
                "\u2013" if row.balanced is None else share(row.balanced),
                share(row.accuracy),
                f"{row.positives:,}",
                f"{row.labelled:,}",
            )
            for row in told
        ),
        bars=tuple(None if row.balanced is None else max(2 * row.balanced - 1, 0.0) for row in told),
        bars_header=f"balanced, 50 to 100{NO_BREAK}%",
    )
    return Section("attributes", "Attributes", (text,), tables=(table,))


def bits(report: Report) -> Section | None:
    """Return the section on how well codes use their bits."""
    if not report.bits:
        return None
    header = (
        "code",
        "bits",
        "pictures",
        "different codes",
        "pairs with one code",
        "entropy, bits",
        "constant bits",
        "mean correlation",
    )
    table = Table("How bits are used", header, tuple(_bit_row(use) for use in report.bits))
    most = float(np.log2(max(use.n_codes for use in report.bits)))
    text = (
        "A bit tells most if it is a one in half of the pictures, and if it does not repeat what others say. The mean "
        "correlation is that of the absolute values over all pairs of bits; 0 is ideal. The entropy is that of whole "
        f"codes; these pictures cannot show more than {most:.1f} bits of it."
    )
    charts = tuple(_balance_chart(f"balance-{i}", use) for i, use in enumerate(report.bits, 1))
    return Section("bits", "Bits", (text,), charts, (table,))


def _bit_row(use: BitUse) -> tuple[str, ...]:
    balance = use.statistics.balance
    return (
        use.name,
        f"{len(balance):,}",
        f"{use.n_codes:,}",
        f"{use.statistics.distinct:,}",
        percent(use.statistics.collisions),
        f"{use.statistics.entropy:.1f}",
        f"{int(((balance == 0) | (balance == 1)).sum()):,}",
        f"{use.statistics.mean_correlation:.3f}",
    )


def _balance_chart(id: str, use: BitUse) -> Chart:
    balance = use.statistics.balance
    counts, edges = np.histogram(balance, _BALANCE_BINS, (0.0, 1.0))
    inside = float(((balance >= _BALANCED[0]) & (balance <= _BALANCED[1])).mean())
    return Chart(
        id,
        f"{use.name.capitalize()}: {of_hundred(inside, 'bits')} are ones in 40 to 60 % of the pictures".replace(
            " %", f"{NO_BREAK}%"
        ),
        "A histogram of bits by the share of pictures in which they are ones.",
        round_axis("pictures in which the bit is a one, %", 0, 100),
        round_axis("bits", 0, 1.1 * max(int(counts.max()), 1)),
        (Series((), outline(100 * edges, counts.astype(np.float64)), 1, "area"),),
        Table(
            "Bits by balance",
            ("ones, % of the pictures", "bits"),
            tuple(
                (f"{number(100 * round(low, 2))} to {number(100 * round(high, 2))}", f"{count:,}")
                for low, high, count in zip(edges, edges[1:], counts, strict=False)
            ),
        ),
        (Mark(50, "half of the pictures"),),
    )
