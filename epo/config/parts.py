"""What the exchangeable parts of PPO must fulfil: clip range, penalty, mutations, health rules."""

from __future__ import annotations

import math

from epo.components import trainers
from epo.config import AlgoCfg, Config, ConfigError

_ENTROPY_ZERO = -0.5 * math.log(2.0 * math.pi * math.e)
"""Log standard deviation, -1.419, at which a Gaussian has no differential entropy."""


def check_parts(cfg: Config) -> None:
    """Refuse settings that are each fine but do not fit together.

    Raises:
        ConfigError: at the first of them.
    """
    for name, window in (
        ("algo.clip.window", cfg.algo.clip.window),
        ("record.health.window", cfg.record.health.window),
    ):
        if window < 2:
            raise ConfigError(name, window, "a window has two halves; use at least 2")
    health = cfg.record.health
    if health.sustained > health.sustained_of:
        raise ConfigError(
            "record.health.sustained",
            health.sustained,
            f"use at most sustained_of={health.sustained_of}",
        )
    if cfg.guard.on_nonfinite == "skip" and not trainers.get(cfg.algo.trainer).skips:
        way_out = f"algo.trainer={cfg.algo.trainer} leaves no minibatch out; use stop"
        raise ConfigError("guard.on_nonfinite", "skip", way_out)
    _check_clip(cfg.algo)
    _check_penalty(cfg.algo)
    _check_poem(cfg.algo)
    _check_cpo(cfg.algo)


def _check_clip(algo: AlgoCfg) -> None:
    """Check that the entropy of the first policy is above the floor of PPO-BR."""
    clip, log_std = algo.clip, algo.network.initial_log_std
    if clip.smoothing == 1.0:
        raise ConfigError("algo.clip.smoothing", 1.0, "1 never learns anything; use less")
    if clip.kind != "br":
        return
    floor = math.log(clip.floor_std) if clip.entropy_floor == "sigma" else _ENTROPY_ZERO
    if log_std <= floor:
        raise ConfigError(
            "algo.network.initial_log_std",
            log_std,
            f"the first policy is narrower than the floor of PPO-BR, {floor:.3f}; use more, or a "
            "smaller algo.clip.floor_std with algo.clip.entropy_floor=sigma",
        )


def _check_penalty(algo: AlgoCfg) -> None:
    """Check that one controller acts on the KL divergence, and that it can see one."""
    penalty, ppo = algo.penalty, algo.ppo
    if penalty.kind == "none":
        return
    if penalty.kind == "adaptive" and ppo.schedule == "adaptive":
        raise ConfigError(
            "algo.penalty.kind",
            penalty.kind,
            "two controllers on one KL: use algo.ppo.schedule=fixed, or algo.penalty.kind=fixed",
        )
    if penalty.kind == "fixed":
        return
    if not penalty.min_coef <= penalty.coef <= penalty.max_coef:
        raise ConfigError(
            "algo.penalty.coef",
            penalty.coef,
            f"use a number from min_coef={penalty.min_coef} to max_coef={penalty.max_coef}",
        )
    if ppo.num_epochs == 1 and ppo.num_minibatches == 1 and ppo.minibatch_size is None:
        raise ConfigError(
            "algo.ppo.num_epochs",
            1,
            "a single step per update never sees a KL that beta could follow; use more epochs or "
            "minibatches, or algo.penalty.kind=fixed",
        )


def _check_poem(algo: AlgoCfg) -> None:
    poem = algo.poem
    if poem.min_sigma > poem.max_sigma:
        raise ConfigError(
            "algo.poem.min_sigma", poem.min_sigma, f"use at most max_sigma={poem.max_sigma}"
        )


def _check_cpo(algo: AlgoCfg) -> None:
    """Check that the followers of CPO have a leader, and that the adversary has a network."""
    for name, coef in (
        ("lambda_kl", algo.cpo.lambda_kl),
        ("awac.beta", algo.cpo.awac.beta),
        ("adversary.coef", algo.cpo.adversary.coef),
    ):
        if coef and algo.aggregation.mode != "leader_follower":
            way_out = f"algo={algo.name} has no leader to follow; use 0, or algo=cpo"
            raise ConfigError(f"algo.cpo.{name}", coef, way_out)
    adversary = algo.cpo.adversary
    if not adversary.mlp_units or min(adversary.mlp_units) < 1:
        way_out = "give widths of at least 1"
        raise ConfigError("algo.cpo.adversary.mlp_units", adversary.mlp_units, way_out)
    if adversary.coef and algo.network.encoder == "cnn":
        way_out = "the discriminator takes vectors, not images; use 0"
        raise ConfigError("algo.cpo.adversary.coef", adversary.coef, way_out)
