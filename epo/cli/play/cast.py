"""Who acts in which world."""

from __future__ import annotations

from typing import TYPE_CHECKING, List, Optional

from epo.cli.play.options import MAX_AGENTS, MAX_TILES, Options
from epo.components import trainers
from epo.config import Config, ConfigError

if TYPE_CHECKING:
    from epo.envs import VecEnv
    from epo.runner.evaluator import Policy
    from epo.runner.saved_run import SavedRun


class Cast:
    """The actors and the number of worlds that each plays in.

    Args:
        options: checked options.
        population: K, agents of the configuration; the last is the leader.
        saved: the checkpoint; None: nobody was trained.

    Attributes:
        population: K, agents of the configuration.
        agents: indices of the agents that are shown.
        num_worlds: worlds of each agent; world i belongs to agents[i // num_worlds].
        labels: who acts, for every world.

    Raises:
        ConfigError: if an agent is out of range or there are too many worlds.
    """

    def __init__(self, options: Options, population: int, saved: Optional[SavedRun]) -> None:
        self._saved = saved if options.policy is None else None
        self._policy = options.policy
        self.population = population
        self._is_deterministic = options.deterministic
        self.agents = shown_agents(options.agent, population)
        self.num_worlds = _worlds_per_agent(options, len(self.agents))
        self.labels = [
            name for name in map(self._name, self.agents) for _ in range(self.num_worlds)
        ]

    def policy(self, cfg: Config, env: VecEnv) -> Policy:
        """Build the policy for the worlds of `env`.

        Raises:
            CheckpointError: if the network does not fit the task.
        """
        from epo.runner.evaluator import RandomPolicy, ZeroPolicy

        if self._saved is not None:
            return self._trained(cfg, env, self._saved, self.agents)
        if self._policy == "zero":
            return ZeroPolicy(env.spec, env.device)
        return RandomPolicy(env.spec, env.device, cfg.seed)

    def policy_of(self, cfg: Config, env: VecEnv, saved: SavedRun, agent: int) -> Policy:
        """Build the policy of one agent for all worlds of `env`, from any checkpoint of the run.

        Raises:
            CheckpointError: if the network does not fit the task.
        """
        return self._trained(cfg, env, saved, [agent])

    def _trained(self, cfg: Config, env: VecEnv, saved: SavedRun, agents: List[int]) -> Policy:
        from epo.runner.evaluator import load_policy

        seed = None if self._is_deterministic else cfg.seed
        return load_policy(cfg.algo, self.population, saved.state, saved.file, env, agents, seed)

    def _name(self, agent: int) -> str:
        if self._saved is None:
            return f"{self._policy} actions"
        return f"agent {agent}" + " (leader)" * (agent == self.population - 1)


def population_of(cfg: Config) -> int:
    """Return the number of agents in a checkpoint of a run.

    One of separate networks holds one of them, the leader's.
    """
    return 1 if trainers.get(cfg.algo.trainer).saves_one else int(cfg.num_agents)


def shown_agents(
    agent: str, population: int, name: str = "agent", most: int = MAX_AGENTS
) -> List[int]:
    """Return the indices of the agents that `agent` means.

    Args:
        agent: `leader`, `all`, or indices with commas between them.
        population: K; the last agent is the leader.
        name: of the option, for the message.
        most: agents that `all` means at most.

    Raises:
        ConfigError: if one is out of range.
    """
    if agent == "leader":
        return [population - 1]
    if agent == "all":
        num = min(population, most)
        # Evenly spread, the leader among them.
        return [(i + 1) * population // num - 1 for i in range(num)]
    words = agent.split(",")
    if not all(word.isdigit() and int(word) < population for word in words):
        way_out = f"use leader, all, or indices from 0 to {population - 1}, the leader"
        raise ConfigError(name, agent, way_out)
    return [int(word) for word in words]


def _worlds_per_agent(options: Options, num_agents: int) -> int:
    num = options.num_worlds
    if num is None:
        num = 4 if num_agents == 1 and options.video and not options.viewer else 1
    if num * num_agents > MAX_TILES:
        way_out = f"too many for one picture; use at most {MAX_TILES // num_agents}"
        raise ConfigError("num_worlds", num, way_out)
    return num
