"""Two whole iterations, number by number, against the original learners."""

from __future__ import annotations

import pytest
import torch

from epo.learner.ppo import PPO
from tests.golden import golden
from tests.learner.golden_case import (
    ScriptedEnv,
    algo_cfg,
    assert_close,
    build_model,
    collect,
    our_name,
    tensor,
)
from tests.learner.recording import RecordingPPO

# Tolerances of the golden files: before the first optimiser step, and after it.
TOLERANCE = {torch.float64: (1e-10, 1e-9), torch.float32: (5e-6, 2e-4)}

CASES = [
    f"{algo}_{net}_{stats}"
    for algo in ("ppo", "sapg")
    for net in ("mlp", "lstm")
    for stats in ("plain", "norm")
]


@pytest.mark.parametrize("case", CASES)
def test_two_iterations_equal_the_original_learner(case):
    _check_case(case, torch.float64)


def test_two_iterations_equal_the_original_learner_in_float32():
    _check_case("sapg_lstm_norm", torch.float32)


def _check_case(case, dtype):
    arrays = golden(f"learner_{case}.npz")
    is_sapg, normalise = case.startswith("sapg"), case.endswith("norm")
    before_steps, after_steps = TOLERANCE[dtype]
    model = build_model(arrays, normalise=normalise, dtype=dtype)
    cfg = algo_cfg(arrays, is_sapg)
    env = ScriptedEnv(int(arrays["cfg/envs"]), int(arrays["cfg/obs"]), int(arrays["cfg/act"]))
    learner = RecordingPPO(model, cfg, env.spec.num_envs, seed=0)
    collector = None
    for it in range(int(arrays["cfg/iterations"])):
        tolerance = before_steps if it == 0 else after_steps
        collector, rollout = collect(model, env, arrays, f"it{it}/in/", cfg.ppo, collector)
        _check_rollout(rollout, env, arrays, f"it{it}/rollout/", tolerance)
        _script_draws(learner, arrays, f"it{it}/", is_sapg)
        learner.record.clear()
        learner.update(rollout)
        _check_steps(learner, arrays, f"it{it}/", tolerance, after_steps)
        if normalise:
            _check_statistics(model, arrays, f"it{it}/stats_after/", after_steps)
    _check_moments(learner, arrays, after_steps)


def _check_rollout(rollout, env, arrays, prefix, tolerance):
    sigma = rollout.log_std.exp()[rollout.agent].expand_as(rollout.mean)
    found = {
        "mu": rollout.mean,
        "sigma": sigma,
        "actions": rollout.action,
        "neglogp": -rollout.log_prob,
        "values": rollout.value[:-1],
        "last_values": rollout.value[-1],
        "scaled_rewards": rollout.reward,
        "env_actions": torch.stack(env.actions),
    }
    for name, value in found.items():
        assert_close(value, arrays[prefix + name], tolerance, prefix + name)
    if f"{prefix}h" in arrays:
        assert_close(rollout.step_memory[:, 0], arrays[f"{prefix}h"], tolerance, f"{prefix}h")
        assert_close(rollout.step_memory[:, 1], arrays[f"{prefix}c"], tolerance, f"{prefix}c")


def _script_draws(learner: PPO, arrays, prefix, is_sapg):
    if not is_sapg:
        return
    followers = tensor(arrays[f"{prefix}relabel/followers"])
    env_ids = (followers[:, None] * learner.block + torch.arange(learner.block)).flatten()
    leader = torch.full_like(env_ids, learner.model.num_agents - 1)
    order = tensor(arrays[f"{prefix}relabel/order"])
    learner.draw_sources = lambda: (env_ids, leader)  # type: ignore[method-assign]
    learner.draw_order = lambda num: order  # type: ignore[method-assign]


def _check_steps(learner, arrays, prefix, tolerance, after_steps):
    steps = f"{prefix}steps/"
    assert len(learner.record) == len(arrays[f"{steps}lr"])
    for i, step in enumerate(learner.record):
        tolerance = tolerance if i == 0 else after_steps
        result, terms = step.result, step.result.terms
        assert step.learning_rate.item() == pytest.approx(arrays[f"{steps}lr"][i], rel=1e-12)
        assert terms.ratio.numel() == arrays[f"{steps}end"][i] - arrays[f"{steps}start"][i]
        found = {
            "surrogate": terms.surrogate.mean(),
            "value_loss": terms.value_loss.mean(),
            "entropy": terms.entropy.mean(),
            "bounds": terms.bounds.mean(),
            "total": result.loss,
            "kl": result.kl,
            "clip_fraction": terms.is_clipped.double().mean(),
            "grad_norm": result.grad_norm,
        }
        for name, value in found.items():
            assert_close(value, arrays[steps + name][i], tolerance, f"{steps}{name}[{i}]")
        for name, values in arrays.items():
            if name.startswith(f"{steps}w/"):
                ours = step.weights[our_name(name[len(steps) + 2 :])]
                assert_close(ours, values[i], after_steps, f"{name}[{i}]")
    final = learner.learning_rate.item()
    assert final == pytest.approx(arrays[f"{prefix}epochs/lr"][-1], rel=1e-12)


def _check_statistics(model, arrays, prefix, tolerance):
    for ours, name in ((model.observation_normalizer, "obs"), (model.value_normalizer, "value")):
        for field in ("mean", "var", "count"):
            key = f"{prefix}{name}_{field}"
            assert_close(getattr(ours, field), arrays[key], tolerance, key)


def _check_moments(learner, arrays, tolerance):
    state = {
        name: learner.optimizer.state[parameter]
        for name, parameter in learner.model.named_parameters()
    }
    for key, moment in (("adam/m/", "exp_avg"), ("adam/v/", "exp_avg_sq")):
        for name, values in arrays.items():
            if name.startswith(key):
                ours = state[our_name(name[len(key) :])][moment]
                assert_close(ours, values, tolerance, name)
