"""Minibatches of a fixed size divide the batch of every algorithm, or are refused."""

from __future__ import annotations

from typing import Dict

import pytest

from epo.config import ConfigError
from epo.config.batch import nearest_divisors, num_sequences
from epo.learner.batch import minibatch_spans
from epo.validation import validate
from tests.composed import composed
from tests.learner.small_run import small_cfg, small_run

# Command -> sequences of 16 steps in an update, by hand.
BATCHES: Dict[str, int] = {
    "algo=ppo num_envs=96": 96,
    "algo=sapg num_envs=96": 112,  # 96 + 96 / 6
    "algo=sapg num_envs=96 algo.aggregation.ratio=3": 144,  # 96 + 3 x 16
    "algo=sapg num_envs=96 algo.aggregation.mode=symmetric": 192,  # everybody another 16
    "algo=sapg num_envs=96 algo.aggregation.mode=none": 96,
    "algo=sapg num_envs=96 num_agents=1": 96,
    "algo=epo num_envs=128": 130,
    "algo=ppo_br num_envs=96": 96,
    "algo=poem num_envs=96": 96,
    "algo=pbt num_envs=96": 12,  # 96 / 8, a batch per member
    "algo=pbt num_envs=96 algo.pbt.backend=files algo.pbt.folder=x algo.pbt.member=0": 96,
}


@pytest.mark.parametrize("command", BATCHES)
def test_every_divisor_of_the_batch_is_taken_and_nothing_else(command: str):
    sequences, cfg = BATCHES[command], composed(*command.split())
    for size in range(1, sequences + 1):
        cfg.algo.ppo.minibatch_size = 16 * size
        if sequences % size == 0:
            validate(cfg)
            continue
        with pytest.raises(ConfigError, match=f"^algo.ppo.minibatch_size={16 * size}: "):
            validate(cfg)


def test_refusal_names_the_nearest_sizes():
    # (96 + 16) sequences; the divisors around 32 are 28 and 56.
    message = (
        r"^algo.ppo.minibatch_size=512: does not divide the batch of 1792 samples \(96 "
        r"environments and 16 copies for others, 16 steps each\); use 448 or 896$"
    )
    with pytest.raises(ConfigError, match=message):
        validate(composed("algo=sapg", "num_envs=96", "algo.ppo.minibatch_size=512"))


@pytest.mark.parametrize(
    ("number", "wanted", "expected"),
    [(24, 5, (4, 6)), (24, 6, (6, 8)), (7, 3, (1, 7)), (36, 36, (36,)), (1, 1, (1,))],
)
def test_nearest_divisors_by_hand(number, wanted, expected):
    assert nearest_divisors(number, wanted) == expected


@pytest.mark.parametrize("mode", ["none", "leader_follower", "symmetric"])
@pytest.mark.parametrize("ratio", [1.0, 2.0, 9.0])
def test_number_of_sequences_is_that_of_the_learner(mode, ratio):
    cfg = small_cfg(mode=mode)
    cfg.aggregation.ratio = ratio
    learner = small_run(cfg, num_agents=4, num_envs=12).learner
    copies = 0 if mode == "none" else len(learner.draw_sources()[0])
    assert num_sequences(cfg, 12, 4) == 12 + copies


@pytest.mark.parametrize("algo", ["ppo_coscaled", "ppo_coscaled_adaptive"])
def test_number_of_minibatches_grows_with_the_environments(algo):
    for num_envs, count in ((2048, 1), (8192, 4), (24_576, 12)):
        cfg = composed(f"algo={algo}", f"num_envs={num_envs}")
        validate(cfg)
        spans = minibatch_spans(num_envs, cfg.algo.ppo.horizon, cfg.algo.ppo)
        assert len(spans) == count
        assert {end - start for start, end in spans} == {2048}  # 32,768 / 16


def test_small_batches_are_told_the_largest_size():
    with pytest.raises(ConfigError, match=r"minibatch_size=32768: larger .* at most 4096"):
        validate(composed("algo=ppo_coscaled", "num_envs=256"))


@pytest.mark.parametrize("num_agents", [1, 4])
def test_learner_takes_as_many_equal_steps_as_fit(num_agents):
    cfg = small_cfg()
    cfg.ppo.minibatch_size = 2 * cfg.ppo.horizon  # of 8 + 2 sequences with four agents
    run = small_run(cfg, num_agents)
    run.iterate()
    sizes = [len(step.ids) for step in run.learner.record]
    assert sizes == [2] * (cfg.ppo.num_epochs * (5 if num_agents == 4 else 4))
