"""Opening pictures: every kind of file, limits, and that no file is run."""

import ast
import os
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

import bitreid
from bitreid.data import decoding
from bitreid.data.decoding import BACKGROUND, open_picture
from bitreid.data.formats import FORMATS
from bitreid.errors import PictureError
from tests.data.kinds import GREY, KINDS, POSTSCRIPT, REFUSED, RGB, Kind, Refused, png, saved, table


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.words)
def test_every_kind_is_what_a_viewer_shows(kind: Kind, tmp_path: Path) -> None:
    path = tmp_path / f"picture{kind.suffix}"
    kind.write(path)
    rgb, odd = open_picture(path)
    assert (rgb.mode, odd) == ("RGB", None)
    pixels = np.asarray(rgb).astype(int)
    assert pixels.shape == kind.pixels.shape
    assert np.abs(pixels - kind.pixels).max() <= kind.tolerance
    assert np.array_equal(np.asarray(open_picture(path.read_bytes()).rgb), pixels), "in memory it is the same picture"


@pytest.mark.parametrize("kind", REFUSED, ids=lambda kind: kind.words)
def test_what_is_refused_says_why(kind: Refused, tmp_path: Path) -> None:
    path = tmp_path / f"picture{kind.suffix}"
    kind.write(path)
    with pytest.raises(PictureError, match=re.escape(kind.reason)) as caught:
        open_picture(path)
    assert caught.value.path == path
    assert str(caught.value).startswith(f"expected a readable picture at {path}, got: ")
    assert "\n" not in str(caught.value)
    with pytest.raises(PictureError, match=re.escape(kind.reason)) as caught:
        open_picture(path.read_bytes(), Path("picture 7"))
    assert str(caught.value.path) == "picture 7"


def test_the_documentation_has_the_table() -> None:
    document = Path(bitreid.__file__).parent.parent / "docs" / "pictures.md"
    assert table() in document.read_text(encoding="utf-8")


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"gone\.jpg, got: no such file or directory"):
        open_picture(tmp_path / "gone.jpg")


# Nothing runs


def test_no_file_starts_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that holds PostScript makes Pillow start Ghostscript, which runs it."""
    marker = tmp_path / "started"
    gs = tmp_path / "bin" / "gs"
    gs.parent.mkdir()
    gs.write_text(f"#!/bin/sh\ntouch '{marker}'\n", encoding="utf-8")
    gs.chmod(0o755)
    monkeypatch.setenv("PATH", f"{gs.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    # IPTC opens what lies in it, whatever that is.
    iptc = b"\x1c\x03\x3c\x00\x02\x01\x00" + b"\x1c\x03\x14\x00\x01\x0a" + b"\x1c\x03\x1e\x00\x01\x0a"
    iptc += b"\x1c\x03\x78\x00\x01\x01" + b"\x1c\x08\x0a" + len(POSTSCRIPT).to_bytes(2, "big") + POSTSCRIPT
    for name, data in (("x.jpg", POSTSCRIPT), ("x.eps", POSTSCRIPT), ("x.png", iptc), ("x.iim", iptc)):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(PictureError):
            open_picture(path)
        assert not marker.exists(), name
    with Image.open(tmp_path / "x.jpg") as picture, pytest.raises(OSError, match=r".*"):
        picture.load()
    assert marker.exists(), "else this test could not fail"


def test_only_one_function_opens_pictures() -> None:
    opening = {
        path.name
        for path in Path(bitreid.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("Image.open", "cv2.imread", "cv2.imdecode")
    }
    assert opening == {"decoding.py"}


def test_every_format_of_pillow_is_read_or_left_out_on_purpose() -> None:
    """A format that a new Pillow brings is to be looked at first: it may start a program or fetch something."""
    Image.init()
    left_out = {
        "starts a program": {"EPS"},
        "opens what lies in it": {"IPTC"},
        "a stub that calls what was registered": {"BUFR", "GRIB", "HDF5", "WMF"},
        "no decoder": {"MPEG"},
        "hardly told by its first bytes": {"DIB", "IMT", "PCX", "SPIDER", "TGA", "XBM", "IM", "PCD", "FITS", "XVTHUMB"},
        "icons, textures, instruments, animations": {
            *("BLP", "CUR", "DCX", "DDS", "FLI", "FTEX", "GBR", "ICNS", "ICO", "MCIDAS", "MSP", "PIXAR", "XPM")
        },
    }
    assert set(Image.OPEN) - {"HEIF"} == set(FORMATS).union(*left_out.values())


# Limits and oddities


def test_big_pictures_are_decoded_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(RGB, "PNG")(tmp_path / "a.png")
    with decoding._ONE_BIG:
        open_picture(tmp_path / "a.png")  # a small one does not wait
    monkeypatch.setattr(decoding, "BIG_PIXELS", RGB.shape[0] * RGB.shape[1] - 1)
    waited = []

    class Lock:
        def __enter__(self) -> None:
            waited.append(True)

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(decoding, "_ONE_BIG", Lock())
    open_picture(tmp_path / "a.png")
    assert waited == [True]


@pytest.mark.parametrize(
    ("pixels", "fits"), [(RGB.shape[0] * RGB.shape[1], True), (RGB.shape[0] * RGB.shape[1] - 1, False)]
)
def test_the_limit_of_pixels(pixels: int, fits: bool, tmp_path: Path) -> None:
    for kind in ("PNG", "JPEG"):
        path = tmp_path / f"a.{kind.lower()}"
        saved(RGB, kind)(path)
        if fits:
            open_picture(path, max_pixels=pixels)
        else:
            with pytest.raises(PictureError, match=f"32 x 48 pixels, of {pixels:,} at most; make it smaller"):
                open_picture(path, max_pixels=pixels)


def test_what_pillow_calls_a_bomb_is_too_large(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(b"\0\1\0\0\0\1\0\0\1\0\0\0\0", b""))
    with pytest.raises(PictureError, match="more than 67,108,864 pixels; make it smaller"):
        open_picture(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("height", "width", "odd"),
    [
        (1, 1, "1 x 1 pixels"),
        (3, 8, "8 x 3 pixels"),
        (4, 4, None),
        (40, 4, None),
        (41, 4, "4 x 41 pixels"),
        (4, 41, "41 x 4 pixels"),
    ],
)
def test_sizes_that_hardly_show_a_person_are_odd(height: int, width: int, odd: str | None, tmp_path: Path) -> None:
    Image.new("RGB", (width, height)).save(tmp_path / "a.png")
    assert open_picture(tmp_path / "a.png").odd == odd


def test_16_bits_that_are_all_but_black_are_odd(tmp_path: Path) -> None:
    """A thermal camera's counts, or 12 bits in 16."""
    for top, odd in ((4095, "16 bits, but no value above 4095"), (4096, None)):
        Image.fromarray(np.full((8, 8), top, np.uint16)).save(tmp_path / "a.png")
        assert open_picture(tmp_path / "a.png").odd == odd


