from __future__ import annotations

import math
from types import SimpleNamespace
from typing import List

from epo.cli.eval.measure import Result, play, results
from epo.envs import EnvSpec
from epo.runner.evaluator import Episode


class Worlds:
    """World i ends an episode after every i + 1 steps."""

    def __init__(self, num_envs: int) -> None:
        self.env = SimpleNamespace(spec=SimpleNamespace(num_envs=num_envs))
        self.episodes: List[Episode] = []
        self.num_steps = 0

    def step(self) -> None:
        self.num_steps += 1
        for i in range(self.env.spec.num_envs):
            if self.num_steps % (i + 1) == 0:
                self.episodes.append(Episode(i, i + 1, float(i), {}))


SPEC = EnvSpec("task", "e", 3, 1, 1, 0.02, success="solved")


def episode(env: int, episode_return: float = 0.0, **metrics: float) -> Episode:
    return Episode(env, 10, episode_return, metrics)


def test_every_world_contributes_the_same_number_of_episodes():
    worlds, seen = Worlds(3), []
    played = play(worlds, per_world=2, max_steps=100, tick=seen.append)  # type: ignore[arg-type]
    assert sorted(e.env for e in played) == [0, 0, 1, 1, 2, 2]
    assert worlds.num_steps == 6  # the slowest: 2 x 3
    # Step 1: world 0; 2: worlds 0 and 1; 3: world 2; 4: world 1; 6: world 2.
    assert seen == [1, 3, 4, 5, 5, 6]


def test_episodes_that_do_not_end_are_given_up():
    played = play(Worlds(3), per_world=1, max_steps=2, tick=lambda _: None)  # type: ignore[arg-type]
    assert [e.env for e in played] == [0, 1]
    of_agent = results(SPEC, "m", [0, 4, 7], 1, 1, played, {"height": 0.5})
    assert of_agent[0][-2:] == ("solved", {"height": 0.5})
    assert [(r.agent, len(r.episodes), r.num_missing) for r in of_agent] == [
        (0, 1, 0),
        (4, 1, 0),
        (7, 0, 1),
    ]


def test_episode_with_one_success_or_more_is_one():
    result = Result("e", "m", 0, [episode(0, successes=n) for n in (0, 1, 5, 0)], 0, "successes")
    assert result.success_rate is not None
    assert result.success_rate.value == 0.5
    assert result.metrics["successes"].value == 1.5


def test_task_without_successes_has_no_success_rate():
    result = Result("e", "m", 0, [episode(0, fitness=1.0)], 0)
    assert result.success_rate is None
    assert result.as_plain()["success_rate"] is None


def test_nothing_known_is_null():
    plain = Result("e", "m", 0, [], 3).as_plain()
    assert plain["return"] == {"value": None, "low": None, "high": None}
    assert plain["num_missing"] == 3


def test_single_episode_has_a_mean_and_no_interval():
    result = Result("e", "m", 0, [episode(0, 2.0)], 0)
    assert result.episode_return.value == 2.0
    assert math.isnan(result.episode_return.low)
