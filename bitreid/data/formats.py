"""Which files are pictures, told by their endings and first bytes; no package is needed to tell."""

import re
from pathlib import Path
from typing import Literal

FORMATS: dict[str, tuple[str, ...]] = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "PNG": (".png", ".apng"),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "WEBP": (".webp",),
    "AVIF": (".avif", ".avifs"),
    "JPEG2000": (".jp2", ".j2k", ".jpc", ".jpf", ".jpx", ".j2c"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
    "PSD": (".psd",),
    "QOI": (".qoi",),
    "SGI": (".sgi", ".rgb", ".rgba", ".bw"),
    "SUN": (".ras",),
}
"""The formats that are read, by Pillow's names, and their endings.

All are decoded by Pillow itself, in this process, and are told by their first bytes. Not among them: EPS (Pillow starts
Ghostscript, and a PostScript file is a program), IPTC (opens what lies in it as any format, EPS too), WMF, BUFR, GRIB
and HDF5 (stubs that call what a program registers), MPEG (no decoder), TGA, PCX and others that their first bytes do
not tell from a damaged picture of another kind, and formats of icons, textures and instruments.
"""

HEIF = "HEIF"
HEIF_SUFFIXES = (".heic", ".heif", ".hif")
"""Endings of pictures of phones, which pillow-heif reads where it is installed."""

PICTURE_SUFFIXES = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)

_UNREAD_SUFFIXES = tuple(
    f".{ending}"
    for endings in (
        ("arw", "cr2", "cr3", "dng", "nef", "orf", "pef", "raf", "rw2", "srw"),
        ("dcx", "dds", "dib", "exr", "fit", "fits", "flc", "fli", "jxl", "jxr", "pcd", "pcx", "tga", "xcf"),
        ("cur", "icns", "ico", "xbm", "xpm"),
        ("emf", "eps", "svg", "wmf"),
    )
    for ending in endings
)
"""Endings of pictures that are not read. Some hold a TIFF with a thumbnail first, so that their content misleads."""

HEAD = 32
"""How many bytes of a file `format_of` needs."""

_STARTS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG2000",
    b"\xff\x4f\xff\x51": "JPEG2000",
    b"8BPS": "PSD",
    b"qoif": "QOI",
    b"\x59\xa6\x6a\x95": "SUN",
    b"%!PS": "PostScript",
    b"\xc5\xd0\xd3\xc6": "PostScript",
    b"%PDF": "PDF",
}
_SHORT_STARTS = {
    "BMP": re.compile(rb"BM.{4}\0{4}", re.DOTALL),
    "WEBP": re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
    "PPM": re.compile(rb"P[1-6f]\s+[#0-9-]"),
    "SGI": re.compile(rb"\x01\xda[\0\x01][\x01\x02]\0"),
    "AVIF": re.compile(rb".{4}ftyp.*avi[fs]", re.DOTALL),
    HEIF: re.compile(rb".{4}ftyp.*(hei[cxms]|hev[cxms]|mif1|msf1)", re.DOTALL),
}

Look = Literal["picture", "unread", "other"]
"""What a file looks like: a picture that can be read; one that cannot; something else."""


def format_of(head: bytes) -> str | None:
    """Return the format of a file that begins with these bytes, also one that is not read; None if they tell nothing.

    >>> format_of(bytes.fromhex("ffd8ffe000104a464946"))
    'JPEG'
    """
    for start, name in _STARTS.items():
        if head.startswith(start):
            return name
    return next((name for name, form in _SHORT_STARTS.items() if form.match(head[:HEAD])), None)


def head_of(path: Path) -> bytes:
    """Return the first bytes of a file; none if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError:
        return b""


def look_of(path: Path, with_heif: bool) -> Look:
    """Return what a file looks like: by its ending where that says it, else by its first bytes.

    `with_heif` says whether HEIC can be read. A file of another ending that holds a picture is "unread": it may be a
    copy or half of a download.
    """
    suffix = path.suffix.lower()
    if suffix in PICTURE_SUFFIXES:
        return "picture"
    if suffix in _UNREAD_SUFFIXES:
        return "unread"
    found = format_of(head_of(path))
    if suffix in HEIF_SUFFIXES:
        return "picture" if found in FORMATS or (found == HEIF and with_heif) else "unread"
    if found is None or found == "PDF":
        return "other"
    is_ending = re.fullmatch(r"\.[a-z]\w*", suffix, re.ASCII) is not None  # frame.0001 has none
    return "picture" if not is_ending and (found in FORMATS or (found == HEIF and with_heif)) else "unread"
