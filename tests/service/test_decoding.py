"""Pictures of strangers: decoded as elsewhere, by processes that may run out of time and memory, or die."""

import io
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bitreid.data.decoding import open_picture
from bitreid.data.pictures import read_pictures
from bitreid.encoding.boxes import clipped, cut_out
from bitreid.errors import PictureError, Unsupported
from bitreid.service import worker
from bitreid.service.decoding import Decoders
from bitreid.service.problems import Problem

SIZE = 64, 32


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    made = Decoders(1, max_pixels=2**22, cpu_s=2, wall_s=30)
    made.start()
    yield made
    made.close()


def noise(width: int = 90, height: int = 170) -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8))


def file_of(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def process_of(decoders: Decoders) -> int:
    process = decoders._idle.get()
    assert process is not None
    decoders._idle.put(process)
    return process._process.pid


def test_a_picture_is_what_the_other_doors_make_of_it(decoders: Decoders) -> None:
    turned = Image.Exif()
    turned[274] = 6
    for content in (file_of(noise()), file_of(noise(), "JPEG", exif=turned), file_of(noise().convert("1"))):
        whole = np.asarray(open_picture(content).rgb)
        found = decoders.decode(content, *SIZE)
        assert np.array_equal(found.pixels, read_pictures([content], *SIZE)[0][0])
        assert found.size == (whole.shape[1], whole.shape[0])
        assert (found.odd, found.thumbnail) == (None, None)
        box = [3.4, -2, 60, 500]
        inside, _ = clipped(np.array([[3.4, -2, 63.4, 498]]), *whole.shape[:2])
        cut = decoders.decode(content, *SIZE, box)
        assert np.array_equal(cut.pixels, cut_out(whole, inside, *SIZE)[0])
    assert decoders.decode(file_of(noise(3, 3)), *SIZE).odd == "3 x 3 pixels"
    with pytest.raises(Problem, match=r"within the picture of 90 x 170 pixels, got \[90, 0, 5, 5\]") as caught:
        decoders.decode(file_of(noise()), *SIZE, [90, 0, 5, 5])
    assert (caught.value.status, caught.value.where) == (400, "box")


def test_a_thumbnail_is_small_and_says_nothing_but_its_pixels(decoders: Decoders) -> None:
    exif = Image.Exif()
    exif[0x010F] = "secret camera"
    content = file_of(noise(900, 600), "JPEG", exif=exif, comment=b"secret place", icc_profile=b"secret profile")
    assert content.count(b"secret") == 3
    thumbnail = decoders.decode(content, *SIZE, [0, 0, 450, 600], thumbnail=True).thumbnail
    assert thumbnail is not None
    assert b"secret" not in thumbnail
    with Image.open(io.BytesIO(thumbnail)) as opened:
        assert (opened.format, opened.size) == ("JPEG", (192, 256))
        assert not opened.getexif()
        assert not {"exif", "icc_profile", "comment"} & set(opened.info)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes a million pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * ((3 * width + 1) * height), 9) if width * height < 2**24 else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "an empty file"),
        (b"not a picture", "none of"),
        (b"%PDF-1.7", "none of"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><image href='http://169.254.169.254/'/></svg>", "none of"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file", "none of"),
        (file_of(noise())[:-2000], "truncated|broken|damaged"),
        (file_of(noise(), "JPEG")[:3000], "truncated"),
        (file_of(noise())[:20], "Truncated"),
        (bomb(50_000, 50_000), "more than|at most"),
        (bomb(2**21 + 1, 2), "4,194,306|2,097,153 x 2 pixels"),
    ],
)
def test_what_is_no_picture_is_told_and_ends_no_process(decoders: Decoders, content: bytes, words: str) -> None:
    process = process_of(decoders)
    with pytest.raises(PictureError, match=words) as caught:
        decoders.decode(content, *SIZE, name="picture 3")
    assert str(caught.value).startswith("expected a readable picture at picture 3, got: ")
    assert process_of(decoders) == process


