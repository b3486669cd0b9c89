"""Kinds of picture files, each made here and with what should come out: the table of docs/pictures.md.

`python -m tests.data.kinds` prints the table.
"""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from bitreid.arrays import Pixels
from bitreid.data.decoding import BACKGROUND

HEIGHT, WIDTH = 48, 32
# Blocks of one colour each, so that lossy formats keep them all but exactly; no two of them alike, so that it shows how
# the picture is turned.
COLOURS = np.array(
    [[[200, 30, 40], [20, 180, 60]], [[250, 250, 250], [10, 20, 200]], [[90, 60, 30], [0, 0, 0]]], np.uint8
)
RGB = COLOURS.repeat(16, axis=0).repeat(16, axis=1)
GREY = np.array([[250, 17], [0, 130], [60, 255]], np.uint8).repeat(16, axis=0).repeat(16, axis=1)
BLACK_AND_WHITE = np.array([[255, 0], [0, 0], [0, 255]], np.uint8).repeat(16, axis=0).repeat(16, axis=1)
GREY_RGB = np.stack([GREY] * 3, axis=2)
CLEAR = np.zeros((HEIGHT, WIDTH), np.bool_)
CLEAR[:16, 16:] = True
CUT_OUT = np.where(CLEAR[..., None], np.array(BACKGROUND, np.uint8), RGB)
GREY_CUT_OUT = np.where(CLEAR[..., None], np.array(BACKGROUND, np.uint8), GREY_RGB)


class Kind(NamedTuple):
    """A kind of file: its words and ending, what writes one, the pixels that come out, and how far a lossy format may
    be from them."""

    words: str
    suffix: str
    write: Callable[[Path], None]
    pixels: Pixels
    tolerance: int = 0


class Refused(NamedTuple):
    """A kind of file that is refused: its words and ending, what writes one, and the reason that is given."""

    words: str
    suffix: str
    write: Callable[[Path], None]
    reason: str


def saved(pixels: Any, format: str, mode: str | None = None, **options: Any) -> Callable[[Path], None]:
    """What saves pixels in a format with Pillow's options."""

    def write(path: Path) -> None:
        picture = Image.fromarray(pixels)
        (picture.convert(mode) if mode else picture).save(path, format, **options)

    return write


def turned(format: str, orientation: int, **options: Any) -> Callable[[Path], None]:
    """What saves the picture stored as an orientation of EXIF says: viewers turn it back."""

    def write(path: Path) -> None:
        exif = Image.Exif()
        exif[274] = orientation
        Image.fromarray(stored(RGB, orientation)).save(path, format, exif=exif, **options)

    return write


def stored(pixels: Pixels, orientation: int) -> Pixels:
    """The pixels as a camera stores them that says `orientation`: where row 0 and column 0 are, by EXIF's table."""
    return {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.transpose(1, 0, 2),
        6: pixels.transpose(1, 0, 2)[::-1],
        7: pixels[::-1, ::-1].transpose(1, 0, 2),
        8: pixels.transpose(1, 0, 2)[:, ::-1],
    }[orientation].copy()


