"""Acting without learning: agents in environments of their own, and what their episodes reached."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Protocol, Sequence

import torch
from torch import Tensor

from epo.components import load, trainers
from epo.config import AlgoCfg
from epo.envs import EnvSpec, Step, VecEnv
from epo.models.actor_critic import ActorCritic
from epo.runner.checkpoint import CheckpointError
from epo.runner.trainer import build_model


class Policy(Protocol):
    """Chooses actions for N environments."""

    def act(self, observation: Tensor, is_first: Tensor) -> Tensor:
        """Return the actions [N, A] for observations [N, O]; `is_first` [N]: an episode begins."""
        ...


class AgentPolicy:
    """Agents of a trained population, each in its own environments.

    Args:
        model: the population's network.
        agent: [N] int64, who acts in each environment.
        seed: of the action noise; None: the most likely action, for Gaussians the mean.
    """

    def __init__(self, model: ActorCritic, agent: Tensor, seed: Optional[int] = None) -> None:
        self.model = model
        self.agent = agent
        self._memory = model.initial_memory(len(agent))
        self._generator: Optional[torch.Generator] = None
        if seed is not None:
            self._generator = torch.Generator(agent.device).manual_seed(seed)

    @torch.no_grad()
    def act(self, observation: Tensor, is_first: Tensor) -> Tensor:
        """Return the actions [N, A]; the memory of episodes that begin is empty."""
        output = self.model(observation[None], self.agent, self._memory, is_first[None])
        self._memory = output.memory
        mean, distribution = output.mean[0], self.model.distribution
        if self._generator is None:
            return distribution.mode(mean)
        noise = distribution.noise(mean, self._generator)
        return distribution.sample(mean, output.log_std, noise)


class RandomPolicy:
    """Every action with the same probability.

    Args:
        spec: of the environments.
        device: where the actions go.
        seed: of the actions.
    """

    def __init__(self, spec: EnvSpec, device: torch.device, seed: int) -> None:
        self.spec = spec
        self._generator = torch.Generator(device).manual_seed(seed)

    def act(self, observation: Tensor, is_first: Tensor) -> Tensor:
        """Return actions [N, A], uniform in [-1, 1] or among the choices."""
        shape = (self.spec.num_envs, self.spec.action_dim)
        u = torch.rand(shape, generator=self._generator, device=self._generator.device)
        if not self.spec.choices:
            return 2.0 * u - 1.0
        return (u * torch.tensor(self.spec.choices, device=u.device)).floor()


class ZeroPolicy:
    """The action 0: the middle of every range, or the first choice.

    Args:
        spec: of the environments.
        device: where the actions go.
    """

    def __init__(self, spec: EnvSpec, device: torch.device) -> None:
        self._action = torch.zeros(spec.num_envs, spec.action_dim, device=device)

    def act(self, observation: Tensor, is_first: Tensor) -> Tensor:
        """Return the actions [N, A]."""
        return self._action


def load_policy(
    algo: AlgoCfg,
    num_agents: int,
    state: Dict[str, Any],
    path: Path,
    env: VecEnv,
    agents: Sequence[int],
    seed: Optional[int],
) -> Policy:
    """Build the network of a checkpoint and let `agents` act, each in an equal share of `env`.

    What was not trained with one shared network has one agent, which acts without noise.

    Args:
        algo: the algorithm that it was trained with.
        num_agents: K, of the population.
        state: content of the checkpoint.
        path: where it is from.
        env: N environments, N a multiple of the number of agents.
        agents: indices of the agents that act, environment i under agent i // (N / len(agents)).
        seed: as in `AgentPolicy`.

    Raises:
        CheckpointError: if its network does not fit.
    """
    load_own = trainers.get(algo.trainer).policy
    if load_own is not None:
        return load(load_own)(algo, state, path, env)
    if "model" not in state:
        raise CheckpointError(path, f"holds no shared network (algo.trainer={algo.trainer})")
    model = build_model(algo, env, num_agents, seed=0)
    try:
        model.load_state_dict(state["model"])
    except RuntimeError as error:
        raise CheckpointError(
            path, "its network does not fit the task; use the one that it was trained on"
        ) from error
    share = env.spec.num_envs // len(agents)
    agent = torch.tensor(agents, device=env.device).repeat_interleave(share)
    return AgentPolicy(model, agent, seed)


class Episode(NamedTuple):
    """What happened in one environment from a first observation on.

    Attributes:
        env: index of the environment.
        steps: control steps.
        episode_return: sum of rewards, task units.
        metrics: the task's own, name -> value.
    """

    env: int
    steps: int
    episode_return: float
    metrics: Dict[str, float]


class Evaluator:
    """Let a policy act and keep count of every episode.

    Args:
        env: the environments; reset here.
        policy: who acts.

    Attributes:
        episodes: those that ended, in the order of their ends.
    """

    def __init__(self, env: VecEnv, policy: Policy) -> None:
        self.env = env
        self.policy = policy
        self.episodes: List[Episode] = []
        self._observation = env.reset()
        num_envs, device = env.spec.num_envs, env.device
        self._is_first = torch.ones(num_envs, dtype=torch.bool, device=device)
        self._steps = torch.zeros(num_envs, dtype=torch.int64, device=device)
        self._return = torch.zeros(num_envs, device=device)
        self._metrics: Dict[str, Tensor] = {}

    def step(self) -> Step:
        """Act for one control step in all environments."""
        step = self.env.step(self.policy.act(self._observation, self._is_first))
        valid = torch.ones_like(step.terminated) if step.valid is None else step.valid
        done = (step.terminated | step.truncated) & valid
        self._observation = step.observation
        self._is_first = done | ~valid
        self._steps = self._steps + valid
        self._return = self._return + step.reward * valid
        self._metrics = step.metrics
        ended = done.nonzero()[:, 0].tolist()
        self.episodes += [self.present(i) for i in ended]
        self._steps = self._steps.masked_fill(done, 0)
        self._return = self._return.masked_fill(done, 0.0)
        return step

    def present(self, env: int) -> Episode:
        """Return what the episode that runs in an environment reached so far."""
        steps = int(self._steps[env])
        # Before the first step they are still those of the episode before.
        metrics = {name: float(value[env]) for name, value in self._metrics.items() if steps}
        return Episode(env, steps, float(self._return[env]), metrics)

    def running(self) -> List[Episode]:
        """Return the episodes that have started and not ended."""
        present = [self.present(i) for i in range(self.env.spec.num_envs)]
        return [episode for episode in present if episode.steps]


def averages(episodes: Sequence[Episode]) -> Dict[str, float]:
    """Average steps, return and metrics over episodes, by name; empty without episodes."""
    columns: Dict[str, List[float]] = {}
    for episode in episodes:
        row = {"steps": float(episode.steps), "return": episode.episode_return, **episode.metrics}
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in columns.items()}
