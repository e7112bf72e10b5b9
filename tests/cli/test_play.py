from __future__ import annotations

from pathlib import Path
from typing import List

import numpy as np
import pytest

pytest.importorskip("mujoco")
pytest.importorskip("imageio_ffmpeg")
pytest.importorskip("PIL")

import imageio_ffmpeg
import torch
from omegaconf import OmegaConf
from PIL import Image

from epo.__main__ import main as epo
from epo.cli.play.cast import shown_agents
from epo.cli.play.command import configuration
from epo.cli.play.options import Options, frame_rate, num_steps
from epo.config import ConfigError
from epo.runner import checkpoint
from epo.runner.run_folder import RunFolder, as_plain
from epo.runner.saved_run import SavedRun
from epo.runner.trainer import build_model
from tasks import registry
from tasks.engines.config import MujocoCfg
from tests.composed import composed
from tests.tasks.opengl import needs_opengl

SMALL = ["width=240", "height=160"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three agents that were never trained."""
    cfg = composed(
        "task=AllegroKukaRegrasping",
        "algo=epo",
        "num_agents=3",
        "num_envs=96",
        "engine=mujoco_warp",
        "engine.physics=parity",
        "device=cuda",
        "algo.network.lstm_units=8",
        "algo.network.mlp_units=[8]",
        "task.episode_length=10",
        "seed=5",
    )
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "run")
    folder.last.parent.mkdir(parents=True)
    folder.config.write_text(OmegaConf.to_yaml(OmegaConf.create(as_plain(cfg))))
    env = registry.make(cfg.task, MujocoCfg(), 1, torch.device("cpu"), 0)
    model = build_model(cfg.algo, env, 3, seed=0)
    curriculum = {"tolerance": torch.tensor(0.04, dtype=torch.float64)}
    state = {
        "iteration": 1,
        "frames": 2_000_000,
        "model": model.state_dict(),
        "env": {"curriculum": curriculum},
    }
    checkpoint.save(folder.last, state)
    return folder.path


def play(*arguments: str) -> None:
    epo(["play", *arguments])


@needs_opengl
def test_video_shows_a_world_of_every_agent(run: Path, capsys: pytest.CaptureFixture):
    video = run / "all.mp4"
    play(f"checkpoint={run}", f"video={video}", "agent=all", "steps=12", *SMALL)
    reader = imageio_ffmpeg.read_frames(str(video))
    assert next(reader)["size"] == (240, 160)
    frames = [np.frombuffer(frame, np.uint8) for frame in reader]
    # Steps 0, 2, ..., 12 of 1/60 s at 30 frames per second.
    assert len(frames) == 7
    assert abs(frames[0].astype(int) - frames[3]).max() > 50
    printed = capsys.readouterr().out
    assert "last.pt: 2.00 M frames of training" in printed
    assert "7 frames, 0.2 s" in printed
    for line in ("agent 0 ", "agent 1 ", "agent 2 (leader)"):
        # The episode ended once, and 3 steps of the next one are over.
        assert f"{line}" in printed
    rows = [line.split() for line in printed.splitlines()]
    assert [row[-8] for row in rows if "agent" in row] == ["1", "1", "1"]
    assert [row[2:4] for row in rows if row[:2] == ["not", "ended"]] == [["1", "3"]] * 3


@needs_opengl
def test_picture_is_the_last_moment(tmp_path: Path):
    pictures: List[np.ndarray] = []
    for steps in ("0", "30", "30"):
        path = tmp_path / "a.png"
        play(f"picture={path}", "policy=zero", f"steps={steps}", "seed=1", *SMALL)
        with Image.open(path) as picture:
            pictures.append(np.asarray(picture))
    start, end, again = pictures
    assert start.shape == (160, 240, 3)
    assert np.array_equal(end, again)
    assert (start != end).mean() > 0.01


@needs_opengl
def test_tiles_are_as_many_as_worlds_and_captions_can_be_left_out(tmp_path: Path):
    path = tmp_path / "a.png"
    one = ["policy=zero", f"picture={path}", *SMALL]
    sizes = []
    for more in (["captions=false"], [], ["num_worlds=4", "captions=false"]):
        play(*one, *more)
        with Image.open(path) as picture:
            sizes.append(np.asarray(picture).astype(int))
    plain, captioned, four = sizes
    changed = abs(plain - captioned).max(axis=-1).nonzero()
    assert changed[0].min() > 100 and changed[1].max() < 200
    assert abs(plain - four).max() > 50


def test_configuration_is_the_runs_on_an_engine_that_can_be_drawn(run: Path):
    saved = SavedRun(run)
    cfg = configuration(saved, ["task.force.scale=0", "seed=7"])
    assert (cfg.engine.name, cfg.engine.physics, cfg.device) == ("mujoco", "parity", "cpu")
    assert (cfg.task.episode_length, cfg.num_agents) == (10, 3)
    assert cfg.algo.network.lstm_units == 8
    assert (cfg.task.force.scale, cfg.seed) == (0, 7)


@needs_opengl
def test_tolerance_is_the_checkpoints_unless_another_is_given(
    run: Path, monkeypatch: pytest.MonkeyPatch
):
    from epo.cli.play import film

    shown: List[str] = []
    monkeypatch.setattr(film, "caption", lambda *args: shown.append(args[-1]) or ())
    picture = f"picture={run}/a.png"
    play(f"checkpoint={run}", picture, *SMALL)
    play(f"checkpoint={run}", picture, "level=0.02", *SMALL)
    play("policy=zero", picture, *SMALL)
    assert shown == [f"success tolerance {level}" for level in (0.04, 0.02, 0.075)]


@pytest.mark.parametrize(
    ("agent", "population", "indices"),
    [
        ("leader", 4, [3]),
        ("all", 3, [0, 1, 2]),
        # Every fourth, the leader included.
        ("all", 64, list(range(3, 64, 4))),
        ("0,3", 4, [0, 3]),
    ],
)
def test_shown_agents(agent: str, population: int, indices: List[int]):
    assert shown_agents(agent, population) == indices


def test_length_is_an_episode_unless_said():
    assert num_steps(Options(video="a.mp4"), 400) == 400
    assert num_steps(Options(video="a.mp4"), 5000) == 600
    assert num_steps(Options(video="a.mp4", steps=5000), 400) == 5000
    assert num_steps(Options(video="a.mp4"), None) == 600
    assert num_steps(Options(picture="a.png"), 400) == 0


@pytest.mark.parametrize(
    ("control_hz", "fps"),
    [(60, 30), (50, 25), (30, 30), (20, 20), (100, 25), (3.75, 3.75)],
)
def test_video_shows_every_nth_control_step_unless_said(control_hz: float, fps: float):
    assert frame_rate(Options(), 1 / control_hz) == pytest.approx(fps)
    assert frame_rate(Options(fps=24), 1 / control_hz) == 24


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["checkpoint={run}/nowhere"], "checkpoint=.*nowhere: there is no such file or folder"),
        (["checkpoint={run}", "agent=3"], "agent=3: use leader, all, or indices from 0 to 2"),
        (["checkpoint={run}", "agent=-1"], "agent=-1: use leader, all"),
        (["checkpoint={run}", "num_envs=4"], "num_envs=4: give the worlds of each agent"),
        (["checkpoint={run}", "experiment=laptop"], "experiment=laptop: leave it out"),
        (["checkpoint={run}", "task.episode_lenght=3"], "task.episode_lenght=3: there is no such"),
        (["checkpoint={run}", "video={run}/a.avi"], "video=.*a.avi: its ending is the format"),
        (["checkpoint={run}", "picture={run}/no/a.png"], "picture=.*: there is no folder"),
        (["checkpoint={run}", "policy=random", "agent=all"], "agent=all: policy=random has no"),
        (["policy=best"], "policy=best: use one of random, zero"),
        (["task=ProbeReach"], "task=ProbeReach is impossible: it has no picture"),
        (["engine=isaacgym"], "engine=isaacgym is impossible"),
        (["num_worlds=100"], "num_worlds=100: too many for one picture; use at most 64"),
        (["num_worlds=0"], "num_worlds=0: use at least 1"),
        (["steps=-1"], "steps=-1: use 0 or more"),
        (["fps=61"], "fps=61.0: use a number from 1 to 60"),
        (["width=641"], "width=641: use an even number from 64 to 4096"),
        (["level=0"], "level=0.0: use a positive number"),
        (["--video"], "flag=--video: unknown"),
    ],
)
def test_wrong_arguments_are_one_clear_line(
    arguments: List[str], message: str, run: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(run)
    with pytest.raises(ConfigError, match=message):
        play(*(argument.format(run=run) for argument in arguments))
    assert not (run / "play.mp4").exists()


def test_run_of_another_epo_is_named(run: Path, tmp_path: Path):
    folder = RunFolder(tmp_path / "run")
    folder.last.parent.mkdir(parents=True)
    folder.last.write_bytes(RunFolder(run).last.read_bytes())
    text = RunFolder(run).config.read_text()
    folder.config.write_text(text.replace("arm_speed:", "arm_spead:"))
    with pytest.raises(ConfigError, match=r"last.pt: its settings do not fit .*task.arm_spead"):
        play(f"checkpoint={folder.path}", f"video={tmp_path}/a.mp4")


def test_network_of_another_task_is_refused(run: Path, tmp_path: Path):
    with pytest.raises(ConfigError, match="its network does not fit the task"):
        play(f"checkpoint={run}", "task=AllegroKukaReorientation", f"video={tmp_path}/a.mp4")
    assert not list(tmp_path.iterdir())


def test_verb_without_arguments_explains_itself(capsys: pytest.CaptureFixture):
    play()
    assert capsys.readouterr().out.startswith("usage: python -m epo play checkpoint=RUN")
