"""Plain JPEGs decoded by simplejpeg: the pixels of Pillow, so the codes, too; and what is left to Pillow."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bitreid.data import decoding, jpeg
from bitreid.data.decoding import BIG_PIXELS, open_picture
from bitreid.data.jpeg import decode_plain
from bitreid.drawn.data_set import DrawnSettings, draw_people
from bitreid.encoding.encoder import Encoder
from tests.data.kinds import KINDS, RGB


def file_of(pixels: Any, mode: str | None = None, **options: Any) -> bytes:
    picture, file = Image.fromarray(pixels), io.BytesIO()
    (picture.convert(mode) if mode else picture).save(file, "JPEG", **options)
    return file.getvalue()


def by_pillow(data: bytes) -> Any:
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB"))


@given(
    st.integers(1, 70),
    st.integers(1, 70),
    st.sampled_from([1, 30, 75, 95, 100]),
    st.sampled_from(["4:4:4", "4:2:2", "4:2:0"]),
    st.booleans(),
    st.integers(0, 99),
)
def test_pixels_are_those_of_pillow(
    height: int, width: int, quality: int, subsampling: str, progressive: bool, seed: int
) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    smooth = np.asarray(Image.fromarray(noise).resize((width, height), box=(0, 0, (width + 3) / 4, (height + 3) / 4)))
    for pixels in (noise, smooth):
        data = file_of(pixels, quality=quality, subsampling=subsampling, progressive=progressive)
        found = decode_plain(data, BIG_PIXELS)
        assert found is not None
        assert np.array_equal(found, by_pillow(data))


def test_no_bit_of_a_code_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof: drawn people in files of several qualities, encoded with and without."""
    draw_people(tmp_path / "people", DrawnSettings(n_train=1, n_test=6, height=160, width=80))
    paths = []
    for i, path in enumerate(sorted((tmp_path / "people" / "query").glob("*.jpg"))):
        with Image.open(path) as picture:
            paths.append(tmp_path / f"{i}.jpg")
            picture.save(paths[-1], quality=(40, 75, 95)[i % 3], subsampling=i % 3)
    used = []

    def counted(data: bytes, most_pixels: int) -> Any:
        found = decode_plain(data, most_pixels)
        used.append(found is not None)
        return found

    monkeypatch.setattr(decoding, "decode_plain", counted)
    encoder = Encoder.open("drawn", threads=1)
    fast = encoder.encode_files(paths)
    assert used == [True] * len(paths)
    monkeypatch.setattr(jpeg, "decoder", lambda: None)
    assert decode_plain(paths[0].read_bytes(), BIG_PIXELS) is None
    slow = encoder.encode_files(paths)
    assert len(slow) >= 10
    differ = np.unpackbits(fast.codes.packed ^ slow.codes.packed).sum()
    assert (differ, np.array_equal(fast.features, slow.features)) == (0, True)


EXIF = Image.Exif()
EXIF[274] = 6
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
PLAIN = file_of(RGB)
NOT_PLAIN: dict[str, bytes] = {
    "turned by EXIF": file_of(RGB, exif=EXIF),
    "turned by XMP": file_of(RGB, xmp=XMP),
    "grey": file_of(RGB, "L"),
    "CMYK": file_of(RGB, "CMYK"),
    "RGB without a transform": file_of(RGB, keep_rgb=True),
    "cut off": PLAIN[:-200],
    "cut off in its header": PLAIN[:100],
    "no picture": b"\xff\xd8\xff\xe0\0\4ab\xff\xda\0\2",
    "empty": b"",
    "something else": b"\x89PNG\r\n\x1a\n",
}


@pytest.mark.parametrize("what", NOT_PLAIN)
def test_what_is_not_plain_is_left_to_pillow(what: str) -> None:
    assert decode_plain(NOT_PLAIN[what], BIG_PIXELS) is None
    assert decode_plain(PLAIN, BIG_PIXELS) is not None


@given(st.integers(2, len(PLAIN) - 1), st.integers(0, 255))
def test_a_damaged_one_is_what_pillow_makes_of_it(at: int, byte: int) -> None:
    data = PLAIN[:at] + bytes([byte]) + PLAIN[at + 1 :]
    found = decode_plain(data, BIG_PIXELS)
    if found is not None:
        assert np.array_equal(found, by_pillow(data))


def test_big_pictures_are_left_to_pillow() -> None:
    n = RGB.shape[0] * RGB.shape[1]
    assert decode_plain(PLAIN, n) is not None
    assert decode_plain(PLAIN, n - 1) is None


def test_every_kind_of_file_opens_as_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [tmp_path / f"{i}{kind.suffix}" for i, kind in enumerate(KINDS)]
    for kind, path in zip(KINDS, paths, strict=True):
        kind.write(path)

    def opened(path: Path) -> tuple[bytes, str | None]:
        rgb, odd = open_picture(path)
        return rgb.tobytes(), odd

    fast = [opened(path) for path in paths]
    monkeypatch.setattr(jpeg, "decoder", lambda: None)
    monkeypatch.setattr(decoding, "decoder", lambda: None)
    assert [opened(path) for path in paths] == fast


def test_odd_pictures_are_told_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "thin.jpg").write_bytes(file_of(RGB[:, :2]))
    assert open_picture(tmp_path / "thin.jpg").odd == "2 x 48 pixels"


@pytest.mark.parametrize("lacking", ["simplejpeg", "libjpeg_turbo"])
def test_without_it_pillow_decodes(lacking: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if lacking == "simplejpeg":
        monkeypatch.setitem(sys.modules, "simplejpeg", None)
    else:
        monkeypatch.setattr("PIL.features.check_feature", lambda name: False)
    uncached: Callable[[], object] = jpeg.decoder.__wrapped__
    assert uncached() is None
