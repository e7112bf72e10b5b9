"""Collection of experience: the policy acts with noise, transitions go to the replay buffer."""

from __future__ import annotations

from typing import Any, Callable, Dict, Protocol

import torch
from torch import Tensor

from epo.config import PqlCfg
from epo.envs import Step, VecEnv
from epo.learner.pql.exploration import Exploration, QuartileReturns
from epo.learner.pql.n_step import NStepWindow, one_step
from epo.learner.pql.replay import Replay
from epo.models.normalizer import RunningNormalizer
from epo.stopwatch import Stopwatch


class StepObserver(Protocol):
    """An observer of every step, such as the fitness tracker."""

    def update(self, step: Step) -> None:
        """Record one control step."""
        ...


class ReplayCollector:
    """Step the environments and store what happened.

    Args:
        env: N environments.
        act: raw observations [N, O] -> actions [N, A] without noise.
        normalizer: takes in every observation that is acted on.
        replay: where transitions go.
        observer: sees every step.
        cfg: settings.
        seed: of the exploration.
        stopwatch: gets the time of the environments as section `sim`.

    Attributes:
        num_steps: control steps so far.
        num_stored: control steps since the replay buffer was empty.
        scalars: name -> [] tensor, state of the task after the last control step.
    """

    def __init__(
        self,
        env: VecEnv,
        act: Callable[[Tensor], Tensor],
        normalizer: RunningNormalizer,
        replay: Replay,
        observer: StepObserver,
        cfg: PqlCfg,
        *,
        seed: int,
        stopwatch: Stopwatch,
    ) -> None:
        self.env = env
        self.act = act
        self.normalizer = normalizer
        self.replay = replay
        self.observer = observer
        self.cfg = cfg
        self.stopwatch = stopwatch
        spec = env.spec
        self.exploration = Exploration(cfg, spec.num_envs, spec.action_dim, env.device, seed)
        self.returns = QuartileReturns(spec.num_envs, env.device)
        self.window = NStepWindow(cfg.n_step, cfg.gamma)
        self.num_steps = 0
        self.num_stored = 0
        self.scalars: Dict[str, Tensor] = {}
        self._observation = env.reset().clone()

    @property
    def is_warm(self) -> bool:
        """Return whether there is enough experience to learn from."""
        return self.num_stored > max(self.cfg.warmup_steps, self.cfg.n_step)

    @torch.no_grad()
    def step(self) -> None:
        """Act for one control step and store the transitions that are complete now."""
        observation = self._observation
        self.normalizer.update(observation)
        action = self._choose(observation)
        with self.stopwatch.section("sim"):
            step = self.env.step(action)
        self.observer.update(step)
        self.returns.update(step)
        transition = self.window.push(one_step(observation, action, step, self.cfg.reward_scale))
        if transition is not None:
            self.replay.add(transition)
        self.num_steps += 1
        self.num_stored += 1
        self.scalars = step.scalars
        self._observation = step.observation.clone()

    def read_scalars(self) -> Dict[str, Tensor]:
        """Return the state of the task and of the exploration, name -> [] tensor."""
        if not self.exploration.is_mixed:
            return dict(self.scalars)
        return {**self.scalars, **self.returns.read()}

    def _choose(self, observation: Tensor) -> Tensor:
        """Choose actions [N, A]: random ones at first, then the policy's with noise."""
        if self.num_steps < self.cfg.warmup_steps:
            return self.exploration.random()
        return self.exploration.perturb(self.act(observation), self.num_steps)

    def state_dict(self) -> Dict[str, Any]:
        """Return everything that changes between two control steps, except the environments."""
        return {
            "observation": self._observation.clone(),
            "num_steps": self.num_steps,
            "num_stored": self.num_stored,
            "window": self.window.state_dict(),
            "returns": self.returns.state_dict(),
            "generator": self.exploration.generator.get_state(),
        }

    def load_state_dict(self, state: Dict[str, Any], is_refilling: bool) -> None:
        """Continue with the very next step after `state_dict`.

        Args:
            state: what it gave.
            is_refilling: the replay buffer begins empty.
        """
        device = self.env.device
        self._observation = state["observation"].to(device, copy=True)
        self.num_steps = int(state["num_steps"])
        self.num_stored = 0 if is_refilling else int(state["num_stored"])
        self.window.load_state_dict(state["window"], device)
        self.returns.load_state_dict(state["returns"])
        self.exploration.generator.set_state(state["generator"].cpu())
