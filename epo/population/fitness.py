"""Fitness: what the episodes of every agent's own environments reached."""

from __future__ import annotations

import math
from typing import Any, Callable, Dict, NamedTuple, Sequence, Tuple

import torch
from torch import Tensor

from epo.config import ConfigError
from epo.envs import Step


class Fitness(NamedTuple):
    """Fitness of all agents, [K] each.

    Attributes:
        fitness: mean over the episodes that ended in the agent's own environments since
            the window began; where none did, mean over the last episode of each of them;
            NaN where no episode of the present gene ever ended. Task units.
        standard_error: of that mean; infinite below two episodes. Task units.
        num_episodes: episodes that ended since the window began.
        is_known: bool, every environment of the agent ended an episode of its gene.
    """

    fitness: Tensor
    standard_error: Tensor
    num_episodes: Tensor
    is_known: Tensor

    def pack(self) -> Tensor:
        """Stack to [4, K] float64, so that one transfer brings all to the host."""
        return torch.stack([field.double() for field in self])

    @classmethod
    def unpack(cls, packed: Tensor) -> Fitness:
        """Undo `pack`."""
        return cls(packed[0], packed[1], packed[2], packed[3] > 0)


class EpisodeReturns(NamedTuple):
    """Undiscounted returns of the episodes that ended in a period, [K] each.

    Attributes:
        total: sum over the agent's episodes, task units.
        num_episodes: how many they are.
    """

    total: Tensor
    num_episodes: Tensor

    def mean(self) -> Tensor:
        """Return the mean [K]; NaN where no episode ended."""
        return self.total / self.num_episodes


def summarise(sums: Tensor) -> Fitness:
    """Turn summed moments into means and their standard errors.

    Args:
        sums: [7, K] float64: sum, sum of squares and number of episodes in the window;
            the same of the last episode of each environment; environments per agent.
    """
    window, last, num_envs = sums[:3], sums[3:6], sums[6]
    total, square, num = torch.where(window[2] > 0, window, last)
    mean = total / num  # 0 / 0 = NaN: unknown
    # s^2 = (sum x^2 - n mean^2) / (n - 1),  SE = s / sqrt(n)
    variance = ((square - num * mean**2) / (num - 1)).clamp(min=0.0)
    error = torch.where(num > 1, (variance / num).sqrt(), torch.inf)
    return Fitness(mean, error, window[2], last[2] == num_envs)


def expected_range(num_agents: int) -> float:
    """Return the expected range of K standard normal numbers (4.69 for K = 64).

    The integral of 1 - P(x)^K - (1 - P(x))^K over x, P the normal distribution function.

    Source: Tippett 1925 (the d2 of quality control).
    """
    x = torch.linspace(-10.0, 10.0, 4001, dtype=torch.float64)
    below = 0.5 * (1.0 + torch.erf(x / math.sqrt(2.0)))
    return float(torch.trapezoid(1.0 - below**num_agents - (1.0 - below) ** num_agents, x))


def range_quantile(num_agents: int, level: float) -> float:
    """Return the range of K standard normal numbers that is exceeded with chance 1 - level.

    The range is at most r with probability K times the integral of p(x) (P(x) - P(x - r))^(K-1)
    over x, p and P the normal density and distribution function; r is found by bisection.

    Source: Tukey's studentised range for known variance (3.31 for K = 3 at level 0.95).
    """
    x = torch.linspace(-10.0, 20.0, 3001, dtype=torch.float64)
    density = torch.exp(-0.5 * x**2) / math.sqrt(2.0 * math.pi)
    below = 0.5 * (1.0 + torch.erf(x / math.sqrt(2.0)))
    low, high = 0.0, 20.0
    for _ in range(50):
        middle = 0.5 * (low + high)
        left = 0.5 * (1.0 + torch.erf((x - middle) / math.sqrt(2.0)))
        within = num_agents * torch.trapezoid(density * (below - left) ** (num_agents - 1), x)
        low, high = (middle, high) if float(within) < level else (low, middle)
    return 0.5 * (low + high)


def fitness_range(fitness: Tensor) -> float:
    """Return max - min of the known fitness values [K], on the host."""
    known = fitness[~fitness.isnan()]
    return float(known.max() - known.min()) if known.numel() else 0.0


def gap_threshold(fitness: Tensor, *, ratio: float, floor: float) -> float:
    """Return the range of fitness from which selection is worth while.

    Args:
        fitness: [K] on the CPU, task units; NaN where unknown.
        ratio: gamma of the paper, without unit.
        floor: least median that counts, task units.

    Returns:
        ratio * max(|median|, floor), task units.

    Source: EPO paper eq. 3. Deviates: the floor, since a median near zero would let noise
    pass, and the modulus, since returns may be negative.
    """
    known = fitness[~fitness.isnan()]
    median = float(known.quantile(0.5)) if known.numel() else 0.0
    # evolve if max_k F_k - min_k F_k > gamma max(|median_k F_k|, floor)   (EPO eq. 3)
    return ratio * max(abs(median), floor)


