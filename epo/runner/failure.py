"""A failure that was written down, and the iteration that it happened in once more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, NamedTuple, Optional

import torch
from torch import Tensor
from yaml import YAMLError

from epo.config import Config, ConfigError
from epo.envs import EnvSpec, Step, VecEnv
from epo.exceptions import one_line
from epo.record.recorder import Recorder
from epo.record.yaml import read_yaml
from epo.runner import checkpoint
from epo.runner.fit import restore
from epo.runner.flight_recorder import (
    RANDOM,
    REPORT,
    ROLLOUT,
    STATE,
    Failure,
    locate,
    message,
    phase_of,
    restore_random,
)
from epo.runner.run import make_loop
from epo.runner.run_folder import without_strange_groups


class SavedFailure:
    """The folder of a failure.

    Args:
        folder: `<run>/failure/<time>`.

    Attributes:
        report: content of `failure.json`.
        settings: configuration of the run.

    Raises:
        ConfigError: if it is none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.report: Dict[str, Any] = json.loads((folder / REPORT).read_text(encoding="utf-8"))
            settings = read_yaml(folder / "config.yaml")
            assert isinstance(self.report, dict) and isinstance(settings, dict)
        except (OSError, ValueError, AssertionError, YAMLError) as error:
            way_out = f"no folder of a failure ({one_line(error)}); name <run>/failure/<time>"
            raise ConfigError("folder", folder, way_out) from error
        named = {str(name): value for name, value in settings.items()}
        self.settings: Dict[str, Any] = without_strange_groups(named)

    @property
    def spec(self) -> EnvSpec:
        """What the environments were."""
        spec: Dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in self.report["spec"].items()
        }
        return EnvSpec(**spec)

    @property
    def uses_recording(self) -> bool:
        """Whether the recorded rollout is learned from, instead of the environments acting again.

        So it is where episodes cannot be saved, and the rollout was complete or ended with values
        that were refused.
        """
        return self.report["is_replayable"] and bool(self.spec.has_invalid_steps)

    def load(self, name: str) -> Dict[str, Any]:
        """Read one of its checkpoint files.

        Raises:
            ConfigError: if it is missing or damaged; the message says why it was not written.
        """
        if name in self.report["missing"]:
            way_out = f"was not written ({self.report['missing'][name]})"
            raise ConfigError("file", self.folder / name, way_out)
        return checkpoint.load(self.folder / name)


class Outcome(NamedTuple):
    """How the iteration ended this time.

    Attributes:
        error: in one line; empty: it ended well.
        is_same: whether that is the recorded failure.
    """

    error: str
    is_same: bool


def repeat(failure: SavedFailure, cfg: Config, env: VecEnv) -> Outcome:
    """Run the iteration that failed once more, from the state before it.

    Args:
        failure: which.
        cfg: of the run, resolved.
        env: its environments, or `RecordedEnv`.

    Raises:
        ConfigError: if something of it is missing or does not fit.
    """
    state = failure.load(STATE)
    loop = make_loop(cfg, env, Recorder([]))
    restore(loop, state, failure.folder / STATE)
    if failure.uses_recording:
        loop.play(failure.load(ROLLOUT))
    restore_random(failure.load(RANDOM))
    try:
        loop.iterate()
    except (Exception, SystemExit) as error:
        first = locate(loop, error, state)
        text = message(error, Failure(None, phase_of(loop), first), "")
        recorded = failure.report
        is_same = (
            one_line(error).partition(":")[0] == recorded["error"].partition(":")[0]
            and type(error).__name__ == recorded["type"]
            and first == recorded["first"]
        )
        return Outcome(text, is_same)
    return Outcome("", is_same=False)


class RecordedEnv:
    """Stands for environments that are not here: a recorded rollout needs none.

    Args:
        spec: of the environments.
        device: where tensors live.
    """

    def __init__(self, spec: EnvSpec, device: torch.device) -> None:
        self.spec = spec
        self.device = device

    def reset(self) -> Tensor:
        """Return zeros, which the state replaces."""
        return torch.zeros(self.spec.num_envs, self.spec.observation_dim, device=self.device)

    def present_state(self) -> Tensor:
        """Return zeros, which the state replaces."""
        return torch.zeros(self.spec.num_envs, self.spec.state_dim, device=self.device)

    def step(self, action: Tensor) -> Step:
        """Refuse: nobody acts.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError("a recorded rollout has no environments to step")

    def state_dict(self) -> Dict[str, Any]:
        """Return nothing."""
        return {}

    def load_state_dict(self, state: Optional[Dict[str, Any]]) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""
