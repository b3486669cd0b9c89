"""Make docs/ranked.jpg, the picture on the first page: drawn people, and whom the model that comes with bitreid finds.

    python docs/making/ranked.py

The people are those of `bitreid demo`, the rows some of its queries. It takes half a minute.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bitreid import Encoder
from bitreid.data.manifest import Manifest
from bitreid.data.parsers import parse
from bitreid.drawn.data_set import DrawnSettings, draw_people
from bitreid.encoding.files import encode_manifest, side_of
from bitreid.evaluation.sheets import sheet_of_queries

OUT = Path(__file__).parents[1] / "ranked.jpg"
SETTINGS = DrawnSettings(n_train=2, n_test=50, n_distractors=100, n_junk=0)
# One with look-alikes, one seen from behind, one at night.
PERSONS = (3, 24, 38)
N_HITS = 7


def main(out: Path = OUT, settings: DrawnSettings = SETTINGS, persons: tuple[int, ...] = PERSONS) -> None:
    """Draw the people, encode them, and write the sheet."""
    encoder = Encoder.open("drawn")
    with TemporaryDirectory() as folder:
        draw_people(Path(folder) / "people", settings)
        manifest = parse(Path(folder) / "people")
        queries = one_of_each(manifest.split("query"), persons)
        query = side_of(encode_manifest(encoder, queries))
        gallery = side_of(encode_manifest(encoder, manifest.split("gallery")))
        title = "Drawn people: queries and their nearest pictures"
        sheet_of_queries(query, gallery, out, title, n_rows=len(queries), k=N_HITS)


def one_of_each(queries: Manifest, persons: tuple[int, ...]) -> Manifest:
    """Return the rows of a query picture of each person: the first's first, the second's second, and so on."""
    rows = [np.flatnonzero(queries.pids == pid)[i] for i, pid in enumerate(persons)]
    return queries.rows(np.isin(np.arange(len(queries)), rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else OUT)