def content(data: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(data)

    return write


def animated(format: str, **options: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        others = [Image.fromarray(RGB[::-1].copy()), Image.fromarray(RGB[:, ::-1].copy())]
        Image.fromarray(RGB).save(path, format, save_all=True, append_images=others, **options)

    return write


def of_16_bits(pixels: Pixels, order: str) -> Any:
    """The same in 16 bits: the lower byte of a value differs from its upper one."""
    return (pixels.astype(int) * 256 + 77).astype(f"{order}u2")


def png(header: bytes, rows: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of parts that Pillow does not write."""
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    body = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def png_rgb_16(path: Path) -> None:
    wide = of_16_bits(RGB, ">")
    rows = b"".join(b"\0" + row.tobytes() for row in wide)
    path.write_bytes(png(struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, 2, 0, 0, 0), rows))


def png_grey_16_clear(path: Path) -> None:
    """Sixteen bits of grey, of which one value is transparent."""
    wide = of_16_bits(GREY, ">")
    wide[CLEAR] = 4321
    rows = b"".join(b"\0" + row.tobytes() for row in wide)
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, 0, 0, 0, 0)
    path.write_bytes(png(header, rows, (b"tRNS", struct.pack(">H", 4321))))


def tiff(path: Path, values: Any, n_bits: int, order: str = "<", photometric: int = 1) -> None:
    """An uncompressed TIFF of one strip of grey or RGB samples, as microscopes and thermal cameras write it."""
    data = values.tobytes()
    samples = values.shape[2] if values.ndim == 3 else 1
    entries = [
        (256, 3, 1, WIDTH),
        (257, 3, 1, HEIGHT),
        (258, 3, 1, n_bits),
        (259, 3, 1, 1),
        (262, 3, 1, photometric),
        (273, 4, 1, 8),
        (277, 3, 1, samples),
        (278, 3, 1, HEIGHT),
        (279, 4, 1, len(data)),
    ]
    if samples == 3:
        entries[2] = (258, 3, 3, 8 + len(data))
        data += struct.pack(order + "HHH", *[n_bits] * 3)
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HI", 42, 8 + len(data))
    table = struct.pack(order + "H", len(entries))
    for tag, kind, n, value in entries:
        packed = struct.pack(
            order + ("I" if kind == 4 or n > 1 else "HH"), *([value] if kind == 4 or n > 1 else [value, 0])
        )
        table += struct.pack(order + "HHI", tag, kind, n) + packed
    path.write_bytes(head + data + table + b"\0\0\0\0")


def of_12_bits() -> Any:
    """Grey values of 12 bits, two in three bytes."""
    wide = GREY.astype(np.uint32).ravel() * 4095 // 255
    pairs = (wide[::2] << 12) | wide[1::2]
    return np.stack([pairs >> 16, pairs >> 8 & 255, pairs & 255], axis=1).astype(np.uint8)


def psd(path: Path) -> None:
    header = struct.pack(">4sH6xHIIHH", b"8BPS", 1, 3, HEIGHT, WIDTH, 8, 3)
    path.write_bytes(header + bytes(12) + b"\0\0" + RGB.transpose(2, 0, 1).tobytes())


def sun(path: Path) -> None:
    size = RGB.size
    path.write_bytes(struct.pack(">8I", 0x59A66A95, WIDTH, HEIGHT, 24, size, 1, 0, 0) + RGB[..., ::-1].tobytes())


def cut_out(hidden: int) -> Any:
    """The picture in RGBA with a transparent part, below which lie pixels that no viewer shows."""
    noise = np.random.default_rng(hidden).integers(0, 256, RGB.shape, np.uint8)
    return np.dstack([np.where(CLEAR[..., None], noise, RGB), np.where(CLEAR, 0, 255).astype(np.uint8)])


def palette_clear(path: Path) -> None:
    picture = Image.fromarray(np.where(CLEAR, 7, RGB[..., 0] // 64).astype(np.uint8), "L").convert("L")
    palette = Image.new("P", picture.size)
    palette.putdata(np.asarray(picture).ravel().tolist())
    palette.putpalette([value for i in range(8) for value in (i * 30, 255 - i * 30, 7)])
    palette.save(path, transparency=bytes([255] * 7 + [0]))


def palette_pixels() -> Pixels:
    index = RGB[..., 0] // 64
    shown = np.stack([index * 30, 255 - index * 30, np.full_like(index, 7)], axis=2)
    return np.where(CLEAR[..., None], np.array(BACKGROUND, np.uint8), shown)


def colour_clear(path: Path) -> None:
    """RGB of which one colour is transparent."""
    Image.fromarray(RGB).save(path, transparency=tuple(COLOURS[0, 1].tolist()))


def heic(path: Path) -> None:
    from pillow_heif import from_pillow

    from_pillow(Image.fromarray(RGB)).save(path, quality=95)


def truncated(path: Path) -> None:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(file, "JPEG")
    path.write_bytes(file.getvalue()[:-900])


def too_large(path: Path) -> None:
    """Nine thousand pixels square in ten kilobytes."""
    path.write_bytes(png(struct.pack(">IIBBBBB", 9000, 9000, 1, 0, 0, 0, 0), bytes(1 + 9000 // 8) * 9000))


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"

KINDS = (
    Kind("JPEG", ".jpg", saved(RGB, "JPEG", quality=95, subsampling=0), RGB, 6),
    Kind("JPEG, progressive", ".jfif", saved(RGB, "JPEG", quality=95, subsampling=0, progressive=True), RGB, 6),
    Kind("JPEG, grey", ".jpe", saved(GREY, "JPEG", quality=95), GREY_RGB, 3),
    Kind("JPEG, CMYK", ".jpeg", saved(RGB, "JPEG", "CMYK", quality=95), RGB, 6),
    Kind("JPEG, several in one (MPO)", ".mpo", animated("MPO", quality=95, subsampling=0), RGB, 6),
    Kind("PNG", ".png", saved(RGB, "PNG"), RGB),
    Kind("PNG, palette", ".png", saved(RGB, "PNG", "P"), np.asarray(Image.fromarray(RGB).convert("P").convert("RGB"))),
    Kind("PNG, black and white", ".png", saved(BLACK_AND_WHITE, "PNG", "1"), np.stack([BLACK_AND_WHITE] * 3, axis=2)),
    Kind("PNG, grey", ".png", saved(GREY, "PNG"), GREY_RGB),
    Kind("PNG, grey of 16 bits", ".png", saved(of_16_bits(GREY, "<"), "PNG"), GREY_RGB),
    Kind("PNG, colours of 16 bits", ".png", png_rgb_16, RGB),
    Kind("PNG, transparent", ".png", saved(cut_out(0), "PNG"), CUT_OUT),
    Kind("PNG, transparent, other pixels below", ".png", saved(cut_out(1), "PNG"), CUT_OUT),
    Kind("PNG, grey and transparent", ".png", saved(np.dstack([GREY, cut_out(0)[..., 3]]), "PNG"), GREY_CUT_OUT),
    Kind("PNG, grey of 16 bits, a value transparent", ".png", png_grey_16_clear, GREY_CUT_OUT),
    Kind("PNG, a colour transparent", ".png", colour_clear, CUT_OUT),
    Kind("PNG, palette with transparency", ".png", palette_clear, palette_pixels()),
    Kind("PNG, animated", ".apng", animated("PNG"), RGB),
    Kind("GIF, animated", ".gif", animated("GIF"), RGB),
    Kind("WebP", ".webp", saved(GREY_RGB, "WEBP", quality=95), GREY_RGB, 6),
    Kind("WebP, lossless, transparent", ".webp", saved(cut_out(1), "WEBP", lossless=True, exact=True), CUT_OUT),
    Kind("WebP, animated", ".webp", animated("WEBP", lossless=True), RGB),
    Kind("AVIF", ".avif", saved(RGB, "AVIF", quality=100, subsampling="4:4:4"), RGB, 4),
    Kind("HEIC, with bitreid[heic]", ".heic", heic, RGB, 24),
    Kind("JPEG 2000", ".jp2", saved(RGB, "JPEG2000"), RGB),
    Kind("JPEG 2000, grey of 16 bits", ".j2k", saved(of_16_bits(GREY, "<"), "JPEG2000"), GREY_RGB),
    Kind("BMP", ".bmp", saved(RGB, "BMP"), RGB),
    Kind("TIFF", ".tif", saved(RGB, "TIFF"), RGB),
    Kind("TIFF, compressed (LZW)", ".tiff", saved(RGB, "TIFF", compression="tiff_lzw"), RGB),
    Kind("TIFF, several pages", ".tif", animated("TIFF"), RGB),
    Kind("TIFF, CMYK", ".tif", saved(RGB, "TIFF", "CMYK"), RGB),
    Kind("TIFF, grey of 16 bits", ".tif", lambda path: tiff(path, of_16_bits(GREY, "<"), 16), GREY_RGB),
    Kind(
        "TIFF, grey of 16 bits, big-endian",
        ".tif",
        lambda path: tiff(path, of_16_bits(GREY, ">"), 16, ">"),
        GREY_RGB,
    ),
    Kind(
        "TIFF, grey of 16 bits, 0 white",
        ".tif",
        lambda path: tiff(path, 65535 - of_16_bits(GREY, "<"), 16, "<", 0),
        GREY_RGB,
    ),
    Kind("TIFF, grey of 12 bits", ".tif", lambda path: tiff(path, of_12_bits(), 12), GREY_RGB),
    Kind("TIFF, colours of 16 bits", ".tif", lambda path: tiff(path, of_16_bits(RGB, "<"), 16, "<", 2), RGB),
    Kind("PPM", ".ppm", saved(RGB, "PPM"), RGB),
    Kind("PGM, 16 bits", ".pgm", content(b"P5 32 48 65535\n" + of_16_bits(GREY, ">").tobytes()), GREY_RGB),
    Kind(
        "PGM, 12 bits",
        ".pgm",
        content(b"P5 32 48 4095\n" + (GREY.astype(int) * 4095 // 255).astype(">u2").tobytes()),
        GREY_RGB,
    ),
    Kind("PSD", ".psd", psd, RGB),
    Kind("QOI", ".qoi", saved(RGB, "QOI"), RGB),
    Kind("SGI", ".sgi", saved(RGB, "SGI"), RGB),
    Kind("Sun raster", ".ras", sun, RGB),
    Kind("a JPEG named as another kind", ".jp2", saved(RGB, "JPEG", quality=95, subsampling=0), RGB, 6),
    *(
        Kind(f"JPEG, EXIF orientation {i}", ".jpg", turned("JPEG", i, quality=95, subsampling=0), RGB, 6)
        for i in range(1, 9)
    ),
    *(
        Kind(f"{name}, EXIF orientation {i}", f".{name.lower()}", turned(format, i, **options), RGB)
        for name, format, options in (("PNG", "PNG", {}), ("TIFF", "TIFF", {}), ("WebP", "WEBP", {"lossless": True}))
        for i in (6, 7)
    ),
)

REFUSED = (
    Refused(
        "grey of 32 bits (TIFF)", ".tif", saved(GREY.astype(np.int32), "TIFF"), "grey values of kind I, whose range"
    ),
    Refused(
        "grey of floats (TIFF)", ".tif", saved(GREY.astype(np.float32), "TIFF"), "grey values of kind F, whose range"
    ),
    Refused("more than 67,108,864 pixels", ".png", too_large, "9,000 x 9,000 pixels, of 67,108,864 at most"),
    Refused("PostScript, whatever its ending", ".jpg", content(POSTSCRIPT), "PostScript that is none of JPEG, PNG"),
    Refused("PDF", ".jpg", content(b"%PDF-1.7\n"), "PDF that is none of JPEG, PNG"),
    Refused("TGA", ".tga", saved(RGB, "TGA"), "something that is none of JPEG, PNG"),
    Refused("icons (ICO)", ".ico", saved(RGB, "ICO", sizes=[(32, 32)]), "something that is none of JPEG, PNG"),
    Refused("an empty file", ".jpg", content(b""), "an empty file"),
    Refused("a file that was cut off", ".jpg", truncated, "truncated"),
)


def table() -> str:
    """The kinds as Markdown."""
    lines = ["| kind | ending | what comes out |", "|---|---|---|"]
    for kind in KINDS:
        grey = (kind.pixels == kind.pixels[..., :1]).all()
        what = "its pixels" if kind.tolerance == 0 else f"its pixels, to within {kind.tolerance} of 255"
        clear = (kind.pixels == np.array(BACKGROUND)).all(axis=2).any()
        what += (", upright" if "orientation" in kind.words else "") + (", on the background" if clear else "")
        lines.append(f"| {kind.words} | `{kind.suffix}` | {what}{', grey' if grey else ''} |")
    lines += [f"| {each.words} | `{each.suffix}` | refused, with the reason |" for each in REFUSED]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
