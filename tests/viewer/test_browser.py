"""The live view in a real browser without a display: the page, the robot, the buttons."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Iterator, Tuple

import numpy as np
import pytest

pytest.importorskip("viser")
pytest.importorskip("mujoco")
pytest.importorskip("playwright", reason="pip install playwright")

from omegaconf import OmegaConf
from PIL import Image
from playwright import sync_api

from epo.cli import environment
from epo.runner import checkpoint
from epo.runner.run_folder import RunFolder, as_plain
from epo.runner.trainer import build_model
from tests.composed import REPOSITORY, composed

pytestmark = pytest.mark.slow
NAMES = ("chromium", "chromium-browser", "google-chrome")
SOFTWARE = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
"""Draws WebGL without a graphics card."""
PATIENCE_MS = 90_000
RUN = [
    *("task=AllegroKukaRegrasping", "algo=epo", "num_agents=3", "num_envs=12", "engine=mujoco"),
    *("device=cpu", "algo.network.kind=mlp", "algo.network.mlp_units=[8]"),
]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three agents that were never trained."""
    cfg = composed(*RUN)
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "run")
    folder.last.parent.mkdir(parents=True)
    folder.config.write_text(OmegaConf.to_yaml(OmegaConf.create(as_plain(cfg))))
    env = environment.make_env(cfg)
    model = build_model(cfg.algo, env, 3, seed=0)
    env.close()
    checkpoint.save(folder.last, {"iteration": 1, "frames": 48, "model": model.state_dict()})
    return folder.path


@pytest.fixture(scope="module")
def view(run_dir: Path) -> Iterator[Tuple[Any, subprocess.Popen]]:
    """The page in a browser, and the process that serves it."""
    browser = next(filter(None, map(shutil.which, NAMES)), None)
    if browser is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)}")
    command = [sys.executable, "-m", "epo", "play", f"checkpoint={run_dir}", "viewer=web"]
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [*command, "port=18500"], stdout=pipe, stderr=pipe, text=True, env=environ
    )
    try:
        assert process.stdout is not None
        line = next((line for line in process.stdout if line.startswith("viewer: ")), "")
        assert line, process.communicate()[1]
        with sync_api.sync_playwright() as playwright:
            opened = playwright.chromium.launch(executable_path=browser, args=list(SOFTWARE))
            page = opened.new_page(viewport={"width": 900, "height": 640})
            page.set_default_timeout(PATIENCE_MS)
            page.goto(line.split()[1], wait_until="domcontentloaded")
            page.get_by_role("button", name="Pause").wait_for()
            yield page, process
            opened.close()
    finally:
        process.kill()
        process.communicate()


def step_of(page: Any) -> int:
    """Read the step of the episode from the page."""
    found = re.search(r"step (\d+)", page.inner_text("body"))
    assert found is not None
    return int(found[1])


def changed_step(page: Any, before: int) -> int:
    """Wait for another step than `before` and return it."""
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while step_of(page) == before and time.monotonic() < deadline:
        page.wait_for_timeout(50)
    return step_of(page)


def wait_for(page: Any, text: str) -> None:
    page.get_by_text(text).first.wait_for()


def test_robot_is_seen(view: Tuple[Any, subprocess.Popen]):
    page, _ = view
    deadline = time.monotonic() + PATIENCE_MS / 1000
    shares = (0.0, 0.0)
    while time.monotonic() < deadline and min(shares) < 0.001:
        picture = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"), dtype=int)
        red, green, blue = np.moveaxis(picture[:, :600], -1, 0)  # beside the panel
        is_orange = (red > 150) & (green < 0.75 * red) & (blue < 0.4 * red)  # the arm's links
        is_blue = (blue > 120) & (red < 0.6 * blue)  # the object
        shares = float(is_orange.mean()), float(is_blue.mean())
    assert min(shares) > 0.001, shares


def test_buttons_do_what_they_say(view: Tuple[Any, subprocess.Popen]):
    page, process = view
    page.get_by_role("button", name="Pause").click()
    wait_for(page, "paused")
    page.get_by_role("button", name="Play").wait_for()
    before = step_of(page)
    page.get_by_role("button", name="Step", exact=True).click()
    # One step, and perhaps one that was on its way before the pause; or a new episode has begun.
    assert changed_step(page, before) in (before + 1, before + 2, 0, 1)
    for name in ("Push the object", "New goal", "New episode", "Read it again"):
        page.get_by_role("button", name=name).click()
    wait_for(page, "agent 2 of last.pt")
    page.get_by_role("button", name="Play").click()
    wait_for(page, "playing")
    assert "fingertip" in page.inner_text("body")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
