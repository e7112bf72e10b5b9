"""The presets of one agent around PPO, and which settings do not fit together."""

from __future__ import annotations

import pytest

from epo.config import ConfigError
from epo.validation import validate
from tests.composed import composed
from tests.test_config import flat


@pytest.mark.parametrize(
    ("algo", "changes"),
    [
        ("ppo_coscaled", {"ppo.minibatch_size": 32_768, "ppo.schedule": "fixed"}),
        ("ppo_coscaled_adaptive", {"ppo.minibatch_size": 32_768}),
        ("ppo_br", {"clip.kind": "br", "ppo.schedule": "fixed"}),
        ("ppo_kl", {"clip.kind": "none", "penalty.kind": "adaptive", "ppo.schedule": "fixed"}),
        ("poem", {"poem.enabled": True}),
        (
            "poem_paper",
            {
                "poem.enabled": True,
                "poem.when": "minibatch",
                "poem.kl_threshold": 0.1,
                "poem.min_sigma": 0.01,
                "poem.max_sigma": 0.1,
                "poem.noise": "absolute",
                "poem.tensors": "all",
                "poem.ema_decay": 0.9,
                "poem.diversity_coef": 0.1,
                "poem.diversity_acceptance": True,
                "poem.max_kl": None,
                "poem.probe_states": None,
                "poem.warmup_updates": 0,
                "ppo.schedule": "fixed",
            },
        ),
    ],
)
def test_preset_is_ppo_and_its_own_part(algo, changes):
    cfg = composed(f"algo={algo}")
    validate(cfg)
    found, plain = flat(cfg.algo), flat(composed("algo=ppo").algo)
    assert {n: v for n, v in found.items() if v != plain[n]} == {**changes, "name": algo}


def test_robust_poem_is_the_one_of_the_table():
    poem = composed("algo=poem").algo.poem
    assert (poem.kl_threshold, poem.min_sigma, poem.max_sigma) == (5e-3, 0.005, 0.05)
    assert (poem.ema_decay, poem.max_kl, poem.probe_states) == (0.95, 0.05, 4096)
    assert (poem.when, poem.noise, poem.tensors) == ("update", "relative", "policy")
    assert (poem.diversity_coef, poem.warmup_updates) == (0.0, 10)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("algo=ppo_kl algo.ppo.schedule=adaptive", "algo.penalty.kind=adaptive: two controllers"),
        ("algo=ppo_kl algo.penalty.coef=1e3", r"algo.penalty.coef=1000.0: .* max_coef=100.0"),
        (
            "algo=ppo_kl algo.ppo.num_epochs=1 algo.ppo.num_minibatches=1",
            "algo.ppo.num_epochs=1: a single step",
        ),
        ("algo=ppo_br algo.network.initial_log_std=-3", "narrower than the floor .* -2.996"),
        (
            "algo=ppo_br algo.network.initial_log_std=-1.5 algo.clip.entropy_floor=zero",
            "narrower than the floor .* -1.419",
        ),
        ("algo=ppo_br algo.clip.window=1", "algo.clip.window=1: a window has two halves"),
        ("algo=ppo_br algo.clip.smoothing=1", "algo.clip.smoothing=1.0: 1 never learns"),
        ("algo=ppo_br algo.clip.contraction=1.5", "contraction=1.5: use a number from 0 to 1"),
        ("algo=poem algo.poem.min_sigma=0.1", "algo.poem.min_sigma=0.1: use at most max_sigma"),
        ("algo=poem algo.poem.when=epoch", r"algo.poem.when=epoch: unknown .*update, minibatch"),
        ("algo=ppo record.health.sustained=11", "use at most sustained_of=10"),
        ("algo=ppo record.health.low_ess=-1", "record.health.low_ess=-1.0: use 0 or more"),
    ],
)
def test_what_does_not_fit_together_is_refused(overrides: str, message: str):
    with pytest.raises(ConfigError, match=message):
        validate(composed(*overrides.split()))


@pytest.mark.parametrize(
    "overrides",
    [
        "algo=ppo algo.penalty.kind=fixed",  # with the adaptive step size
        "algo=ppo_kl algo.clip.kind=constant",  # clip and penalty
        "algo=epo algo.clip.kind=br",
        "algo=sapg algo.poem.enabled=true",
    ],
)
def test_parts_compose(overrides: str):
    validate(composed(*overrides.split()))
