"""Files of codes of every format load."""

from pathlib import Path

import numpy as np
import pytest

from bitreid.data.times import NO_TIME
from bitreid.encoding.files import load_encoded
from tests.formats.cases import FORMATS


@pytest.mark.parametrize("file", ["codes-1.npz", "codes-2.npz", "codes-2.parquet"])
def test_what_every_format_has(file: str) -> None:
    encoded = load_encoded(FORMATS / file)
    assert encoded.paths == (Path("a/0001_c1.jpg"), Path("b/0002_c2.jpg"), Path("ü.png"))
    assert encoded.codes.n_bits == 16
    assert encoded.codes.packed.tolist() == [[0, 255], [1, 128], [16, 3]]
    assert encoded.attribute_codes is not None
    assert encoded.attribute_codes.packed.tolist() == [[128], [64], [0]]
    assert encoded.features is not None
    assert encoded.features.dtype == np.float32
    assert encoded.features.ravel() == pytest.approx(np.linspace(-1, 1, 48), abs=1e-6)
    assert encoded.pids.tolist() == [1, 2, -1]
    assert encoded.camids.tolist() == [1, 2, 3]
    assert encoded.tracklets is not None
    assert encoded.tracklets.tolist() == [5, 6, 7]
    assert encoded.model == "5d3dbb7141ec93a9"


@pytest.mark.parametrize("file", ["codes-2.npz", "codes-2.parquet"])
def test_times_came_with_format_2(file: str) -> None:
    assert load_encoded(FORMATS / "codes-1.npz").times is None
    times = load_encoded(FORMATS / file).times
    assert times is not None
    assert times.tolist() == [1_700_000_000_000_000, NO_TIME, 0]