def test_half_transparent_pixels_mix_with_the_background(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (255, 0, 0, 51)).save(tmp_path / "a.png")
    expected = [round(0.2 * colour + 0.8 * below) for colour, below in zip((255, 0, 0), BACKGROUND, strict=True)]
    assert np.abs(np.asarray(open_picture(tmp_path / "a.png").rgb)[0, 0] - np.array(expected)).max() <= 1


def test_damaged_exif_turns_nothing(tmp_path: Path) -> None:
    for exif in (b"Exif\0\0MM\0*\0\0", b"Exif\0\0" + bytes(40), b"Exif\0\0II*\0\x08\0\0\0\xff\xff"):
        Image.fromarray(RGB).save(tmp_path / "a.png", exif=exif)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            assert np.array_equal(np.asarray(open_picture(tmp_path / "a.png").rgb), RGB)


def test_an_orientation_that_there_is_not_turns_nothing(tmp_path: Path) -> None:
    for orientation in (0, 9, 65535):
        exif = Image.Exif()
        exif[274] = orientation
        Image.fromarray(RGB).save(tmp_path / "a.png", exif=exif)
        assert np.array_equal(np.asarray(open_picture(tmp_path / "a.png").rgb), RGB)


def test_heic_without_its_package_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heic = next(kind for kind in KINDS if kind.suffix == ".heic")
    heic.write(tmp_path / "a.heic")
    monkeypatch.setattr(decoding, "reads_heif", lambda: False)
    with pytest.raises(PictureError, match=r"HEIC, which needs pillow-heif; install bitreid\[heic\]"):
        open_picture(tmp_path / "a.heic")


def test_16_bits_have_the_codes_of_their_8_bit_twin(tmp_path: Path) -> None:
    """Every grey value, not only those of one picture."""
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(values).save(tmp_path / "eight.png")
    Image.fromarray(values.astype(np.uint16) * 257).save(tmp_path / "sixteen.png")
    eight, sixteen = (np.asarray(open_picture(tmp_path / f"{name}.png").rgb) for name in ("eight", "sixteen"))
    assert np.array_equal(eight, sixteen)
    assert GREY.max() == 255, "the kinds reach white"
