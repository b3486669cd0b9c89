"""Frames of videos: exactly those that are asked for; nothing is opened but the file that is named."""

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from bitreid.arrays import Pixels
from bitreid.data import video as module
from bitreid.data.video import Frame, frames_in
from bitreid.errors import DataError, VideoEnded
from tests.data.videos import write_video


@pytest.fixture(scope="module")
def frames() -> Pixels:
    return np.random.default_rng(3).integers(0, 256, (7, 48, 64, 3), np.uint8)


def all_of(video: Path, *wanted: int) -> list[Frame]:
    return list(frames_in(video, np.array(wanted, np.int64)))


def test_frames_are_those_of_the_numbers(frames: Pixels, tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mkv", frames, rate=10)
    found = all_of(video, 5, 1, 1)
    assert [frame.number for frame in found] == [1, 5]
    assert [frame.seconds for frame in found] == pytest.approx([0.1, 0.5])
    for frame in found:
        assert np.array_equal(frame.pixels, frames[frame.number])
    assert all_of(video) == []


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [("a.mp4", "libx264", "yuv420p"), ("a.avi", "mpeg4", "yuv420p"), ("a.webm", "libvpx-vp9", "yuv420p")],
)
def test_usual_kinds(name: str, codec: str, pix_fmt: str, frames: Pixels, tmp_path: Path) -> None:
    """Frames that are stored in another order are numbered in the order in which they are shown."""
    flat = np.repeat(np.arange(30, 240, 30, dtype=np.uint8), 48 * 64 * 3).reshape(frames.shape)
    video = write_video(tmp_path / name, flat, codec, pix_fmt)
    found = all_of(video, *range(7))
    assert [frame.number for frame in found] == list(range(7))
    for frame in found:
        assert abs(frame.pixels.mean() - flat[frame.number].mean()) < 6


def test_a_folder_of_frames(frames: Pixels, tmp_path: Path) -> None:
    for i, pixels in enumerate(frames[:3], start=1):
        Image.fromarray(pixels).save(tmp_path / f"{i:06}.png")
    found = all_of(tmp_path, 0, 2)
    assert [(frame.number, frame.seconds) for frame in found] == [(0, None), (2, None)]
    assert np.array_equal(found[1].pixels, frames[2])
    with pytest.raises(VideoEnded, match="got 3; are the boxes its own"):
        all_of(tmp_path, 2, 3)
    (tmp_path / "000002.png").write_bytes(b"no picture")
    with pytest.raises(VideoEnded, match=r"got 1, where it is damaged \(.*000002.png") as end:
        all_of(tmp_path, 0, 1)
    assert end.value.n_frames == 1


@pytest.mark.parametrize(("turned", "quarters"), [(0, 0), (90, 1), (180, 2), (-90, 3)])
def test_frames_are_turned_as_a_viewer_shows_them(turned: int, quarters: int, tmp_path: Path) -> None:
    """As phones say it; degrees are against the clock."""
    light = np.zeros((1, 48, 64, 3), np.uint8)
    light[:, :24, :32] = 255
    video = write_video(tmp_path / "a.mp4", light, "libx264", "yuv420p", turned=turned)
    (frame,) = all_of(video, 0)
    expected = np.rot90(light[0], quarters)
    assert frame.pixels.shape == expected.shape
    assert np.abs(frame.pixels.astype(int) - expected).mean() < 8


def test_a_video_that_ends_too_soon(frames: Pixels, tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mkv", frames)
    seen = []
    with pytest.raises(VideoEnded, match="got 7; are the boxes its own") as end:
        seen += [frame.number for frame in frames_in(video, np.array([6, 9]))]
    assert (end.value.n_frames, end.value.reason) == (7, None)
    whole = video.read_bytes()
    video.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(VideoEnded) as cut:
        all_of(video, 6)
    assert 0 < cut.value.n_frames < 7


def test_what_is_no_video(frames: Pixels, tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", frames, "libx264", "yuv420p")
    for name, content, message in (
        ("cut.mp4", video.read_bytes()[:900], "a video that can be read"),
        ("empty.mp4", b"", "a video that can be read"),
        ("text.mp4", b"hello" * 100, "a video that can be read"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            all_of(path, 0)
    with pytest.raises(DataError, match="got nothing"):
        all_of(tmp_path / "none.mp4", 0)
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="expected pictures, a frame each"):
        all_of(tmp_path / "folder", 0)
    with av.open(str(tmp_path / "sound.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        assert isinstance(stream, av.AudioStream)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    with pytest.raises(DataError, match="a file without pictures"):
        all_of(tmp_path / "sound.mkv", 0)


@pytest.mark.parametrize("kind", ["hls", "concat"])
def test_no_file_makes_another_be_opened(kind: str, frames: Pixels, tmp_path: Path) -> None:
    """Playlists do: FFmpeg would open whatever they name, here a video beside, there an address in your network."""
    secret = write_video(tmp_path / "secret.mkv", frames)
    text = {
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n",
        "concat": f"ffconcat version 1.0\nfile '{secret}'\n",
    }[kind]
    path = tmp_path / "list.mp4"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="a video that can be read"):
        all_of(path, 0)


def test_a_later_frame_may_not_be_too_big(frames: Pixels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream may change its size in the middle; what is too large is not decoded."""
    small = write_video(tmp_path / "small.h264", frames, "libx264", "yuv420p")
    large = write_video(tmp_path / "large.h264", frames.repeat(4, axis=1).repeat(4, axis=2), "libx264", "yuv420p")
    both = tmp_path / "both.h264"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    assert [frame.pixels.shape for frame in all_of(both, 0, 13)] == [(48, 64, 3), (192, 256, 3)]
    monkeypatch.setattr(module, "MAX_PIXELS", 48 * 64)
    with pytest.raises(VideoEnded):
        all_of(both, 0, 13)


def test_a_frame_may_not_be_too_big(frames: Pixels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = write_video(tmp_path / "a.mkv", frames)
    monkeypatch.setattr(module, "MAX_PIXELS", 48 * 64 - 1)
    with pytest.raises(DataError, match="got 64 x 48; make it smaller"):
        all_of(video, 0)
