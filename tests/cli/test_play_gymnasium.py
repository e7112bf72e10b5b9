from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import List

import numpy as np
import pytest

pytest.importorskip("gymnasium")
pytest.importorskip("imageio_ffmpeg")
pytest.importorskip("PIL")

import torch
from omegaconf import OmegaConf
from PIL import Image, ImageSequence

from epo.__main__ import main as epo
from epo.cli.play import trust
from epo.config import ConfigError
from epo.runner import checkpoint
from epo.runner.run_folder import RunFolder, as_plain
from epo.runner.saved_run import SavedRun
from epo.runner.trainer import build_model
from tasks import registry
from tasks.gymnasium.config import imported_module
from tests.composed import composed
from tests.tasks.gymnasium.toys import TOYS

DRAWN = ["task=Gymnasium", f"task.env_id={TOYS}Drawn-v0"]
SMALL = ["width=200", "height=100"]


def play(*arguments: str) -> None:
    epo(["play", *arguments, *SMALL])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three agents that were never trained, in worker processes."""
    cfg = composed(
        *(*DRAWN, "task.kwargs.length=4", "task.vectorization=async", "algo=epo"),
        *("num_agents=3", "num_envs=6", "algo.network.kind=mlp", "algo.network.mlp_units=[8]"),
    )
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "run")
    folder.last.parent.mkdir(parents=True)
    folder.config.write_text(OmegaConf.to_yaml(OmegaConf.create(as_plain(cfg))))
    cfg.task.vectorization = "sync"
    env = registry.make(cfg.task, cfg.engine, 1, torch.device("cpu"), 0)
    model = build_model(cfg.algo, env, 3, seed=0)
    checkpoint.save(folder.last, {"iteration": 1, "frames": 600, "model": model.state_dict()})
    return folder.path


def test_agents_of_a_run_are_shown_with_their_episodes(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    video = tmp_path / "a.mp4"
    play(f"checkpoint={run}", "agent=0,2", "steps=10", f"video={video}", "trust=true")
    printed = capsys.readouterr().out
    assert "last.pt: 600 frames of training" in printed
    assert "11 frames, 0.6 s" in printed  # 20 control steps and frames per second
    rows = [line.split() for line in printed.splitlines()]
    # Two episodes of four steps, and two steps of the third.
    assert [row[:3] for row in rows if row[0] == "agent"] == [
        ["agent", "0", "2"],
        ["agent", "2", "(leader)"],
    ]
    assert [row[2:4] for row in rows if row[:2] == ["not", "ended"]] == [["1", "2"]] * 2
    assert video.stat().st_size > 0


def test_video_is_in_real_time_whatever_the_frames_per_second(tmp_path: Path):
    path = tmp_path / "a.gif"
    play(*DRAWN, "policy=zero", "num_worlds=1", "steps=4", "fps=50", f"video={path}")
    with Image.open(path) as gif:
        shown = [
            (np.asarray(frame.convert("RGB"))[5, 100, 1], frame.info["duration"])
            for frame in ImageSequence.Iterator(gif)
        ]
    greys = [round(int(grey) / 10) for grey, duration in shown for _ in range(int(duration) // 20)]
    # Frame k shows the first control step from k / 50 s on; steps last 1/20 s.
    assert greys == [0, 1, 1, 2, 2, 2, 3, 3, 4, 4, 4]


def test_caption_counts_the_episodes_that_ended():
    from epo.cli.play.film import caption
    from epo.runner.evaluator import Episode

    now, before = Episode(0, 7, 1.25, {}), Episode(0, 9, -3.0, {})
    assert caption("agent 0", now, []) == ("agent 0", "", "return 1.2  step 7")
    assert caption("agent 0", now, [now, before])[1] == "episode 2 returned -3.0"
    line = caption("agent 0", now, [before], "successes", "success tolerance 0.05")[1]
    assert line == "successes 0  success tolerance 0.05"


def test_environment_that_fails_is_one_line_and_leaves_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture
):
    with pytest.raises(SystemExit) as end:
        play(*DRAWN, "task.kwargs.breaks_at=3", "steps=5", f"video={tmp_path}/a.mp4")
    assert end.value.code == 1
    error = capsys.readouterr().err
    assert "failed in render: ArithmeticError: the brush is broken (step 3 of its episode" in error
    assert error.endswith("of the run); the file was not written\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([f"task.env_id={TOYS}Counting-v0"], "Counting-v0 is impossible: it has no picture"),
        (["level=0.05"], "level=0.05: the task has no curriculum"),
    ],
)
def test_what_does_not_fit_the_task_is_one_line(arguments: List[str], message: str, tmp_path: Path):
    with pytest.raises(ConfigError, match=message):
        play(*DRAWN, *arguments, f"picture={tmp_path}/a.png")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def foreign_run(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the run whose configuration names a module in the current folder."""
    folder = tmp_path / "theirs"
    shutil.copytree(run, folder)
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace(TOYS, "module_of_theirs:"))
    (tmp_path / "module_of_theirs.py").write_text("from tests.tasks.gymnasium import toys\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "module_of_theirs", raising=False)
    return folder


@pytest.mark.parametrize("given", [[], ["task.kwargs.length=3"], ["task.max_episode_steps=4"]])
def test_module_that_only_the_run_names_is_not_imported(foreign_run: Path, given: List[str]):
    message = (
        r"^checkpoint=.*last\.pt: its config\.yaml asks to import the module 'module_of_theirs'"
    )
    with pytest.raises(ConfigError, match=message + r".*task\.env_id=module_of_.* or trust=true$"):
        play(f"checkpoint={foreign_run}", "steps=1", "picture=a.png", *given)
    assert "module_of_theirs" not in sys.modules


@pytest.mark.parametrize("given", ["trust=true", "task.env_id=module_of_theirs:Drawn-v0"])
def test_module_that_the_user_names_or_trusts_is_imported(foreign_run: Path, given: str):
    play(f"checkpoint={foreign_run}", "steps=1", "picture=a.png", given)
    assert "module_of_theirs" in sys.modules and Path("a.png").exists()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("answer", ["y\n", "\n", ""])
def test_at_a_terminal_the_user_is_asked(
    foreign_run: Path, monkeypatch: pytest.MonkeyPatch, answer: str
):
    shown = Terminal()
    monkeypatch.setattr(trust, "sys", SimpleNamespace(stdin=Terminal(answer), stderr=shown))
    saved = SavedRun(foreign_run)
    if answer.startswith("y"):
        trust.check_trust(saved.settings, "last.pt", [])
    else:
        with pytest.raises(ConfigError, match="whose code would run"):
            trust.check_trust(saved.settings, "last.pt", [])
    assert "imports the module 'module_of_theirs', whose code then runs. Import" in shown.getvalue()


@pytest.mark.parametrize(
    ("settings", "module"),
    [
        ({"env_id": "CartPole-v1", "kwargs": {}}, None),
        ({"env_id": "a.b:X-v0", "kwargs": {}}, "a.b"),
        ({"env_id": "GymV26Environment-v0", "kwargs": {"env_id": "evil:X-v0"}}, "evil"),
        ({"env_id": ["a:b"]}, "['a"),
        ({}, None),
        ([], None),
        (None, None),
    ],
)
def test_modules_that_settings_name_are_found(settings: object, module: object):
    assert imported_module(settings) == module
