"""Ranks as threads of this process, around real gloo process groups, and runs dealt over them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any, Callable, Dict, List, Optional, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from epo.config import AlgoCfg
from epo.envs import StateEnv, Step, VecEnv
from epo.ranks import ALONE, Deal, Ranks
from epo.ranks.group import Group
from epo.record.recorder import Recorder
from epo.runner.trainer import Trainer
from tasks.probes.config import ProbeCfg
from tasks.probes.env import make_probe
from tests.runner.small_config import small_config

Result = TypeVar("Result")
CPU = torch.device("cpu")


def on_ranks(size: int, work: Callable[[Ranks], Result], timeout_s: float = 20.0) -> List[Result]:
    """Call `work` in a thread for each of `size` ranks and return their results.

    The process groups are built here; what the threads build of models must not use global
    random numbers at the same time (`Turns`).
    """
    store = dist.HashStore()  # pyright: ignore[reportPrivateImportUsage]

    def rank(index: int) -> Result:
        group = dist.ProcessGroupGloo(store, index, size, timedelta(seconds=timeout_s))
        return work(Group(group, store, CPU, timeout_s))  # pyright: ignore[reportArgumentType]

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(rank, range(size)))


class DealtEnv:
    """This rank's part of environments that every rank builds whole.

    So the environments are those of a single process, whatever their random numbers are. Actions
    of other ranks' environments are not known here and are 0, which must not matter for ours.
    """

    def __init__(self, env: VecEnv, num_agents: int, ranks: Ranks) -> None:
        num_here = env.spec.num_envs // ranks.size
        self.env, self.device = env, env.device
        self.deal = Deal(num_agents, num_here, ranks, env.device)
        self.spec = replace(env.spec, num_envs=num_here)

    def reset(self) -> Tensor:
        return self.deal.rows(self.env.reset())

    def present_state(self) -> Tensor:
        assert isinstance(self.env, StateEnv)
        return self.deal.rows(self.env.present_state())

    def step(self, action: Tensor) -> Step:
        whole = action.new_zeros(self.deal.num_envs, *action.shape[1:])
        whole[self.deal.env_ids] = action
        step = self.env.step(whole)
        rows = {name: self._rows(value) for name, value in step._asdict().items()}
        return step._replace(**{**rows, "scalars": step.scalars})

    def _rows(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self.deal.rows(v) if v.dim() else v for name, v in value.items()}
        return value if value is None else self.deal.rows(value)

    def state_dict(self) -> Dict[str, Any]:
        return self.env.state_dict()

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        self.env.load_state_dict(state)

    def close(self) -> None:
        self.env.close()


one_at_a_time = threading.Lock()


def trainer(
    algo: AlgoCfg, num_agents: int, num_envs: int, ranks: Optional[Ranks] = None, **settings: Any
) -> Trainer:
    """Build a small run on `ProbeReach`, dealt over `ranks`; episodes last 4 steps."""
    ranks = ranks or ALONE
    cfg = small_config(algo=algo, num_agents=num_agents, num_envs=num_envs, **settings)
    with one_at_a_time:  # the weights are drawn from torch's global generator
        env = make_probe(ProbeCfg(episode_length=4), num_envs, CPU, cfg.seed, num_agents)
        return Trainer(cfg, DealtEnv(env, num_agents, ranks), Recorder([]), ranks)