def noise_threshold(standard_error: Tensor, *, factor: float) -> float:
    """Return the range of fitness that agents of equal quality show by chance.

    Args:
        standard_error: [K] on the CPU, task units.
        factor: how many times the expected range counts as chance.

    Returns:
        factor * expected range of K equal agents * root mean square error, task units.
    """
    if factor == 0.0:
        return 0.0
    error = math.sqrt(float((standard_error**2).mean()))
    return factor * expected_range(len(standard_error)) * error


def confidence_width(standard_error: Tensor, *, level: float) -> float:
    """Return how far differences of fitness may be off, for all pairs of agents at once.

    Args:
        standard_error: [K] on the CPU, task units.
        level: chance that every difference is within this width of the true one, in (0, 1).

    Returns:
        Quantile of the range of K equal agents * root mean square error, task units.

    Source: Tukey's honestly significant difference.
    """
    error = math.sqrt(float((standard_error**2).mean()))
    return range_quantile(len(standard_error), level) * error


def identity(sums: Tensor) -> Tensor:
    """Return what a single process measured."""
    return sums


def check_metric(setting: str, name: str, metrics: Sequence[str]) -> None:
    """Refuse a metric that the task does not have; every task has those that are counted here.

    Raises:
        ConfigError: with the names to choose from.
    """
    names = sorted({*metrics, "episode_return", "episode_length"})
    if name not in names:
        auto = "auto or " if setting == "algo.evolution.fitness_metric" else ""
        way_out = f"is not a metric of this task; choose {auto}one of {', '.join(names)}"
        raise ConfigError(setting, name, way_out)


