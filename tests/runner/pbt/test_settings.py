"""Settings of population based training that cannot work are refused by name, with the way out."""

from __future__ import annotations

from typing import List

import pytest

from epo.config import ConfigError
from epo.validation import resolve, validate
from tests.composed import composed

FILES = ["algo.pbt.backend=files", "algo.pbt.folder=population", "algo.pbt.member=0"]
BAD = {
    "num_agents=8 num_envs=100": r"num_envs=100: 8 agents need equal blocks .* use 96 or 104",
    "num_agents=2": r"num_agents=2: two members are too few to compare; use at least 3",
    "algo.pbt.best_fraction=0.6 algo.pbt.worst_fraction=0.6": (
        r"best_fraction=0\.6: the best 5 and the worst 5 of num_agents=8 overlap; use less"
    ),
    "algo.pbt.worst_fraction=0": r"worst_fraction=0\.0: use a number from 0\.000001 to 1",
    "algo.pbt.interval_frames=0": r"interval_frames=0: use at least 1",
    "algo.pbt.mutation_rate=1.5": r"mutation_rate=1\.5: use a number from 0 to 1",
    "algo.pbt.min_factor=2": r"min_factor=2\.0: use a number from 1 to max_factor=1\.5",
    "algo.pbt.backend=disk": r"backend=disk: unknown.*choices: process, files",
    "algo.pbt.mutable=[ppo.gama]": r"mutable=ppo\.gama: unknown \(choices: .*ppo\.gamma",
    "algo.pbt.mutable=[ppo.horizon]": r"mutable=ppo\.horizon: unknown",
    "algo.pbt.objective=episode_return": r"mutable=reward: the objective is the reward itself",
    "algo.pbt.mutable=[ppo.learning_rate]": r"mutable=ppo\.learning_rate: .*schedule=fixed",
    "algo.evolution.enabled=true": r"evolution\.enabled=True: members share no network; use false",
    "algo.aggregation.mode=symmetric": r"aggregation\.mode=symmetric: .* use none",
    "algo.pbt.folder=population": r"folder=population: only for algo\.pbt\.backend=files; add it",
    "num_envs=16 algo.ppo.num_minibatches=4": r"num_minibatches=4: a member has 2 environments",
    "num_envs=32 algo.ppo.minibatch_size=128": (
        r"minibatch_size=128: a member has 4 environments; use at most 64"
    ),
    "algo.pbt.backend=files": r"folder=null: algo\.pbt\.backend=files needs the folder",
    "algo.pbt.backend=files algo.pbt.folder=x": r"member=null: use a number from 0 to .* 7, in",
    "algo.pbt.backend=files algo.pbt.folder=x algo.pbt.member=8": r"member=8: use a number from 0",
    " ".join([*FILES, "num_agents=8"]): r"num_agents=8: .* every process is one member; use 1",
    " ".join([*FILES, "algo.pbt.num_members=2"]): r"num_members=2: two members are too few",
}


@pytest.mark.parametrize("command", BAD, ids=lambda command: command[-50:])
def test_impossible_settings_are_named(command: str):
    with pytest.raises(ConfigError, match=BAD[command]):
        validate(composed("algo=pbt", *command.split()))


@pytest.mark.parametrize(
    ("words", "num_agents"), [([], 8), (["num_agents=1"], 1), (["num_agents=3"], 3), (FILES, 1)]
)
def test_auto_means_one_agent_per_process_or_all_members(words: List[str], num_agents: int):
    cfg, _ = resolve(composed("algo=pbt", "device=cpu", *words))
    assert cfg.num_agents == num_agents and cfg.num_envs % num_agents == 0


def test_objective_that_is_the_reward_may_mutate_the_rest():
    mutable = "algo.pbt.mutable=[ppo.gamma,ppo.clip_eps]"
    validate(composed("algo=pbt", "algo.pbt.objective=episode_return", mutable))
