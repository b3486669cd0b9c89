"""Opening one picture: the only place where a file of somebody else becomes pixels."""

from __future__ import annotations

import io
import threading
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, Union

import numpy as np
import numpy.typing as npt

from bitreid.data.formats import FORMATS, HEAD, HEIF, format_of, head_of
from bitreid.data.jpeg import START, decode_plain, decoder
from bitreid.errors import PictureError
from bitreid.text import printable

if TYPE_CHECKING:
    from PIL import Image

Picture: TypeAlias = Union[Path, bytes, "Image.Image", npt.NDArray[np.generic]]
"""A picture: a file, what a file holds, Pillow's image, or an array `(h, w)` grey, `(h, w, 3)` RGB or `(h, w, 4)` RGBA
uint8."""

MAX_PIXELS = 2**26
"""Most pixels of a picture (8,192 x 8,192). Decoding takes 4 to 12 bytes a pixel."""

BIG_PIXELS = 2**24
"""Pictures of more pixels are decoded one at a time, however many threads there are."""

SMALL_SIDE = 4
"""A picture with a side of fewer pixels hardly shows a person."""

LONGEST = 10
"""A picture whose longer side is more than so many times the shorter one hardly shows a person."""

DARK = 2**12
"""A grey picture of 16 bits without a value of so much is all but black: it holds other units, or fewer bits."""

BACKGROUND = (128, 128, 128)
"""What transparent pixels lie on: the middle between black and white clothing."""

_ORIENTATION = 274
_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""How to turn a picture that was stored in each orientation of EXIF."""

_BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0
_ONE_BIG = threading.Lock()


class Opened(NamedTuple):
    """A picture, and words on what is odd about it, or None."""

    rgb: Image.Image
    odd: str | None


def open_picture(picture: Picture, name: Path | None = None, max_pixels: int = MAX_PIXELS) -> Opened:
    """Return the first frame of a picture as a viewer shows it, in RGB: turned as its EXIF or XMP orientation says.

    Pixels that are transparent lie on `BACKGROUND`. Of 16 bits a channel the upper 8 count (a TIFF of 12 bits: the
    upper 8 of 12), so that the whole range of the format becomes the range of 8 bits. Only `FORMATS` are read, and
    HEIC where pillow-heif is installed.

    `PictureError` for a file that is missing, damaged, of another format or of more than `max_pixels`, for grey
    values of 32 bits or floats, whose range nobody tells, and for arrays of other shapes. It tells the picture's `name`
    (default: its path).
    """
    from PIL import Image

    called = name or (picture if isinstance(picture, Path) else Path("a picture in memory"))
    try:
        if isinstance(picture, np.ndarray):
            return _in_limits(called, _of_array(called, picture), max_pixels)
        if isinstance(picture, Image.Image):
            return _in_limits(called, picture, max_pixels)
        if not isinstance(picture, bytes | Path):
            raise PictureError(called, f"{type(picture).__name__}, and not a path, bytes, Pillow's image or an array")
        data = picture if isinstance(picture, bytes) else _jpeg_in(picture)
        pixels = None if data is None else decode_plain(data, min(BIG_PIXELS, max_pixels))
        if pixels is not None:
            return Opened(Image.fromarray(pixels), _odd(pixels.shape[1], pixels.shape[0]))
        with Image.open(picture if data is None else io.BytesIO(data), formats=_formats()) as opened:
            return _in_limits(called, opened, max_pixels)
    except PictureError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureError(called, f"more than {max_pixels:,} pixels; make it smaller") from error
    # Pillow's readers raise many kinds of errors for damaged files, SyntaxError and struct.error among them.
    except Exception as error:
        raise PictureError(called, _reason(picture, error)) from error


def _jpeg_in(path: Path) -> bytes | None:
    """Return what a file holds if it may be a plain JPEG; else None."""
    if decoder() is None:
        return None
    with path.open("rb") as file:
        start = file.read(len(START))
        return start + file.read() if start == START else None


def _in_limits(name: Path, picture: Image.Image, max_pixels: int) -> Opened:
    width, height = picture.size
    if width * height > max_pixels:
        raise PictureError(name, f"{width:,} x {height:,} pixels, of {max_pixels:,} at most; make it smaller")
    with _ONE_BIG if width * height > BIG_PIXELS else nullcontext():
        return _shown(name, picture)


def _of_array(name: Path, pixels: npt.NDArray[np.generic]) -> Image.Image:
    from PIL import Image

    channels = pixels.shape[2:]
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or channels not in ((), (3,), (4,)) or not pixels.size:
        raise PictureError(
            name, f"an array of {pixels.shape} {pixels.dtype}, and not (h, w), (h, w, 3) or (h, w, 4) uint8"
        )
    return Image.fromarray(np.ascontiguousarray(pixels))


@cache
def reads_heif() -> bool:
    """Whether HEIC can be read: pillow-heif is installed, and is now among Pillow's readers."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def _formats() -> tuple[str, ...]:
    return (*FORMATS, HEIF) if reads_heif() else tuple(FORMATS)


