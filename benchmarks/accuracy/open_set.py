"""How far a model keeps its promise to say "nobody", on the test people of CUHK03-NP.

    python benchmarks/accuracy/open_set.py --data CUHK03_NP [--artifact ARTIFACT] [--plot FILE.svg] [--quick]
        [--json FILE] [--markdown]

Thresholds and probabilities are the artifact's (`bitreid calibrate`), fitted on training identities that were held out;
the test people only show what becomes of them. `--plot` draws how well probabilities are kept. `--quick` takes every
tenth query and gallery picture, and judges no bar. Each full run is a look at the test set: add its dated line to
docs/results.md.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from bitreid.commands.console import as_markdown, progress_of, show
from bitreid.data.parsers import parse
from bitreid.encoding.files import encode_manifest
from bitreid.evaluation.calibration.fit import levels_of_queries
from bitreid.evaluation.calibration.promises import PromiseKept, Reliability, promises_kept, reliability
from bitreid.evaluation.open_set_metrics import Identification, Verification, count_pairs, identify, verify
from bitreid.evaluation.protocol import Protocol
from bitreid.evaluation.report import ReliabilityCurve
from bitreid.evaluation.report.charts import Chart
from bitreid.evaluation.report.layout import WIDE, lay_out
from bitreid.evaluation.report.pair_sections import reliability_chart
from bitreid.training.load import load_encoder

SIZES = (100, 300, 1000, 3000)
LEAST, MOST = 0.5, 1.0
"""Observed over promised false alarms, at least and at most, among `JUDGED` rows and all."""
JUDGED = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--artifact", type=Path, default=Path("models/cuhk03-lite2"))
    parser.add_argument("--plot", type=Path, metavar="FILE.svg")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    arguments = parser.parse_args()
    console = Console()
    encoder = load_encoder(arguments.artifact)
    if encoder.card.calibration is None:
        parser.error(f"expected a calibrated model, {encoder.card.name} is not; run bitreid calibrate first")
    open_set = encoder.card.calibration.open_set
    manifest = parse(arguments.data)
    query, gallery = manifest.split("query"), manifest.split("gallery")
    if arguments.quick:
        query, gallery = query.take(np.arange(0, len(query), 10)), gallery.take(np.arange(0, len(gallery), 10))
    with progress_of(console, "encoding") as progress:
        queries, rows = (encode_manifest(encoder, split, progress).codes for split in (query, gallery))
    protocol = Protocol(query.pids, query.camids, gallery.pids, gallery.camids)
    pairs = count_pairs(queries, rows, protocol)
    verification, identification = verify(pairs), identify(pairs)
    sizes = [*(n for n in SIZES if n < len(gallery)), len(gallery)]
    promises = promises_kept(*levels_of_queries(queries, rows, protocol), open_set, sizes)
    probabilities = {
        n: reliability(pairs.genuine, pairs.impostor, open_set, n, rows=pairs.rows) for n in (1, 100, 1000)
    }
    tables = [
        rates_table(verification, identification),
        promises_table(promises),
        *(reliability_table(lines, n) for n, lines in probabilities.items()),
    ]
    for table in tables:
        show(console, as_markdown(table) if arguments.markdown else table)
    if arguments.plot:
        curves = [ReliabilityCurve(n, tuple(lines)) for n, lines in probabilities.items()]
        arguments.plot.write_text(svg_of(reliability_chart(curves)), encoding="utf-8")
    bars = {} if arguments.quick else bars_of(promises)
    for name, bar in bars.items():
        console.print(f"{name}: {bar['value']:.3f}, {LEAST:g} to {MOST:g}: {'met' if bar['met'] else 'NOT met'}")
    if arguments.json:
        record = {
            "calibration": asdict(encoder.card.calibration),
            "verification": {"tpr": dict(zip(verification.rates, verification.tpr, strict=True))}
            | {"d_prime": verification.d_prime},
            "identification": {"n_gallery": identification.n_gallery}
            | {"dir": dict(zip(identification.fpir, identification.dir, strict=True))},
            "promises": [asdict(each) for each in promises],
            "reliability": {n: [asdict(line) for line in lines] for n, lines in probabilities.items()},
            "bars": bars,
        }
        arguments.json.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def rates_table(verification: Verification, identification: Identification) -> Table:
    """Return a table of what any threshold can reach: the best for these people, known from their own distances."""
    table = Table("figure", "%", "threshold (bits)", title="thresholds fitted to the test people themselves")
    for rate, tpr, bits in zip(verification.rates, verification.tpr, verification.thresholds, strict=True):
        table.add_row(f"TPR at FPR {rate:g}", f"{100 * tpr:.1f}", f"{bits:.0f}")
    found = zip(identification.fpir, identification.dir, identification.thresholds, strict=True)
    for rate, share, bits in found:
        name = f"DIR at FPIR {rate:.0%}, gallery of {identification.n_gallery}"
        table.add_row(name, f"{100 * share:.1f}", f"{bits:.0f}")
    table.add_row("d'", f"{verification.d_prime:.2f}", "")
    return table


def promises_table(promises: Sequence[PromiseKept]) -> Table:
    """Return a table of what the artifact's thresholds come to."""
    columns = ("gallery", "FPIR promised", "threshold (bits)", "FPIR observed", "observed / promised", "DIR")
    table = Table(*columns, title="the artifact's thresholds on the test people, rates in %")
    for each in promises:
        rates = (f"{100 * each.fpir:.2f}", f"{each.fpir / each.promised:.2f}", f"{100 * each.dir:.1f}")
        table.add_row(str(each.n_gallery), f"{100 * each.promised:g}", str(each.threshold), *rates)
    return table


