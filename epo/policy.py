"""A trained agent to call: observations in, actions out, its memory kept between the calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List, Optional, Union

import numpy as np
import torch
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor

from epo.components import load as load_target
from epo.components import trainers
from epo.config import AlgoCfg, ConfigError, algo_node
from epo.envs import EnvSpec
from epo.models.actor_critic import ActorCritic
from epo.runner.evaluator import AgentPolicy, Policy, load_policy
from epo.runner.saved_run import SavedRun

Observation = Union[Tensor, "np.ndarray[Any, Any]", List[float]]


class LoadedPolicy:
    """An agent of a run.

    Args:
        saved: the checkpoint.
        algo: the algorithm that it was trained with.
        spec: of the task that it was trained on.
        num_agents: K, of the population.
        agent: its index.
        device: where it computes.
        seed: of its noise; None: it does what it thinks best.

    Attributes:
        spec: of the task.
        agent: index of the agent.
    """

    def __init__(
        self,
        saved: SavedRun,
        algo: AlgoCfg,
        spec: EnvSpec,
        num_agents: int,
        agent: int,
        device: torch.device,
        seed: Optional[int],
    ) -> None:
        self.spec, self.agent, self.device = spec, agent, device
        self._saved, self._algo, self._num_agents, self._seed = saved, algo, num_agents, seed
        self._policy: Optional[Policy] = None
        self._size = 0
        self._is_first = torch.zeros(0, dtype=torch.bool, device=device)
        self._build(1)  # says at once what does not fit

    def act(self, observation: Observation, is_first: Optional[Any] = None) -> Any:
        """Return the action for an observation.

        The memory of a recurrent agent goes on from call to call, until `reset`, or where an
        episode is said to begin. Another number of observations begins anew everywhere.

        Args:
            observation: [O] or [B, O], as the task gives it: a tensor, an array or a list.
            is_first: [B] bool, where an episode begins; None: nowhere, but after `reset`.

        Returns:
            [A] or [B, A] in [-1, 1], or indices of choices; an array for what is no tensor.

        Raises:
            ValueError: if the observation has another width than the task's.
        """
        rows = torch.as_tensor(observation, dtype=torch.float32, device=self.device)
        is_single = rows.dim() == 1
        rows = rows[None] if is_single else rows
        if rows.dim() != 2 or rows.shape[1] != self.spec.observation_dim:
            shape, width = list(rows.shape[is_single:]), self.spec.observation_dim
            raise ValueError(f"observation has the shape {shape}; {self.spec.name} has [{width}]")
        if self._size != len(rows) or self._policy is None:
            self._build(len(rows))
        first = self._is_first
        if is_first is not None:
            first = first | torch.as_tensor(is_first, device=self.device).bool().reshape(-1)
        assert self._policy is not None
        action = self._policy.act(rows, first)
        if not self.spec.choices:
            action = action.clamp(-1.0, 1.0)
        self._is_first = torch.zeros_like(first)
        action = action[0] if is_single else action
        return action if isinstance(observation, Tensor) else action.cpu().numpy()

    def reset(self) -> None:
        """Forget: the next observations begin episodes."""
        self._is_first = torch.ones_like(self._is_first)

    def _build(self, size: int) -> None:
        env: Any = _Sizes(self.spec, size, self.device)
        saved = self._saved
        policy, model = self._policy, None
        if isinstance(policy, AgentPolicy):
            model = policy.model
        if isinstance(model, ActorCritic):
            agent = torch.full((size,), self.agent, device=self.device)
            self._policy = AgentPolicy(model, agent, self._seed)
        else:
            self._policy = load_policy(
                self._algo, self._num_agents, saved.state, saved.file, env, [self.agent], self._seed
            )
        self._size = size
        self._is_first = torch.ones(size, dtype=torch.bool, device=self.device)


class _Sizes:
    """What the networks must know of environments that nobody builds."""

    def __init__(self, spec: EnvSpec, num_envs: int, device: torch.device) -> None:
        self.spec = EnvSpec(**{**vars(spec), "num_envs": num_envs})
        self.device = device

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"a loaded policy has no environments, so no {name}")


def load(path: Path, agent: Union[int, str], device: str, seed: Optional[int]) -> LoadedPolicy:
    """Load an agent of a run, as `epo.load`.

    Raises:
        ConfigError: if there is no such agent or checkpoint, or the run is of an older version.
    """
    saved = SavedRun(path)
    spec = saved.folder.read_spec()
    if spec is None:
        way_out = f"{saved.folder.spec} is missing or damaged, which says what the task is; resume "
        raise ConfigError("checkpoint", path, way_out + "the run with this version to write it")
    algo = _algo(saved)
    population = 1 if trainers.get(algo.trainer).saves_one else int(saved.settings["num_agents"])
    index = population - 1 if agent == "leader" else agent
    if not isinstance(index, int) or not 0 <= index < population:
        way_out = f"use leader, or an index from 0 to {population - 1}, the leader"
        raise ConfigError("agent", agent, way_out)
    return LoadedPolicy(saved, algo, spec, population, index, torch.device(device), seed)


def _algo(saved: SavedRun) -> AlgoCfg:
    """Return the algorithm of a run, from its recorded settings.

    Raises:
        ConfigError: if they are not of this version.
    """
    try:
        settings = saved.settings["algo"]
        node = algo_node(load_target(trainers.get(settings["trainer"]).schema))
        OmegaConf.set_struct(node.own, False)  # those of modules that nobody has imported
        algo = OmegaConf.to_object(OmegaConf.merge(node, settings))
    except OmegaConfBaseException as error:
        reason = str(error).partition("\n")[0]
        way_out = f"its settings do not fit this epo ({reason}); use the one in versions.json"
        raise ConfigError("checkpoint", saved.file, way_out) from error
    assert isinstance(algo, AlgoCfg)
    return algo
