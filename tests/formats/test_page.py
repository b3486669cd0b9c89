"""docs/formats.md names the formats that there are, and each released one has a file here."""

import re

from bitreid.artifact import FORMAT_VERSION as ARTIFACT
from bitreid.data.shards import FORMAT_VERSION as SHARDS
from bitreid.encoding.files import FORMAT_VERSION as CODES
from bitreid.evaluation.calibration.files import FORMAT_VERSION as CALIBRATION
from bitreid.evaluation.score_files import FORMAT_VERSION as SCORES
from bitreid.gallery.link import FORMAT_VERSION as PAIRS
from bitreid.gallery.milvus.notes import FORMAT_VERSION as MILVUS
from bitreid.gallery.sqlite.schema import format_version as gallery_format
from bitreid.gallery.table.segment import FORMAT as SEGMENT
from bitreid.gallery.transfer import FORMAT_VERSION as EXPORT
from bitreid.service.keys import FORMAT_VERSION as KEYS
from bitreid.training.checkpoint import FORMAT as CHECKPOINT
from tests.formats.cases import FORMATS
from tests.pages import text_of

NEWEST = {
    "a model": ARTIFACT,
    "codes,": CODES,
    "a folder of shards": SHARDS,
    "a gallery's file": gallery_format(),
    "segments": SEGMENT,
    "a gallery on Milvus": MILVUS,
    "a gallery's items": EXPORT,
    "a calibration": CALIBRATION,
    "scores": SCORES,
    "pairs": PAIRS,
    "keys": KEYS,
    "a run that was stopped": CHECKPOINT,
}
KEPT = {
    "artifact-{}": ARTIFACT,
    "calibration-{}.json": CALIBRATION,
    "codes-{}.npz": CODES,
    "gallery-{}.gallery": gallery_format(),
    "gallery-{}.parquet": EXPORT,
    "keys-{}.json": KEYS,
    "run-{}": CHECKPOINT,
    "scores-{}.json": SCORES,
}


def test_the_page_names_each_format() -> None:
    rows = re.findall(r"^\| ([^|]+) \| ([0-9, ]+) \|", text_of("docs/formats.md"), flags=re.MULTILINE)
    assert len(rows) == len(NEWEST)
    for (name, formats), (start, newest) in zip(rows, NEWEST.items(), strict=True):
        assert name.startswith(start)
        assert [int(each) for each in formats.split(", ")] == list(range(1, newest + 1)), name


def test_a_file_of_each_is_kept() -> None:
    kept = [name.format(version) for name, newest in KEPT.items() for version in range(1, newest + 1)]
    assert [name for name in kept if not (FORMATS / name).exists()] == []
