"""PPO-BR, PPO-KL and POEM as whole algorithms: neutral ones are PPO, all can be resumed."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Dict, List, Tuple

import pytest
import torch
import yaml

from epo.record.recorder import Recorder
from epo.runner import checkpoint
from epo.runner.trainer import Trainer
from epo.validation import get, resolve
from tasks import registry
from tests.composed import composed

SMALL = [
    "task=ProbeReach",
    "device=cpu",
    "num_envs=32",
    "algo.network.lstm_units=8",
    "algo.network.mlp_units=[16]",
    "algo.ppo.num_minibatches=2",
    "algo.ppo.horizon=8",
    "task.episode_length=10",
    "algo.ppo.learning_rate=3e-3",
]
TIMES = {"wall_s", "fps", "sim_s", "learn_s", "act_s"}
FIXED = "algo=ppo algo.ppo.schedule=fixed"
ALWAYS = "algo.poem.acceptance=always algo.poem.kl_threshold=1000.0 algo.poem.warmup_updates=1"
# Neutral settings, and the PPO that they must equal.
NEUTRAL = {
    "ppo_br": ("algo=ppo_br algo.clip.expansion=0 algo.clip.contraction=0", FIXED),
    "ppo_kl": (
        "algo=ppo_kl algo.clip.kind=constant algo.penalty.kind=fixed algo.penalty.coef=0",
        FIXED,
    ),
    "poem": ("algo=poem algo.poem.acceptance=never algo.poem.warmup_updates=0", "algo=ppo"),
    "poem_paper": ("algo=poem_paper algo.poem.acceptance=never", FIXED),
    "poem_never_triggered": (
        "algo=poem algo.poem.kl_threshold=0 algo.poem.warmup_updates=0 algo.poem.acceptance=always",
        "algo=ppo",
    ),
    "poem_warmup": ("algo=poem algo.poem.acceptance=always", "algo=ppo"),
    "cpo_alone": ("algo=cpo num_agents=1", "algo=ppo"),
    "cpo_without_terms": (
        "algo=cpo num_agents=4 algo.cpo.lambda_kl=0 algo.cpo.awac.beta=0 algo.cpo.adversary.coef=0",
        "algo=sapg num_agents=4",
    ),
    "diagnostics": ("algo=ppo algo.diagnostics.enabled=false", "algo=ppo"),
}
# Settings that do something, and the algorithm that they change.
ACTIVE = {
    "ppo_br": ("algo=ppo_br algo.clip.window=3 algo.clip.smoothing=0.5", FIXED),
    "ppo_br_of_a_population": (
        "algo=sapg num_agents=4 algo.clip.kind=br algo.clip.decay_frames=5000 algo.clip.window=3",
        "algo=sapg num_agents=4",
    ),
    "ppo_kl": ("algo=ppo_kl algo.penalty.kl_target=0.001", FIXED),
    "ppo_kl_clipped": ("algo=ppo_kl algo.clip.kind=constant algo.penalty.hinge_coef=1000", FIXED),
    "cpo": ("algo=cpo num_agents=4 algo.cpo.adversary.coef=0.1", "algo=sapg num_agents=4"),
    "cpo_released": ("algo=cpo_released num_agents=4", "algo=sapg num_agents=4"),
    "cpo_constraint": ("algo=sapg num_agents=4 algo.cpo.lambda_kl=0.3", "algo=sapg num_agents=4"),
    "poem": (f"algo=poem {ALWAYS}", "algo=ppo"),
    "poem_of_a_population": (
        f"algo=sapg num_agents=4 algo.poem.enabled=true {ALWAYS}",
        "algo=sapg num_agents=4",
    ),
    "poem_paper": ("algo=poem_paper algo.poem.diversity_gradient=true", FIXED),
}


def make_trainer(overrides: str, seed: int = 0) -> Trainer:
    algo, *others = overrides.split()
    cfg = composed(*SMALL, algo)  # composed once per algorithm, which takes its time
    cfg.seed = seed
    for word in others:
        name, _, value = word.partition("=")
        group, _, field = name.rpartition(".")
        setattr(get(cfg, group) if group else cfg, field, yaml.safe_load(value))
    cfg = resolve(cfg)[0]
    cpu = torch.device("cpu")
    env = registry.make(cfg.task, cfg.engine, cfg.num_envs, cpu, cfg.seed, cfg.num_agents)
    return Trainer(cfg, env, Recorder([]))


def rows(trainer: Trainer, num: int) -> List[Dict[str, float]]:
    """Run iterations; what is NaN comes back as a string, so that it equals itself."""
    return [
        {
            name: "nan" if math.isnan(value) else value  # type: ignore[misc]
            for name, value in trainer.iterate().items()
            if name not in TIMES
        }
        for _ in range(num)
    ]


@lru_cache(maxsize=None)
def plain_run(overrides: str) -> Tuple[Trainer, List[Dict[str, float]]]:
    """Four iterations of PPO or SAPG, to compare with."""
    trainer = make_trainer(overrides)
    return trainer, rows(trainer, 4)


@pytest.mark.parametrize("name", NEUTRAL)
def test_neutral_variant_equals_ppo_bit_for_bit(name: str):
    words, equal = NEUTRAL[name]
    neutral, (plain, expected_rows) = make_trainer(words), plain_run(equal)
    for found, expected in zip(rows(neutral, 4), expected_rows):
        common = set(found) & set(expected)
        assert len(common) > 20
        assert {n: found[n] for n in common} == {n: expected[n] for n in common}
    weights = plain.model.state_dict()
    assert all(torch.equal(v, weights[n]) for n, v in neutral.model.state_dict().items())


@pytest.mark.slow
@pytest.mark.parametrize("name", ACTIVE)
def test_active_variant_is_another_algorithm_and_can_be_resumed(name: str, tmp_path: Path):
    words, unlike = ACTIVE[name]
    whole = make_trainer(words)
    found = rows(whole, 4)[-1]
    assert found["loss/total"] != plain_run(unlike)[1][-1]["loss/total"]
    checkpoint.save(tmp_path / "last.pt", whole.state_dict())
    resumed = make_trainer(words, seed=7)
    resumed.load_state_dict(checkpoint.load(tmp_path / "last.pt"))
    assert rows(resumed, 2) == rows(whole, 2)
    weights = whole.model.state_dict()
    assert all(torch.equal(v, weights[n]) for n, v in resumed.model.state_dict().items())


def test_variants_report_what_they_do():
    poem = "D sigma trigger_rate accept_rate L0 L1 dL kl_mutation param_dist_ema accepted"
    for name, group, columns in (
        ("ppo_br", "br", "eps H phi dR psi expand contract"),
        ("ppo_kl", "penalty", "beta kl"),
        ("poem", "poem", f"{poem} accepted_total"),
    ):
        found = rows(make_trainer(ACTIVE[name][0]), 2)[-1]
        assert {f"{group}/{column}" for column in columns.split()} <= set(found)


def test_penalty_holds_the_policy():
    held, free = (
        rows(make_trainer(f"algo=ppo_kl algo.penalty.kind=fixed algo.penalty.coef={beta}"), 2)[-1]
        for beta in (1000.0, 0.0)
    )
    assert held["penalty/kl"] < 0.1 * free["penalty/kl"]


def test_beta_follows_the_divergence_before_a_mutation():
    """The KL that controllers see is that of the gradient, not of the mutant."""
    sigma = "algo.poem.min_sigma=0.5 algo.poem.max_sigma=0.5 algo.poem.enabled=true"
    trainer = make_trainer(f"algo=ppo_kl {sigma} {ALWAYS} algo.poem.warmup_updates=0")
    plain = make_trainer("algo=ppo_kl")
    found, expected = rows(trainer, 1)[0], rows(plain, 1)[0]
    assert found["poem/kl_mutation"] > 0.1
    assert found["penalty/kl"] == expected["penalty/kl"]
    assert trainer.learner.penalty is not None and plain.learner.penalty is not None
    assert torch.equal(trainer.learner.penalty.coef, plain.learner.penalty.coef)


def test_settings_changed_in_place_are_followed():
    other = """gamma=0.9 gae_lambda=0.8 clip_eps=0.02 value_coef=0.3 entropy_coef=0.1
    bounds_coef=1.0 soft_bound=0.1 max_grad_norm=0.2 num_epochs=3 learning_rate=0.001
    clip_value=false"""
    changed = make_trainer(FIXED)
    begun = make_trainer(" ".join([FIXED, *(f"algo.ppo.{word}" for word in other.split())]))
    for name, value in vars(begun.cfg.algo.ppo).items():
        setattr(changed.cfg.algo.ppo, name, value)
    assert rows(changed, 2) == rows(begun, 2)


def test_target_of_the_step_size_is_followed():
    trainer = make_trainer("algo=ppo algo.ppo.kl_target=1000.0")
    grown = rows(trainer, 1)[0]["lr"]
    trainer.cfg.algo.ppo.kl_target = 1e-9
    assert rows(trainer, 1)[0]["lr"] < grown
