from __future__ import annotations

import stat
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("imageio_ffmpeg")
pytest.importorskip("PIL")

import imageio_ffmpeg
from PIL import Image

from epo.config import ConfigError
from epo.record.video import PICTURES, VIDEOS, Video, check_file, save_picture


def frames(num: int) -> np.ndarray:
    """A bright square that wanders over a dark ground, [num, 48, 64, 3]."""
    clip = np.full((num, 48, 64, 3), 20, dtype=np.uint8)
    for i in range(num):
        clip[i, 8:24, i : i + 16] = (230, 120, 20)
    return clip


def record(path: Path, clip: np.ndarray, fps: float = 30) -> None:
    with Video(path, 64, 48, fps) as video:
        for frame in clip:
            video.write(frame)


def test_mp4_holds_the_frames_in_order_and_time(tmp_path: Path):
    clip = frames(12)
    record(tmp_path / "a.mp4", clip, fps=24)
    reader = imageio_ffmpeg.read_frames(str(tmp_path / "a.mp4"))
    about = next(reader)
    assert about["size"] == (64, 48) and about["fps"] == 24
    decoded = [np.frombuffer(frame, np.uint8).reshape(48, 64, 3) for frame in reader]
    assert len(decoded) == 12
    # Compression blurs; the mean error stays small against the contrast of 200.
    for frame, original in zip(decoded, clip):
        assert abs(frame.astype(float) - original).mean() < 8


def test_gif_keeps_time_though_its_frames_last_hundredths(tmp_path: Path):
    record(tmp_path / "a.gif", frames(30), fps=30)
    with Image.open(tmp_path / "a.gif") as gif:
        durations = []
        for i in range(getattr(gif, "n_frames", 1)):
            gif.seek(i)
            durations.append(gif.info["duration"])
        assert gif.size == (64, 48) and gif.info["loop"] == 0
    assert sum(durations) == 1000 and set(durations) == {30, 40}


@pytest.mark.parametrize("ending", VIDEOS)
def test_failure_leaves_the_old_file_and_nothing_else(ending: str, tmp_path: Path):
    path = tmp_path / f"a{ending}"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="simulation"), Video(path, 64, 48, 30) as video:
        video.write(frames(1)[0])
        raise RuntimeError("simulation")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("num_frames", [1, 400])  # It fails at the end; before all are taken.
def test_failing_encoder_is_one_clear_line(
    num_frames: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    encoder = tmp_path / "ffmpeg"
    encoder.write_text("#!/bin/sh\necho hello >&2; echo No space left on device >&2; exit 1\n")
    encoder.chmod(encoder.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(encoder))
    with pytest.raises(ConfigError, match=r"video=.*a.mp4: cannot be written \(.*No space left"):
        record(tmp_path / "a.mp4", frames(1).repeat(num_frames, axis=0))
    assert list(tmp_path.iterdir()) == [encoder]


@pytest.mark.parametrize("ending", PICTURES)
def test_picture_is_written_in_the_format_of_its_ending(ending: str, tmp_path: Path):
    path = tmp_path / f"a{ending}"
    save_picture(path, frames(1)[0])
    with Image.open(path) as picture:
        assert picture.format == {".jpg": "JPEG"}.get(ending, ending[1:].upper())
        assert abs(np.asarray(picture, dtype=float) - frames(1)[0]).mean() < 8
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.avi", "video=.*a.avi: its ending is the format; use one of .mp4, .gif"),
        ("a", "its ending is the format"),
        ("nowhere/a.mp4", "there is no folder .*nowhere; create it"),
        ("folder.mp4", "cannot be written there"),
    ],
)
def test_file_that_cannot_be_written_is_refused_early(name: str, message: str, tmp_path: Path):
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(ConfigError, match=message):
        check_file("video", tmp_path / name, VIDEOS)


def test_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    check_file("video", tmp_path / "a.mp4", VIDEOS)
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(ConfigError, match=r"imageio_ffmpeg is missing; pip install 'epo\[video\]'"):
        check_file("video", tmp_path / "a.mp4", VIDEOS)
