"""Pictures and videos as files: complete ones or none."""

from __future__ import annotations

import io
import os
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Dict, Iterator, List, Protocol, Tuple

import numpy as np

from epo.config import ConfigError
from epo.record.files import atomic_write

PICTURES = (".png", ".webp", ".jpg")
VIDEOS = (".mp4", ".gif")
CRF = 20
"""Quality of mp4, 0 (lossless) to 51; 18 to 23 is what x264 recommends."""
GIF_COLOURS = 128
GIF_TICK_S = 0.01
"""Frames of a gif last a whole number of these."""


def check_file(setting: str, path: Path, endings: Tuple[str, ...]) -> None:
    """Refuse a file that could not be written at the end of the work.

    Args:
        setting: that names the file, for the message.
        path: the file.
        endings: formats, `PICTURES` or `VIDEOS`.

    Raises:
        ConfigError: if the ending is unknown, the folder is missing or read-only, or a package
            is missing.
    """
    if path.suffix.lower() not in endings:
        way_out = f"its ending is the format; use one of {', '.join(endings)}"
        raise ConfigError(setting, path, way_out)
    if not path.parent.is_dir():
        raise ConfigError(setting, path, f"there is no folder {path.parent}; create it")
    if path.is_dir() or not os.access(str(path.parent), os.W_OK | os.X_OK):
        raise ConfigError(setting, path, "cannot be written there; choose another file")
    try:
        import imageio_ffmpeg  # noqa: F401
        import PIL  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            setting, path, f"{error.name} is missing; pip install 'epo[video]'"
        ) from error


def save_picture(path: Path, frame: np.ndarray) -> None:
    """Write `frame` [height, width, 3] uint8 in the format of the file's ending.

    Raises:
        ConfigError: if the disk is full.
    """
    from PIL import Image

    content = io.BytesIO()
    kind = path.suffix[1:].lower().replace("jpg", "jpeg")
    Image.fromarray(frame).save(content, kind, quality=85)
    with _errors_of("picture", path), atomic_write(path) as file:
        file.write(content.getbuffer())


class Video:
    """A video file that takes its name when the block ends well; else nothing of it stays.

    Args:
        path: the file, mp4 or gif.
        width: even number of pixels.
        height: even number of pixels.
        fps: frames per second.

    Raises:
        ConfigError: if the file cannot be written.
    """

    def __init__(self, path: Path, width: int, height: int, fps: float) -> None:
        self.path = path
        self._temporary = path.with_name(f"{path.name}.tmp")
        encoders: Dict[str, Any] = {".mp4": Mp4Encoder, ".gif": GifEncoder}
        with _errors_of("video", path):
            self._temporary.touch()
            self._encoder: Encoder = encoders[path.suffix.lower()](
                self._temporary, width, height, fps
            )

    def write(self, frame: np.ndarray) -> None:
        """Append a frame [height, width, 3] uint8.

        Raises:
            ConfigError: if the encoder fails, for example on a full disk.
        """
        with _errors_of("video", self.path):
            self._encoder.write(frame)

    def __enter__(self) -> Video:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            with _errors_of("video", self.path):
                self._encoder.close(is_complete=kind is None)
                if kind is None:
                    os.replace(str(self._temporary), str(self.path))
        finally:
            with suppress(FileNotFoundError):
                self._temporary.unlink()


class Encoder(Protocol):
    """Writes frames to a file in one format."""

    def write(self, frame: np.ndarray) -> None:
        """Append a frame [height, width, 3] uint8."""
        ...

    def close(self, is_complete: bool) -> None:
        """Finish the file, or give it up."""
        ...


class Mp4Encoder:
    """H.264, encoded frame by frame in a process of ffmpeg."""

    def __init__(self, path: Path, width: int, height: int, fps: float) -> None:
        from imageio_ffmpeg import get_ffmpeg_exe

        command = [
            *(get_ffmpeg_exe(), "-y", "-v", "error"),
            *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(fps)),
            *("-i", "-", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", str(CRF)),
            *("-movflags", "+faststart", "-f", "mp4", str(path)),
        ]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    def write(self, frame: np.ndarray) -> None:
        """Append a frame [height, width, 3] uint8."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(np.ascontiguousarray(frame))
        except BrokenPipeError:
            self.close(is_complete=True)  # ffmpeg ended early; it says why.
            raise

    def close(self, is_complete: bool) -> None:
        """Wait for ffmpeg, or end it."""
        if not is_complete:
            self._process.kill()
        _, message = self._process.communicate()
        if is_complete and self._process.returncode:
            reason = message.decode(errors="replace").strip().rpartition("\n")[2]
            raise OSError(f"ffmpeg: {reason or self._process.returncode}")


class GifEncoder:
    """A gif, collected in memory: one byte per pixel and frame."""

    def __init__(self, path: Path, width: int, height: int, fps: float) -> None:
        self._path, self._fps = path, fps
        self._frames: List[Any] = []

    def write(self, frame: np.ndarray) -> None:
        """Append a frame [height, width, 3] uint8, with colours of its own."""
        from PIL import Image

        image = Image.fromarray(frame)
        self._frames.append(image.quantize(GIF_COLOURS, dither=Image.Dither.NONE))

    def close(self, is_complete: bool) -> None:
        """Write the file, if it is wanted."""
        if not (is_complete and self._frames):
            return
        # Rounded ends, not rounded durations: the sum keeps time.
        ends = [round((i + 1) / (self._fps * GIF_TICK_S)) for i in range(len(self._frames))]
        durations_ms = [1000 * GIF_TICK_S * (end - begin) for begin, end in zip([0, *ends], ends)]
        first, *others = self._frames
        first.save(
            self._path, "gif", save_all=True, append_images=others, duration=durations_ms, loop=0
        )


@contextmanager
def _errors_of(setting: str, path: Path) -> Iterator[None]:
    """Report what the system or the encoder refuses as one line."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # RuntimeError: no ffmpeg for this platform.
        reason = getattr(error, "strerror", None) or str(error).strip().partition("\n")[0]
        raise ConfigError(setting, path, f"cannot be written ({reason})") from error
