"""The leader without noise on episodes of its own, now and then during a run."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Dict, List

from epo.components import trainers
from epo.config import Config
from epo.envs import CurriculumEnv, VecEnv
from epo.runner.evaluator import Episode, Evaluator, averages, load_policy

if TYPE_CHECKING:
    from epo.runner.loop import Loop

SEED_OFFSET = 10_000
"""From the seed of the training to that of the evaluations."""
MAX_STEPS = 30_000
"""Control steps after which episodes that have not ended are left out: as long as the longest of
the tasks here, 50 goals of 600 steps."""


class Evaluation:
    """Measures the leader every `record.eval_interval` frames.

    It acts without noise in new environments, one episode in each, which begin alike every time.
    A curriculum is held where it ends: early and late evaluations are of one task. `best.pt` is
    then that of the best evaluation.
    They keep nothing, so a resumed run measures the same, and training continues as without it.

    Args:
        cfg: of the run, resolved.
        make_env: builds environments.
    """

    def __init__(self, cfg: Config, make_env: Callable[[Config], VecEnv]) -> None:
        self._interval = cfg.record.eval_interval
        seed = (cfg.seed + SEED_OFFSET) % 2**31
        self._cfg = replace(cfg, num_envs=cfg.record.eval_episodes, num_agents=1, seed=seed)
        self._make_env = make_env
        # The policy of separate networks is that of one of them, the leader's.
        self._population = 1 if trainers.get(cfg.algo.trainer).saves_one else int(cfg.num_agents)

    def is_due(self, before: int, frames: int) -> bool:
        """Return whether an interval ended after `before` and up to `frames` frames."""
        return is_due(self._interval, before, frames)

    def measure(self, loop: Loop) -> Dict[str, float]:
        """Return the means over the episodes: `eval/episode_return`, `eval/steps`, metrics.

        All ranks call it; rank 0 alone acts, on the others there are none.
        """
        cfg, population, acting = self._cfg, self._population, loop.acting_state()
        if loop.ranks.rank:
            return {}
        with closing(self._make_env(cfg)) as env:
            where = Path(str(cfg.run_dir))
            leader = [population - 1]
            policy = load_policy(cfg.algo, population, acting, where, env, leader, None)
            if isinstance(env, CurriculumEnv):
                env.hold_level(env.target_level)
            means = averages(_first_episodes(Evaluator(env, policy)))
        return {
            f"eval/{'episode_return' if name == 'return' else name}": value
            for name, value in means.items()
        }


def is_due(interval: int, before: int, frames: int) -> bool:
    """Return whether an interval ended after `before` and up to `frames` frames; never for 0."""
    return bool(interval) and frames // interval > before // interval


def _first_episodes(evaluator: Evaluator) -> List[Episode]:
    """Act until the first episode of every environment has ended, and return those."""
    first: Dict[int, Episode] = {}
    num_seen = 0
    for _ in range(MAX_STEPS):
        if len(first) == evaluator.env.spec.num_envs:
            break
        evaluator.step()
        for episode in evaluator.episodes[num_seen:]:
            first.setdefault(episode.env, episode)
        num_seen = len(evaluator.episodes)
    return list(first.values())