def _shown(path: Path, picture: Image.Image) -> Opened:
    from PIL import Image

    rgb: Image.Image

    orientation = _orientation(picture)
    picture.load()
    odd = _odd(*picture.size)
    # Netpbm files of more than 8 bits become mode I, of 16 bits; others of this mode may have any range.
    if picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format == "PPM"):
        values = _of_16_bits(picture)
        if values.max() < DARK:
            odd = odd or f"16 bits, but no value above {values.max()}"
        grey = Image.fromarray((values >> 8).astype(np.uint8))
        rgb = Image.merge("RGB", (grey, grey, grey))
        if "transparency" in picture.info:
            clear = Image.fromarray(values == picture.info["transparency"])
            rgb.paste(BACKGROUND, mask=clear)
    elif picture.mode in ("I", "F"):
        raise PictureError(path, f"grey values of kind {picture.mode}, whose range nobody tells; save it with 8 bits")
    elif picture.has_transparency_data:
        rgba = picture if picture.mode == "RGBA" else picture.convert("RGBA")
        rgb = Image.new("RGB", picture.size, BACKGROUND)
        rgb.paste(rgba, mask=rgba)
    else:
        rgb = picture if picture.mode == "RGB" else picture.convert("RGB")  # which copies
    return Opened(rgb.transpose(Image.Transpose[_TURNS[orientation]]) if orientation in _TURNS else rgb, odd)


def _odd(width: int, height: int) -> str | None:
    """Return what is odd about a picture of this size, or None."""
    short, long = sorted((width, height))
    return f"{width} x {height} pixels" if short < SMALL_SIDE or long > LONGEST * short else None


def _orientation(picture: Image.Image) -> int | None:
    """How the picture was stored, 1 to 8; None if it does not say, or its EXIF is damaged. Call it before `load`.

    TIFF is turned by Pillow itself.
    """
    if picture.format == "TIFF":
        return None
    try:
        value = picture.getexif().get(_ORIENTATION)
    except Exception:
        return None
    return value if isinstance(value, int) else None


def _of_16_bits(picture: Image.Image) -> npt.NDArray[np.int32]:
    """The grey values of a picture, 0 to 65535 where its bits are 16, 0 black."""
    values = np.asarray(picture).astype(np.int32)
    tags = getattr(picture, "tag_v2", {})
    n_bits = tags.get(_BITS_PER_SAMPLE, (16,))[0]
    values <<= 16 - n_bits
    return 65535 - values if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else values


def _reason(picture: Picture, error: Exception) -> str:
    """Why a picture cannot be read, in one line."""
    from PIL import UnidentifiedImageError

    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if not isinstance(error, UnidentifiedImageError):
        return printable(str(error) or type(error).__name__)
    head = picture[:HEAD] if isinstance(picture, bytes) else head_of(picture) if isinstance(picture, Path) else b""
    found = format_of(head)
    if not head:
        return "an empty file"
    if found == HEIF:
        return "HEIC, which needs pillow-heif; install bitreid[heic]"
    if found in FORMATS:
        return f"{found} that is damaged at its beginning"
    return f"{found or 'something'} that is none of {', '.join(FORMATS)}"
