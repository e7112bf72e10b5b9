"""What is played, how it is shown, and which combinations cannot work."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from epo.config import ConfigError
from epo.record.video import PICTURES, VIDEOS, check_file

USAGE = """usage: python -m epo play checkpoint=RUN [video=play.mp4] [name=value...]
       python -m epo play task=NAME [policy=random] [video=play.mp4] [name=value...]
       python -m epo play checkpoint=RUN viewer=web [port=8080] [name=value...]

  checkpoint     run folder (its best.pt, or else last.pt) or a checkpoint in one
  policy         random or zero actions instead of the agents of a checkpoint
  agent          leader, all (one world each, 16 at most), or indices such as 3 or 0,3,7
  num_worlds     worlds of each agent; default 4 for one agent, else 1
  steps          control steps; default one episode, at most 600; a picture: 0
  video          file to write, mp4 or gif; play.mp4 if no picture is asked for
  picture        file for the last moment alone: png, webp or jpg
  width, height  of video and picture, pixels; default 960 and 540
  fps            frames per second of real time, at most 60; default every n-th control step,
                 at most 30
  deterministic  true: agents do what they think best; false: with their training noise
  level          of a task with a curriculum, such as the success tolerance of AllegroKuka tasks, m;
                 default that of the checkpoint
  captions       false: no text in the tiles
  viewer         web: a page for a browser instead of a file: orbit, pause, step, speed, agent and
                 checkpoint, push or place the object, new goal, reward terms; until Ctrl-C or
                 for `steps`. native: MuJoCo's own window, where there is a display
  host, port     of the page; default 127.0.0.1 (only this machine) and 8080, or the next free
  trust          true: import the module that the run's config.yaml names (its code runs)

Everything else is a setting of the task, such as task.episode_length=300 or seed=1.
"""
POLICIES = ("random", "zero")
VIEWERS = ("web", "native")
MAX_AGENTS = 16
"""Agents that `agent=all` shows."""
MAX_TILES = 64
MAX_STEPS = 600
"""Control steps unless `steps` asks for more: 10 s of the Allegro-Kuka tasks."""
MAX_FPS = 30.0
"""Frames per second unless `fps` asks for more."""
SIZES = (64, 4096)
"""Least and largest width and height, pixels."""


@dataclass
class Options:
    """What is played and how it is shown; `USAGE` explains the fields."""

    checkpoint: Optional[str] = None
    policy: Optional[str] = None
    agent: str = "leader"
    num_worlds: Optional[int] = None
    steps: Optional[int] = None
    video: Optional[str] = None
    picture: Optional[str] = None
    width: int = 960
    height: int = 540
    fps: Optional[float] = None
    deterministic: bool = True
    level: Optional[float] = None
    captions: bool = True
    viewer: Optional[str] = None
    host: str = "127.0.0.1"
    port: int = 8080


def settle(options: Options) -> None:
    """Fill in defaults that depend on other options, in place, and refuse what cannot work.

    Raises:
        ConfigError: at the first impossible option.
    """
    if options.policy is None and options.checkpoint is None:
        options.policy = "random"
        print("policy=random (auto: no checkpoint)")
    if options.policy not in (None, *POLICIES):
        raise ConfigError("policy", options.policy, f"use one of {', '.join(POLICIES)}")
    if options.policy is not None and options.agent != "leader":
        raise ConfigError("agent", options.agent, f"policy={options.policy} has no agents")
    for name, fits, way_out in (
        ("num_worlds", lambda value: value >= 1, "use at least 1"),
        ("steps", lambda value: value >= 0, "use 0 or more"),
        ("fps", lambda value: 1 <= value <= 60, "use a number from 1 to 60"),
        ("level", lambda value: value > 0, "use a positive number"),
        ("port", lambda value: 1 <= value <= 65535, "use a number from 1 to 65535"),
        ("width", _is_size, f"use an even number from {SIZES[0]} to {SIZES[1]}"),
        ("height", _is_size, f"use an even number from {SIZES[0]} to {SIZES[1]}"),
    ):
        value = getattr(options, name)
        if value is not None and not fits(value):
            raise ConfigError(name, value, way_out)
    if options.viewer is not None:
        _check_viewer(options)
        return
    if options.video is None and options.picture is None:
        options.video = "play.mp4"
    if options.video is not None:
        check_file("video", Path(options.video), VIDEOS)
    if options.picture is not None:
        check_file("picture", Path(options.picture), PICTURES)


def _check_viewer(options: Options) -> None:
    """Refuse viewers that are not here, and what goes with files only."""
    if options.viewer not in VIEWERS:
        raise ConfigError("viewer", options.viewer, f"use one of {', '.join(VIEWERS)}")
    for name in ("video", "picture", "fps"):
        if getattr(options, name) is not None:
            way_out = f"viewer={options.viewer} writes no file; leave it out"
            raise ConfigError(name, getattr(options, name), way_out)
    if options.agent == "all" or "," in options.agent:
        raise ConfigError("agent", options.agent, "one agent acts in a viewer; choose others there")
    if options.viewer == "native":
        from epo.cli.play.native import check_display

        check_display()
    else:
        from epo.viewer.page import check_package

        check_package("viewer", "web")


def num_steps(options: Options, episode_length: Optional[int]) -> int:
    """Return the number of control steps to play."""
    if options.steps is not None:
        return options.steps
    return min(episode_length or MAX_STEPS, MAX_STEPS) if options.video else 0


def frame_rate(options: Options, control_dt_s: float) -> float:
    """Return the frames per second of a video, by default one of every n-th control step."""
    if options.fps is not None:
        return options.fps
    rate_hz = 1.0 / control_dt_s
    return rate_hz / math.ceil(rate_hz / MAX_FPS - 1e-6)


def _is_size(value: int) -> bool:
    return SIZES[0] <= value <= SIZES[1] and value % 2 == 0
