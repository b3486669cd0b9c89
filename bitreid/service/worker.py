"""The process that decodes pictures of strangers: it has little memory and time, may write no file, and may die.

It is `python -m bitreid.service.worker DESCRIPTOR MEMORY CPU_S PIXELS`, which `service.decoding` starts, and answers on
a socket until that is closed. Messages are a few fields as JSON and bytes, never pickles: what a picture may have made
of this process must not reach the service.
"""

import io
import json
import math
import os
import resource
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bitreid.data.decoding import open_picture
from bitreid.encoding.boxes import clipped
from bitreid.errors import PictureError

THUMBNAIL = 256
"""Pixels of the longer side of a thumbnail, at most."""
_QUALITY = 85
_LENGTHS = struct.Struct(">IQ")
_MOST_FIELDS = 2**16


def send(channel: socket.socket, fields: dict[str, Any], content: bytes = b"") -> None:
    """Send fields and bytes."""
    text = json.dumps(fields).encode()
    channel.sendall(_LENGTHS.pack(len(text), len(content)) + text)
    channel.sendall(content)


def receive(channel: socket.socket, most: int) -> tuple[dict[str, Any], bytes]:
    """Return the fields and bytes that come; `EOFError` at the end, `ValueError` for more than `most` bytes."""
    n_text, n_content = _LENGTHS.unpack(_exactly(channel, _LENGTHS.size))
    if n_text > _MOST_FIELDS or n_content > most:
        raise ValueError(f"expected at most {most} bytes, got {n_content}")
    fields = json.loads(_exactly(channel, n_text))
    if not isinstance(fields, dict):
        raise ValueError("expected fields")
    return fields, _exactly(channel, n_content)


def _exactly(channel: socket.socket, n: int) -> bytes:
    content = bytearray(n)
    view, at = memoryview(content), 0
    while at < n:
        got = channel.recv_into(view[at:])
        if not got:
            raise EOFError
        at += got
    return bytes(content)


def answer(asked: dict[str, Any], content: bytes, max_pixels: int) -> tuple[dict[str, Any], bytes]:
    """Return a picture as the encoder takes it, `(height, width, 3)`, and a thumbnail, if one is asked for.

    With a box (left, top, width and height in pixels) only that. The fields are `kind`: "done", "bad" with a `reason`,
    or "outside" for a box that encloses no pixel; the `size` (width, height) of the whole picture; what is `odd`
    about it; and `n_thumbnail`, the last bytes of the content that are the thumbnail.
    """
    try:
        rgb, odd = open_picture(content, Path("a picture"), max_pixels)
        fields = {"kind": "done", "size": rgb.size, "odd": odd}
        if asked["box"] is not None:
            left, top, width, height = asked["box"]
            corners = np.array([[left, top, left + width, top + height]], np.float64)
            inside, good = clipped(corners, rgb.height, rgb.width)
            if not good[0]:
                return fields | {"kind": "outside"}, b""
            rgb = rgb.crop(tuple(inside[0].tolist()))
        pixels = np.asarray(rgb.resize((asked["width"], asked["height"]), Image.Resampling.BILINEAR)).tobytes()
        thumbnail = _thumbnail(rgb) if asked["thumbnail"] else b""
    except PictureError as error:
        reason = "more memory than it may take; make it smaller" if _of_memory(error) else error.reason
        return {"kind": "bad", "reason": reason[:1000]}, b""
    except MemoryError:
        return {"kind": "bad", "reason": "more memory than it may take; make it smaller"}, b""
    return fields | {"n_thumbnail": len(thumbnail)}, pixels + thumbnail


def _of_memory(error: PictureError) -> bool:
    return isinstance(error.__cause__, MemoryError)


def _thumbnail(rgb: Image.Image) -> bytes:
    rgb = rgb.copy()
    rgb.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR)
    file = io.BytesIO()
    # An image made of pixels carries no comment, place or name of the camera.
    Image.fromarray(np.asarray(rgb)).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


def _limit(memory: int) -> None:
    """Allow `memory` bytes beside what is used now, and no file to be written, where the system can say that."""
    statm = Path("/proc/self/statm")
    used = int(statm.read_text().split()[0]) * resource.getpagesize() if statm.exists() else 0
    for kind, most in ((resource.RLIMIT_AS, used + memory), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(kind, (most, most))


def _allow_time(cpu_s: int) -> None:
    """Allow so many seconds of work from now on."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = math.ceil(used.ru_utime + used.ru_stime) + cpu_s
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def main(descriptor: int, memory: int, cpu_s: int, max_pixels: int) -> None:
    """Answer until the socket is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who stops the service ends this process by closing the socket
    channel = socket.socket(fileno=descriptor)
    # What Pillow loads when it is first used is loaded before there are limits.
    Image.init()
    warm = io.BytesIO()
    Image.new("RGB", (16, 16)).save(warm, "JPEG")
    answer({"box": None, "height": 8, "width": 8, "thumbnail": True}, warm.getvalue(), max_pixels)
    _limit(memory)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what libraries say about a picture belongs in no log
    send(channel, {"kind": "ready"})
    while True:
        try:
            asked, content = receive(channel, 2**63)
        except EOFError:
            return
        _allow_time(cpu_s)
        send(channel, *answer(asked, content, max_pixels))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
