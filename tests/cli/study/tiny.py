"""A study of a second: two arms on a probe, and runs that only pretend to train."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Callable, List, Sequence

from omegaconf import OmegaConf

from epo.cli.child import OUTPUT
from epo.cli.study import definition
from epo.cli.study.definition import StudyCfg
from epo.cli.study.execution import Job
from epo.cli.study.runs import Run
from epo.runner.run_folder import as_plain

TINY = """
title: Tiny
question: Do larger steps learn faster?
num_seeds: 2
settings:
  - device=cpu
  - num_envs=8
  - algo=ppo
  - algo.network.kind=mlp
  - algo.network.mlp_units=[8]
  - algo.ppo.horizon=8
  - algo.ppo.num_minibatches=2
  - record.tensorboard=false
  - record.checkpoint_interval=1
environments:
  policy:
    settings: [task=ProbePolicy]
    max_frames: 640
    solved_return: 0.5
    published: {fast: {t: -2.0642, p: "0.0495"}}
arms:
  slow: [algo.ppo.learning_rate=1e-4]
  fast: [algo.ppo.learning_rate=1e-2]
baseline: slow
measures: {entropy: entropy of the policy}
"""
NAMES = ["policy slow seed 1", "policy fast seed 1", "policy slow seed 2", "policy fast seed 2"]

WRITE = """
import json, pathlib, sys
folder, final = pathlib.Path(sys.argv[1]), float(sys.argv[2])
rows = [f"{i},{64 * i},{i},{final * i / 10},{2.0 - 0.1 * i}" for i in range(1, 11)]
header = "iteration,frames,wall_s,leader/episode_return,entropy"
(folder / "metrics.csv").write_text("\\n".join([header, *rows, ""]))
metrics = {"leader/episode_return": final}
summary = {"status": "finished", "iteration": 10, "frames": 640, "wall_s": 10, "metrics": metrics}
(folder / "summary.json").write_text(json.dumps(summary))
"""
"""What a pretended run does: ten iterations up to a final return."""


def write(folder: Path, text: str = TINY) -> str:
    """Write the study into a file and give its name."""
    path = folder / "tiny.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def load(folder: Path, text: str = TINY) -> StudyCfg:
    """Read the study."""
    return definition.load(write(folder, text))


def pretend(
    started: List[str], final: Callable[[Run], float] = lambda run: 1.0, failing: Sequence[str] = ()
) -> Callable[[Run], Job]:
    """Return a stand-in for `execution.start`.

    Args:
        started: gets the names of the runs, in their order.
        final: return that a run reaches.
        failing: names of runs that fail.
    """

    def start(run: Run) -> Job:
        started.append(run.name)
        folder = run.folder.path
        folder.mkdir(parents=True, exist_ok=True)
        run.folder.config.write_text(OmegaConf.to_yaml(OmegaConf.create(as_plain(run.cfg))))
        versions = {"python": "3", "torch": "2", "simulators": {}, "device": "cpu: abacus"}
        content = json.dumps({**versions, "cpu_cores_granted": 1})
        (folder / "versions.json").write_text(content)
        script = WRITE
        if run.name in failing:
            (folder / OUTPUT).write_text("hm\nerror: kl=nan in iteration 3\n")
            script = "raise SystemExit(1)"
        command = [sys.executable, "-c", script, str(folder), str(final(run))]
        return Job(run, subprocess.Popen(command))

    return start
