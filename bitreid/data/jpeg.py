"""Decoding plain JPEGs with simplejpeg, where it is installed: Pillow's pixels, in half of Pillow's time.

Both call libjpeg-turbo with the exact transform and the smooth upsampling, so their pixels are the same. What is not
plain, Pillow decodes: it turns pictures as their EXIF or XMP says, and knows grey, CMYK and damaged ones.
"""

from collections.abc import Callable
from functools import cache

from bitreid.arrays import Pixels

START = b"\xff\xd8"
"""The first bytes of a JPEG."""

_SOF = {0xC0, 0xC1, 0xC2}  # Huffman codes: baseline, extended, progressive
_OTHER_SOF = {*range(0xC3, 0xD0)} - {0xC4, 0xC8, 0xCC}  # lossless, hierarchical or arithmetic; those are no frames
_SOS, _APP1, _APP2, _APP14 = 0xDA, 0xE1, 0xE2, 0xEE
_COMPONENTS = b"\x01\x02\x03"  # Y, Cb and Cr
_COMPONENTS_AT, _COMPONENT = 6, 3  # in a frame's header, and the bytes of each


def decode_plain(data: bytes, most_pixels: int) -> Pixels | None:
    """Return the pixels `(h, w, 3)`, RGB, of a plain JPEG; None for any other, and where simplejpeg is not installed.

    Plain: whole and sound, of three colours of 8 bits, at most `most_pixels`, and without EXIF, XMP, Adobe's marker and
    further pictures.
    """
    decode = decoder()
    if decode is None or not _is_plain(data, most_pixels):
        return None
    try:
        return decode(data)
    except ValueError:  # also where libjpeg merely warns: Pillow knows what to make of it
        return None


@cache
def decoder() -> Callable[[bytes], Pixels] | None:
    """Return what decodes plain JPEGs; None without simplejpeg, and where Pillow has another library than it."""
    try:
        import simplejpeg  # type: ignore[import-untyped]
        from PIL import features
    except ImportError:
        return None
    if not features.check_feature("libjpeg_turbo"):
        return None

    def decode(data: bytes) -> Pixels:
        pixels: Pixels = simplejpeg.decode_jpeg(data, "RGB", fastdct=False, fastupsample=False, strict=True)
        return pixels

    return decode


def _is_plain(data: bytes, most_pixels: int) -> bool:
    """Whether a JPEG's markers up to its first scan say that it is plain."""
    at, found = len(START), False
    while data[:2] == START and at + 4 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        segment = data[at + 4 : at + 2 + length]
        if marker == _SOS:
            return found
        if marker in (_APP1, _APP14) or marker in _OTHER_SOF or (marker == _APP2 and segment[:4] == b"MPF\0"):
            return False
        if marker in _SOF:
            height, width = int.from_bytes(segment[1:3], "big"), int.from_bytes(segment[3:5], "big")
            components = segment[_COMPONENTS_AT::_COMPONENT]
            found = segment[:1] == b"\x08" and components == _COMPONENTS and 0 < height * width <= most_pixels
            if not found:
                return False
        at += 2 + length
    return False
