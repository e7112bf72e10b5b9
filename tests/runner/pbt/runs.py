"""Small populations for tests of population based training; a task with all that it can offer."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Tuple

import torch
from torch import Tensor

from epo.config import Config
from epo.envs import Step, VecEnv
from epo.record.recorder import Recorder
from epo.runner.pbt.process import PBT
from tasks import registry
from tasks.probes.config import ProbeCfg
from tasks.probes.env import ReachProbe
from tests.composed import composed
from tests.runner.rows import Rows

CPU = torch.device("cpu")
SMALL = (
    "task=ProbeReach",
    "algo=pbt",
    "device=cpu",
    "num_agents=4",
    "num_envs=16",
    "algo.network.kind=mlp",
    "algo.network.mlp_units=[8]",
    "algo.ppo.horizon=4",
    "algo.ppo.num_epochs=1",
    "algo.ppo.num_minibatches=1",
    "algo.diagnostics.enabled=false",
    "algo.pbt.interval_frames=32",
    "algo.pbt.start_after_frames=64",
    "algo.pbt.initial_delay_frames=64",
    "task.episode_length=3",
)
"""16 frames of a member per iteration, an interval every second one."""


class OpenProbe(ReachProbe):
    """The reach probe with its reward in two terms, and all that a `MemberEnv` offers."""

    reward_names: Tuple[str, ...] = ("approach", "goal")
    reach_m = 0.5

    def __init__(self, num_envs: int, seed: int = 0) -> None:
        super().__init__(ProbeCfg(episode_length=3), num_envs, CPU, seed)
        self.reward_parameters = {"threshold_m": torch.full((num_envs,), 0.5)}
        self.level = torch.zeros(1)
        self.restarted: List[int] = []

    def step(self, action: Tensor) -> Step:
        step = super().step(action)
        terms = torch.stack([step.reward - self._gained, self._gained])
        return step._replace(reward_terms=terms)

    def _reward(self, action: Tensor):
        reward, self._gained = super()._reward(action)
        return reward, self._gained

    def separate(self, num_agents: int) -> None:
        self.num_agents = num_agents
        self.level = torch.arange(float(num_agents))

    def restart_agent(self, agent: int) -> Tensor:
        self.restarted.append(agent)
        share = self.spec.num_envs // self.num_agents
        chosen = torch.arange(self.spec.num_envs) // share == agent
        self._restart(chosen)
        return self._observe()[chosen]

    def agent_state(self, agent: int) -> Dict[str, Any]:
        return {"level": self.level[agent].clone()}

    def load_agent_state(self, agent: int, state: Dict[str, Any]) -> None:
        self.level[agent] = state["level"]


def config(*overrides: str) -> Config:
    """Compose a small population."""
    return composed(*SMALL, *overrides)


def make_env(cfg: Config) -> VecEnv:
    """Build the task of a configuration."""
    return registry.make(cfg.task, cfg.engine, cfg.num_envs, CPU, cfg.seed, cfg.num_agents)


def population(*overrides: str, env: Optional[VecEnv] = None, sink: Optional[Rows] = None) -> PBT:
    """Build a small population in one process."""
    cfg = config(*overrides)
    return PBT(cfg, env or make_env(cfg), Recorder([sink] if sink else []))


def weights(model: torch.nn.Module) -> Dict[str, Tensor]:
    """Copy the parameters and statistics of a network."""
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> bool:
    """Tell whether two sets of tensors are equal, bit for bit."""
    return set(ours) == set(theirs) and all(torch.equal(ours[n], theirs[n]) for n in ours)
