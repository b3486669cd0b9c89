"""Ranked queries as the page shows them: pictures inside the page, and bars for the parts of the body."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from bitreid.data.pictures import load_picture
from bitreid.errors import DataError
from bitreid.evaluation.report.charts import Table
from bitreid.evaluation.report.data import PartDistance, RankedHit, RankedQuery
from bitreid.evaluation.report.words import distance, share
from bitreid.text import printable

WHOLE = ("global", "summary")
"""Names of the parts that are about all of the picture; the first of them that a code has stands for the whole."""
_CHANCE = 0.5  # of the bits differ between codes that have nothing to do with each other
_HEIGHT, _WIDTH = 192, 96  # in pixels: about twice what the page shows, for fine screens
_QUALITY = 82
_VERDICTS = {True: "right", False: "wrong", None: "unknown"}


@dataclass(frozen=True)
class Bar:
    """A horizontal bar in a box of 100 x 100: its top, height and length; `words` say what it measures."""

    top: float
    height: float
    length: float
    words: str


@dataclass(frozen=True)
class Picture:
    """A picture on the page: its data (empty: it is not shown), and words for readers who do not see it."""

    data: str
    words: str


@dataclass(frozen=True)
class ShownHit:
    """A hit on the page: bars of the parts of the body from the top down, and one for the whole."""

    picture: Picture
    distance: str
    verdict: str
    bars: tuple[Bar, ...]
    whole: Bar | None


@dataclass(frozen=True)
class Sheet:
    """A ranked query on the page, with the numbers behind the bars."""

    title: str
    query: Picture
    hits: tuple[ShownHit, ...]
    table: Table


def sheet_of(query: RankedQuery, pictures: bool) -> Sheet:
    """Return the query as the page shows it; without `pictures`, neither pictures nor names of files are in it.

    `DataError` if a picture cannot be read.
    """
    title = f"{query.label}: average precision {share(query.average_precision)}\u00a0%"
    hits = []
    for rank, hit in enumerate(query.hits, 1):
        words = f"hit {rank}, {_VERDICTS[hit.right]}, distance {distance(hit.distance)}"
        bars, whole = bars_of(hit.parts)
        picture = _picture(hit.path, words, pictures)
        hits.append(ShownHit(picture, distance(hit.distance), _VERDICTS[hit.right], bars, whole))
    return Sheet(title, _picture(query.path, "query", pictures), tuple(hits), _table(query.label, query.hits))


def _picture(path: Path, words: str, pictures: bool) -> Picture:
    return Picture(picture_data(path), f"{words}: {printable(path.name)}") if pictures else Picture("", words)


def picture_data(path: Path) -> str:
    """Return the picture as a small JPEG in a `data:` address, stretched to one size, as networks see it."""
    pixels = load_picture(path, _HEIGHT, _WIDTH)
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def bars_of(parts: tuple[PartDistance, ...]) -> tuple[tuple[Bar, ...], Bar | None]:
    """Return a bar for each part of the body, at the part's height in the picture, and one for the whole picture.

    Parts are equally high; None where the whole is no part. A bar is full where half of the bits differ, or more.
    """
    stripes = [part for part in parts if part.name not in WHOLE]
    whole = sorted((part for part in parts if part.name in WHOLE), key=lambda part: WHOLE.index(part.name))
    height = 100 / max(len(stripes), 1)
    bars = tuple(_bar(part, i * height, height) for i, part in enumerate(stripes))
    return bars, _bar(whole[0], 0, 100) if whole else None


def _bar(part: PartDistance, top: float, height: float) -> Bar:
    if part.n_bits < 1:
        raise DataError(f"expected part {part.name!r} to have bits, got {part.n_bits}")
    length = min(part.distance / part.n_bits / _CHANCE, 1.0)
    return Bar(top, height, 100 * length, f"{part.name}: {part.distance:,} of {part.n_bits:,} bits")


def _table(label: str, hits: tuple[RankedHit, ...]) -> Table:
    names = {part.name: part.n_bits for hit in hits for part in hit.parts}
    body = []
    for rank, hit in enumerate(hits, 1):
        found = {part.name: f"{part.distance:,}" for part in hit.parts}
        cells = (str(rank), _VERDICTS[hit.right], distance(hit.distance))
        body.append(cells + tuple(found.get(name, "") for name in names))
    header = ("rank", "verdict", "distance", *(f"{name} (of {n_bits:,})" for name, n_bits in names.items()))
    return Table(f"Distances in bits, {label}", header, tuple(body))
