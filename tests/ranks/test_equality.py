"""Two ranks of N / 2 environments learn what one process learns from N."""

from __future__ import annotations

from typing import Any, Dict, List

import pytest
import torch
from torch import Tensor

from epo.config import AdversaryCfg, AlgoCfg, AwacCfg, EvolutionCfg
from epo.runner.trainer import Trainer
from tests.learner.small_run import small_cfg
from tests.ranks.threads import on_ranks, trainer

ITERATIONS = 2
N = 24


def _ppo(kind: str) -> AlgoCfg:
    return small_cfg(kind, "none")


def _epo(kind: str) -> AlgoCfg:
    cfg = small_cfg(kind)
    cfg.evolution = EvolutionCfg(
        enabled=True, interval_frames=N * 6, warmup_frames=0, trigger="interval",
        num_elites=1, num_replaced=1, noise_guard=0.0,
    )  # fmt: skip
    return cfg


def _cpo(kind: str) -> AlgoCfg:
    cfg = small_cfg(kind)
    cfg.cpo.lambda_kl, cfg.cpo.awac = 0.1, AwacCfg(beta=0.1)
    cfg.cpo.adversary = AdversaryCfg(coef=0.01, mlp_units=[8])
    return cfg


def _rest(kind: str) -> AlgoCfg:
    """Put everything else that takes a mean of a minibatch into one run."""
    cfg = small_cfg(kind)
    cfg.penalty.kind, cfg.penalty.hinge_coef = "adaptive", 10.0
    cfg.clip.kind, cfg.clip.window = "br", 2
    cfg.poem.enabled, cfg.poem.warmup_updates = True, 0
    cfg.aggregation.leader_weight, cfg.aggregation.follower_kl_coef = 2.0, 0.1
    cfg.aggregation.kl_reference = "exclude"
    cfg.normalizer.timing = "minibatch"
    return cfg


def _symmetric(kind: str) -> AlgoCfg:
    return small_cfg(kind, "symmetric")


CASES = {
    "ppo": (_ppo, 1),
    "sapg": (small_cfg, 3),
    "epo": (_epo, 4),
    "cpo": (_cpo, 3),
    "symmetric": (_symmetric, 3),
    "rest": (_rest, 3),
}


def _weights(run: Trainer) -> Dict[str, Tensor]:
    return {name: value.clone() for name, value in run.model.state_dict().items()}


def _follow(run: Trainer) -> List[Any]:
    """Return weights and row of numbers after every iteration."""
    return [(dict(run.iterate()), _weights(run)) for _ in range(ITERATIONS)]


ONCE = {"symmetric": "mlp", "rest": "lstm"}
BOTH = [(name, kind) for name in CASES for kind in ("mlp", "lstm") if ONCE.get(name, kind) == kind]


@pytest.fixture(scope="module", params=BOTH, ids="-".join)
def runs(request: pytest.FixtureRequest) -> Any:
    """Return what one process and what each of two ranks did, iteration by iteration.

    The runs of EPO have had a generation by then.
    """
    name, kind = request.param
    make, num_agents = CASES[name]
    alone = _follow(trainer(make(kind), num_agents, N))
    assert (alone[-1][0]["generation"] > 0.0) == (name == "epo")
    return alone, on_ranks(2, lambda ranks: _follow(trainer(make(kind), num_agents, N, ranks)))


def test_weights_equal_those_of_one_process(runs: Any) -> None:
    alone, (first, _) = runs
    for (_, expected), (_, found) in zip(alone, first):
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-5, msg=name)


def test_weights_are_bit_equal_on_all_ranks_after_every_iteration(runs: Any) -> None:
    _, (first, second) = runs
    for (_, one), (_, other) in zip(first, second):
        assert all(torch.equal(value, other[name]) for name, value in one.items())


TIMES = ("wall_s", "fps", "sim_s", "learn_s", "act_s", "wait_s", "exchange_s")
SUMMED = ("kill", "clip_frac", "kl_exact", "ratio_mean", "ratio_max", "gain", "grad_norm_max")
"""Health signals that are of all samples; others are means of every rank's own."""


def _is_compared(name: str) -> bool:
    kind, _, signal = name.rpartition("/")
    return name not in TIMES and (kind != "health" or signal in SUMMED)


def test_numbers_equal_those_of_one_process(runs: Any) -> None:
    alone, (first, second) = runs
    for (expected, _), (found, _), (other, _) in zip(alone, first, second):
        assert {"wait_s", "exchange_s"} == found.keys() - expected.keys()
        for name, value in expected.items():
            if not _is_compared(name):
                continue
            assert found[name] == pytest.approx(value, rel=1e-3, abs=1e-4, nan_ok=True), name
            assert other[name] == pytest.approx(found[name], rel=0, abs=0, nan_ok=True), name
