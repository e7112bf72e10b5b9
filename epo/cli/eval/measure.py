"""Episodes of agents that do not learn, and what they reached."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence

from epo.cli.study.statistics import Interval, mean_interval, share_interval
from epo.envs import EnvSpec
from epo.runner.evaluator import Episode, Evaluator


class Result(NamedTuple):
    """What one agent reached in one mode on one engine.

    Attributes:
        engine, mode: where and how it acted.
        agent: its index.
        episodes: those that ended.
        num_missing: episodes that had not ended when the evaluation gave up.
        success: the metric that counts successes (`EnvSpec.success`).
        level: name -> level that the curriculum was held at; empty: the task has none.
    """

    engine: str
    mode: str
    agent: int
    episodes: List[Episode]
    num_missing: int
    success: str = ""
    level: Mapping[str, float] = MappingProxyType({})

    @property
    def episode_return(self) -> Interval:
        """Mean return, task units, with its 95 % interval."""
        return mean_interval([episode.episode_return for episode in self.episodes])

    @property
    def length(self) -> Interval:
        """Mean length, control steps, with its 95 % interval."""
        return mean_interval([float(episode.steps) for episode in self.episodes])

    @property
    def metrics(self) -> Dict[str, Interval]:
        """Mean of every metric of the task, with its 95 % interval."""
        names = self.episodes[0].metrics if self.episodes else ()
        return {n: mean_interval([e.metrics[n] for e in self.episodes]) for n in names}

    @property
    def success_rate(self) -> Optional[Interval]:
        """Share of episodes with a success and its 95 % interval; None: the task has none."""
        names = self.episodes[0].metrics if self.episodes else ()
        if self.success not in names:
            return None
        num = sum(episode.metrics[self.success] >= 1.0 for episode in self.episodes)
        return share_interval(num, len(self.episodes))

    def as_plain(self) -> Dict[str, Any]:
        """Return everything as plain types, every episode included; null where nothing is known."""
        rate = self.success_rate
        return {
            "engine": self.engine,
            "mode": self.mode,
            "agent": self.agent,
            "num_episodes": len(self.episodes),
            "num_missing": self.num_missing,
            "return": _plain(self.episode_return),
            "length": _plain(self.length),
            "success_rate": None if rate is None else _plain(rate),
            "metrics": {name: _plain(value) for name, value in self.metrics.items()},
            "episodes": [
                {"return": e.episode_return, "steps": e.steps, **e.metrics} for e in self.episodes
            ],
        }


def play(
    evaluator: Evaluator, per_world: int, max_steps: int, tick: Callable[[int], None]
) -> List[Episode]:
    """Step until every world has ended its first `per_world` episodes.

    Every world contributes the same number: the first episodes that *end* among many worlds would
    be the short ones.

    Args:
        evaluator: N worlds, reset.
        per_world: episodes of each.
        max_steps: control steps after which worlds that still play are given up.
        tick: told the number of counted episodes, at most N x per_world, after every step.

    Returns:
        The first `per_world` episodes of each world, fewer where `max_steps` was reached.
    """
    counts = [0] * evaluator.env.spec.num_envs
    counted: List[Episode] = []
    num_seen = 0
    for _ in range(max_steps):
        if len(counted) == len(counts) * per_world:
            break
        evaluator.step()
        for episode in evaluator.episodes[num_seen:]:
            if counts[episode.env] < per_world:
                counts[episode.env] += 1
                counted.append(episode)
        num_seen = len(evaluator.episodes)
        tick(len(counted))
    return counted


def results(
    spec: EnvSpec,
    mode: str,
    agents: Sequence[int],
    worlds: int,
    per_world: int,
    played: List[Episode],
    level: Mapping[str, float],
) -> List[Result]:
    """Sort episodes by their agents; world i belongs to agents[i // worlds]."""
    own: List[List[Episode]] = [[] for _ in agents]
    for episode in played:
        own[episode.env // worlds].append(episode)
    wanted = worlds * per_world
    return [
        Result(spec.engine, mode, agent, episodes, wanted - len(episodes), spec.success, level)
        for agent, episodes in zip(agents, own)
    ]


def _plain(value: Interval) -> Dict[str, Optional[float]]:
    """Name the parts of an interval; JSON knows no NaN."""
    return {k: v if math.isfinite(v) else None for k, v in value._asdict().items()}