def reliability_table(lines: Sequence[Reliability], n_gallery: int) -> Table:
    """Return a table of probabilities that were given, and what came."""
    among = "one picture" if n_gallery == 1 else f"{n_gallery} rows"
    title = f"probability of a row, the person being among {among} every second time; in %"
    table = Table("given", "rows", "mean given", "observed", title=title)
    for line in lines:
        values = (f"{100 * value:.3g}" for value in (line.share, line.predicted, line.observed))
        table.add_row(f"{100 * line.low:g} to {100 * line.high:g}", *values)
    return table


def bars_of(promises: Sequence[PromiseKept]) -> dict[str, dict[str, Any]]:
    """Return the ratio of observed to promised false alarms, by what was promised, among `JUDGED` rows and all."""
    bars = {}
    for each in promises:
        if each.n_gallery in (JUDGED, promises[-1].n_gallery):
            ratio = each.fpir / each.promised
            name = f"observed / promised FPIR of {each.promised:.0%} among {each.n_gallery:,} rows"
            bars[name] = {"value": ratio, "bar": [LEAST, MOST], "met": LEAST <= ratio <= MOST}
    return bars


def svg_of(chart: Chart) -> str:
    """Return a chart as an SVG file, with the colours of the report's light pages."""
    plot = lay_out(chart, WIDE)
    shapes = [f'<path class="{shape.style}" d="{shape.path}"/>' for shape in plot.shapes]
    grid = [f'<path class="grid" d="M{plot.left:.1f} {y:.1f}H{plot.right:.1f}"/>' for y in plot.grid]
    words = [
        f'<text class="{each.style}" text-anchor="{each.anchor}" x="{each.x:.1f}" y="{each.y + 16 * i:.1f}">'
        f"{escape(line)}</text>"
        for each in plot.words
        for i, line in enumerate(each.lines)
    ]
    tones = dict(enumerate(("#0a5c9c", "#a8440a", "#2b6e4a", "#74479b"), 1))
    style = [f".line.s{i}{{stroke:{tone}}}.marker.s{i},.label.s{i}{{fill:{tone}}}" for i, tone in tones.items()]
    size = f'width="{plot.canvas.width}" height="{plot.canvas.height}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="13">',
            f"<title>{escape(chart.title)}</title><desc>{escape(chart.description)}</desc>",
            f"<style>.grid{{stroke:#ccc}}.line{{fill:none;stroke-width:2}}{''.join(style)}</style>",
            '<rect width="100%" height="100%" fill="white"/>',
            *grid,
            *shapes,
            *words,
            "</svg>\n",
        ]
    )


if __name__ == "__main__":
    main()