def test_bytes_at_random_are_pictures_or_told(decoders: Decoders) -> None:
    random = np.random.default_rng(0)
    whole = [np.frombuffer(file_of(noise(30, 30), kind), np.uint8) for kind in ("PNG", "JPEG", "GIF", "TIFF", "WEBP")]
    for i in range(60):
        changed = whole[i % len(whole)].copy()
        changed[random.integers(0, len(changed), 8)] = random.integers(0, 256, 8)
        with suppress(PictureError):
            assert decoders.decode(changed.tobytes(), *SIZE).pixels.shape == (*SIZE, 3)


def test_a_process_that_dies_is_replaced(decoders: Decoders) -> None:
    before = process_of(decoders)
    os.kill(before, signal.SIGSTOP)  # so that it dies over the picture
    threading.Timer(0.1, os.kill, (before, signal.SIGKILL)).start()
    with pytest.raises(PictureError, match="picture 7, got: a picture that ends the process"):
        decoders.decode(file_of(noise()), *SIZE, name="picture 7")
    assert decoders.decode(file_of(noise()), *SIZE).pixels.any()
    assert process_of(decoders) != before


def test_a_picture_is_not_blamed_for_a_process_that_died_before(decoders: Decoders) -> None:
    before = process_of(decoders)
    os.kill(before, signal.SIGKILL)
    os.waitid(os.P_PID, before, os.WEXITED | os.WNOWAIT)  # dead, and not known to be
    assert decoders.decode(file_of(noise()), *SIZE).pixels.any()
    assert process_of(decoders) != before


def test_a_process_that_hangs_is_ended(decoders: Decoders, monkeypatch: pytest.MonkeyPatch) -> None:
    before = process_of(decoders)
    os.kill(before, signal.SIGSTOP)
    monkeypatch.setattr(decoders, "wall_s", 0.3)
    start = time.monotonic()
    with pytest.raises(PictureError, match="too much work"):
        decoders.decode(b"x" * 2**20, *SIZE)
    assert time.monotonic() - start < 5
    monkeypatch.undo()
    assert decoders.decode(file_of(noise()), *SIZE).pixels.any()


ATTACKED = """
from bitreid.service import worker

def attack():
    {body}

honest = worker.answer
worker.answer = lambda asked, content, most: attack() if content == b"attack" else honest(asked, content, most)
worker.main({descriptor}, 2**26, 1, 2**22)
"""


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("while True: pass", -signal.SIGXCPU),
        ("bytes(2**28)", 1),
        ("open({path!r}, 'wb', 0).write(b'x')", 1),
        ("import os; os.abort()", -signal.SIGABRT),
    ],
    ids=["time", "memory", "files", "death"],
)
def test_the_system_ends_a_process_that_wants_more(tmp_path: Path, body: str, status: int) -> None:
    """Code of an attacker, which a fault in a reader of pictures could let into the process."""
    path = tmp_path / "written"
    ours, theirs = socket.socketpair()
    with ours:
        code = ATTACKED.format(body=body.format(path=str(path)), descriptor=theirs.fileno())
        process = subprocess.Popen([sys.executable, "-c", code], pass_fds=[theirs.fileno()], stderr=subprocess.DEVNULL)
        theirs.close()
        ours.settimeout(60)
        assert worker.receive(ours, 0)[0] == {"kind": "ready"}
        worker.send(ours, {"box": None}, b"attack")
        assert process.wait(30) == status
    assert not path.exists() or not path.read_bytes()


def test_threads_wait_their_turn(decoders: Decoders) -> None:
    content, found = file_of(noise()), []
    threads = [threading.Thread(target=lambda: found.append(decoders.decode(content, *SIZE))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all(np.array_equal(each.pixels, found[0].pixels) for each in found)


def test_a_process_knows_no_secret_and_ends_with_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SERVICE", "1")
    made = Decoders(1)
    made.start()
    process = process_of(made)
    assert b"SECRET_OF_THE_SERVICE" not in Path(f"/proc/{process}/environ").read_bytes()
    made.close()
    assert not Path(f"/proc/{process}").exists()


def test_a_process_that_cannot_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    made = Decoders(1)
    with pytest.raises(Unsupported, match="to start"):
        made.start()
    made.close()