class FitnessTracker:
    """Follow the episodes of all environments, on their device and without any sync.

    Agent k owns the environments [k * E, (k + 1) * E). Of every environment the metrics
    of its last finished episode are kept, among them `episode_return` (task units) and
    `episode_length` (control steps), which are counted here.
    """

    def __init__(
        self,
        num_envs: int,
        num_agents: int,
        device: torch.device,
        fitness_metric: str = "fitness",
        metrics: Sequence[str] = (),
        objective: str = "fitness",
    ) -> None:
        """Start with nothing known.

        Args:
            num_envs: N environments of this process.
            num_agents: K agents; N is a multiple of it.
            device: where the environments live.
            fitness_metric: the metric that is the fitness: `auto` is the task's objective;
                one of its metrics, or "episode_return".
            metrics: of the task, as far as they are known before the first step.
            objective: the task's own (`EnvSpec.objective`).

        Raises:
            ValueError: if the agents cannot own equally many environments.
            ConfigError: if the task has no such metric.
        """
        if num_envs % num_agents:
            nearest = max(1, num_envs // num_agents) * num_agents
            raise ValueError(
                f"num_envs={num_envs} is not a multiple of num_agents={num_agents}: every agent "
                f"owns equally many environments; try num_envs={nearest}"
            )
        self.num_agents = num_agents
        self.envs_per_agent = num_envs // num_agents
        self.device = device
        self.fitness_metric = objective if fitness_metric == "auto" else fitness_metric
        if metrics:
            check_metric("algo.evolution.fitness_metric", self.fitness_metric, metrics)
        self._names: Tuple[str, ...] = ()
        self._last = torch.zeros(0, num_envs, device=device)  # [metrics, N]
        self._is_known = torch.zeros(num_envs, dtype=torch.bool, device=device)
        self._return = torch.zeros(num_envs, device=device)
        self._length = torch.zeros(num_envs, device=device)
        self._window = torch.zeros(3, num_agents, dtype=torch.float64, device=device)
        self._returns = torch.zeros(2, num_agents, dtype=torch.float64, device=device)

    def update(self, step: Step) -> None:
        """Take in one control step of all environments."""
        if not self._names:
            self._name_metrics(step)
        done = step.terminated | step.truncated
        self._return = self._return + step.reward
        self._length = self._length + 1.0
        counted = {**step.metrics, "episode_return": self._return, "episode_length": self._length}
        reached = torch.stack([counted[name] for name in self._names])
        # An episode that began late ends, but what it reached is no result.
        is_result = done if step.is_partial is None else done & ~step.is_partial
        self._last = torch.where(is_result, reached, self._last)
        self._returns += self._moments(self._return, is_result)[::2]
        self._is_known = self._is_known | is_result
        # After a step that is not experience another episode begins, though none has ended.
        is_over = done if step.valid is None else done | ~step.valid
        self._return = torch.where(is_over, 0.0, self._return)
        self._length = torch.where(is_over, 0.0, self._length)
        self._window += self._moments(reached[self._names.index(self.fitness_metric)], is_result)

    def snapshot(self, reduce: Callable[[Tensor], Tensor] = identity) -> Fitness:
        """Return the fitness of every agent's gene now.

        Args:
            reduce: sums a [7, K] tensor over the processes of a distributed run.
        """
        if self._names:
            last = self._last[self._names.index(self.fitness_metric)]
            moments = self._moments(last, self._is_known)
        else:
            moments = torch.zeros_like(self._window)
        num_envs = torch.full_like(self._window[:1], self.envs_per_agent)
        return summarise(reduce(torch.cat([self._window, moments, num_envs])))

    def block_means(self, reduce: Callable[[Tensor], Tensor] = identity) -> Dict[str, Tensor]:
        """Return each metric's mean [K] over every agent's own environments.

        An environment counts with its last finished episode, and not before the first; NaN
        where no environment of the agent has ended one.

        Source: EPO repository, the `successes` curve. Deviates: there an environment counts with
        0 before its first episode, which lets every curve rise from 0 whatever is learned.

        Args:
            reduce: sums a tensor over the processes of a distributed run.
        """
        if not self._names:
            return {}
        blocks = self._last.view(len(self._names), self.num_agents, self.envs_per_agent)
        has_ended = blocks[self._names.index("episode_length")] > 0.0  # an episode of any gene
        total = torch.where(has_ended, blocks, 0.0).double().sum(dim=-1)
        count = has_ended.sum(dim=-1).double()
        *total, count = reduce(torch.cat([total, count.unsqueeze(0)])).unbind()
        return {name: value / count for name, value in zip(self._names, total)}  # 0 / 0 = NaN

    def known_counts(self) -> Tensor:
        """Count, per agent [K], the environments that ended an episode of its gene."""
        return self._is_known.view(self.num_agents, self.envs_per_agent).sum(dim=-1)

    def take_returns(self, reduce: Callable[[Tensor], Tensor] = identity) -> EpisodeReturns:
        """Return the returns of the episodes that ended since the last call.

        Args:
            reduce: sums a tensor over the processes of a distributed run.
        """
        taken, self._returns = reduce(self._returns), torch.zeros_like(self._returns)
        return EpisodeReturns(taken[0], taken[1])

    def start_window(self, changed: Sequence[int] = ()) -> None:
        """Forget the window, after a generation or when it has become old.

        Args:
            changed: agents with another gene: their last episodes, which the old gene lived, no
                longer count as known. The metrics are kept.
        """
        self._window = torch.zeros_like(self._window)
        if changed:
            is_known = self._is_known.view(self.num_agents, self.envs_per_agent).clone()
            is_known[list(changed)] = False
            self._is_known = is_known.flatten()

    def break_off(self, agent: int) -> None:
        """Forget the running episodes of `agent`, because new ones begin in their places."""
        envs = slice(agent * self.envs_per_agent, (agent + 1) * self.envs_per_agent)
        self._return, self._length = self._return.clone(), self._length.clone()
        self._return[envs] = 0.0
        self._length[envs] = 0.0

    def state_dict(self) -> Dict[str, Any]:
        """Return everything that changes."""
        return {
            "names": list(self._names),
            "fitness_metric": self.fitness_metric,
            "last": self._last.clone(),
            "is_known": self._is_known.clone(),
            "return": self._return.clone(),
            "length": self._length.clone(),
            "window": self._window.clone(),
            "returns": self._returns.clone(),
        }

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self._names = tuple(state["names"])
        self.fitness_metric = state["fitness_metric"]
        self._last = state["last"].to(self.device, copy=True)
        self._is_known = state["is_known"].to(self.device, copy=True)
        self._return = state["return"].to(self.device, copy=True)
        self._length = state["length"].to(self.device, copy=True)
        self._window = state["window"].to(self.device, copy=True)
        self._returns = state["returns"].to(self.device, copy=True)

    def _name_metrics(self, step: Step) -> None:
        names = tuple({**step.metrics, "episode_return": 0, "episode_length": 0})
        check_metric("algo.evolution.fitness_metric", self.fitness_metric, names)
        self._names = names
        self._last = self._last.new_zeros(len(names), len(self._return))

    def _moments(self, value: Tensor, counts: Tensor) -> Tensor:
        """Sum value, its square and 1 over each agent's environments that count: [3, K]."""
        # A metric is only valid where an episode ended: where, not a product with zero.
        taken = torch.where(counts, value, 0.0).double()
        moments = torch.stack([taken, taken**2, counts.double()])
        return moments.view(3, self.num_agents, self.envs_per_agent).sum(dim=-1)
