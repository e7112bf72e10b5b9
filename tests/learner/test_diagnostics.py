"""The health columns: what they say of an update, and that measuring changes nothing."""

from __future__ import annotations

import copy
from unittest.mock import DEFAULT, Mock

import pytest
import torch

from epo.learner.diagnostics import Diagnostics
from epo.learner.poem import Poem
from tests.learner.small_run import gradient_of, small_cfg, small_run

COLUMNS = """advantage_mean advantage_peak advantage_positive advantage_std clip_frac entropy_gain
entropy_n expl_var grad_clipped grad_norm_max grad_norm_policy_head grad_norm_value_head kill
kill_last kill_neg kill_neg_last kill_pos kill_pos_last kl_ema kl_exact kl_exact_last kl_k3
kl_outer log_ratio_max ratio_max ratio_mean ratio_p1 ratio_p99 ratio_std return std_rel update_size
wrong_neg wrong_pos"""


def health(run):
    """Iterate and give the health columns without their prefix."""
    run.iterate()
    signals = run.learner.signals
    return {n[len("health/") :]: v.item() for n, v in signals.items() if n.startswith("health/")}


@pytest.mark.parametrize("num_agents", [1, 4])
@pytest.mark.parametrize("kind", ["mlp", "lstm"])
def test_measuring_changes_nothing(kind, num_agents):
    weights, records = [], []
    for enabled in (True, False):
        cfg = small_cfg(kind)
        cfg.diagnostics.enabled = enabled
        run = small_run(cfg, num_agents)
        for _ in range(3):
            metrics = run.iterate()
        weights.append(run.model.state_dict())
        records.append({name: value.item() for name, value in metrics.items()})
        assert bool(run.learner.signals) == enabled
    assert records[0] == records[1]
    for name, value in weights[0].items():
        assert torch.equal(weights[1][name], value), name


def test_columns_are_complete_scalars():
    run = small_run(small_cfg("lstm", "none"))
    assert sorted(health(run)) == COLUMNS.split()
    for name, value in run.learner.signals.items():
        assert value.shape == () and not value.requires_grad, name
    population = small_run(small_cfg("lstm"), num_agents=4)
    more = {"advantage_std_agent_max", "advantage_std_agent_min", "ess", "ess_truncated"}
    assert set(health(population)) == {*COLUMNS.split(), *more}


def test_update_of_one_step_sees_the_policy_before_it():
    cfg = small_cfg("lstm")
    cfg.ppo.num_epochs = cfg.ppo.num_minibatches = 1
    run = small_run(cfg, num_agents=4)
    found = health(run)
    for name in ("kill", "kill_pos", "kill_neg", "wrong_pos", "wrong_neg", "clip_frac"):
        assert found[name] == 0.0
    for name in ("kl_exact", "kl_k3", "log_ratio_max", "ratio_std"):
        assert found[name] == pytest.approx(0.0, abs=1e-5), name
    for name in ("ratio_mean", "ratio_p1", "ratio_p99", "ratio_max"):
        assert found[name] == pytest.approx(1.0, abs=1e-5), name
    assert found["update_size"] > 0.0 and found["kl_ema"] > 0.0


@pytest.mark.parametrize(
    ("states", "steps", "columns"),
    [
        (3, 1, [0, 2, 5]),
        (8, 1, range(8)),
        (15, 1, range(8)),
        (16, 2, range(8)),
        (256, 6, range(8)),
    ],
)
def test_average_is_compared_on_as_many_environments_as_there_are(states, steps, columns):
    cfg = small_cfg("lstm")
    cfg.diagnostics.probe_states = states
    run = small_run(cfg, num_agents=4)  # 8 environments, 6 steps
    rollout = run.collector.collect()
    (hook,) = (hook for hook in run.learner.hooks if isinstance(hook, Diagnostics))
    seen = []
    hook.average = Mock(wraps=hook.average, side_effect=lambda s: seen.append(s) or DEFAULT)
    run.learner.update(rollout)
    (sequences,) = seen
    ids = list(columns)
    assert torch.equal(sequences.observation, rollout.observation[:steps, ids])
    assert torch.equal(sequences.is_first, rollout.is_first[:steps, ids])
    assert torch.equal(sequences.memory, rollout.memory[:, ids])
    assert torch.equal(sequences.agent, rollout.agent[ids])


@pytest.mark.parametrize("num_agents", [1, 4])
def test_outer_divergence_is_that_of_the_whole_update(num_agents):
    run = small_run(small_cfg("lstm"), num_agents)  # all 8 environments and 6 steps are looked at
    rollout = run.collector.collect()
    old, old_log_std = rollout.mean.clone(), run.model.log_std.detach()[rollout.agent].clone()
    frozen = copy.deepcopy(run.model.observation_normalizer.state_dict())
    run.learner.update(rollout)
    found = run.learner.signals["health/kl_outer"]
    run.model.observation_normalizer.load_state_dict(frozen)  # it moves after the measurement
    output = run.model(
        rollout.observation[:-1], rollout.agent, rollout.memory, rollout.is_first[:-1]
    )
    kl = run.model.distribution.exact_kl(old, old_log_std, output.mean, output.log_std)
    assert found > 0.0
    torch.testing.assert_close(found, kl.mean().detach())


def test_samples_are_those_of_the_terms():
    cfg = small_cfg(mode="none")
    cfg.ppo.num_minibatches, cfg.ppo.learning_rate, cfg.ppo.clip_eps = 1, 1e-2, 0.01
    run = small_run(cfg)
    found = health(run)
    first, last = (step.result.terms for step in run.learner.record)
    assert last.is_killed.any() and not first.is_killed.any()
    assert found["kill_last"] == pytest.approx(last.is_killed.float().mean().item())
    assert found["kill"] == pytest.approx(0.5 * found["kill_last"])
    assert found["kl_exact_last"] == pytest.approx(last.kl_old.mean().item(), rel=1e-5)
    assert found["ratio_max"] == pytest.approx(last.ratio.max().item(), rel=1e-6)
    assert found["log_ratio_max"] == pytest.approx(last.log_ratio.abs().max().item(), rel=1e-6)
    assert found["ratio_p1"] <= last.ratio.median() <= found["ratio_p99"] <= found["ratio_max"]


def test_copies_are_left_to_the_effective_share():
    cfg = small_cfg()
    cfg.ppo.num_epochs = cfg.ppo.num_minibatches = 1
    run = small_run(cfg, num_agents=4)
    found = health(run)
    terms, own = run.learner.record[0].result.terms, run.learner.record[0].ids < 8
    assert (terms.ratio[:, ~own] - 1.0).abs().max() > 0.01  # the leader is not the follower
    assert found["log_ratio_max"] < 1e-5
    assert 0.0 < found["ess"] < 1.0


@pytest.mark.parametrize("max_norm", [0.01, 1e6])
def test_gradients_of_the_heads_are_those_before_clipping(max_norm):
    cfg = small_cfg(mode="none")
    cfg.ppo.num_epochs = cfg.ppo.num_minibatches = 1
    cfg.ppo.max_grad_norm = max_norm
    run = small_run(cfg)
    found = health(run)
    norm = run.learner.record[0].result.grad_norm.item()
    assert found["grad_norm_max"] == pytest.approx(norm)
    assert found["grad_clipped"] == (norm > max_norm)
    head = run.model.value_head
    squares = sum(gradient_of(p).square().sum().item() for p in (head.weight, head.bias))
    factor = min(1.0, max_norm / (norm + 1e-6))
    assert found["grad_norm_value_head"] == pytest.approx(squares**0.5 / factor, rel=1e-4)
    assert found["grad_norm_policy_head"] < norm


def test_entropy_is_the_leaders_relative_to_the_first_policy():
    run = small_run(small_cfg(mode="none"), num_agents=2)
    with torch.no_grad():
        run.model.log_std.copy_(torch.tensor([[1.0, 1.0], [0.0, 0.0]]))
    found = health(run)
    assert found["entropy_gain"] == pytest.approx(0.0, abs=1e-6)
    assert found["entropy_n"] == pytest.approx(1.0) and found["std_rel"] == pytest.approx(1.0)
    with torch.no_grad():
        run.model.log_std[1] = torch.tensor([0.5, 0.125]).log()
    found = health(run)
    # mean log std -(log 2 + 3 log 2) / 2 = -2 log 2 = -1.3863
    assert found["entropy_gain"] == pytest.approx(-1.3863, abs=1e-3)
    assert found["entropy_n"] == pytest.approx(1.0 - 1.3863 / 2.9957, abs=1e-3)  # log 20
    assert found["std_rel"] == pytest.approx(0.3125, abs=1e-3)


def test_return_is_that_of_the_leaders_episodes():
    run = small_run(small_cfg(mode="none"), num_agents=2)
    rewards = []
    step = run.env.step

    def remember(action):
        found = step(action)
        rewards.append((found.reward.clone(), (found.terminated | found.truncated).clone()))
        return found

    run.env.step = remember  # type: ignore[method-assign]
    found = health(run)
    total, ended = torch.zeros(8), []
    for reward, done in rewards:
        total += reward
        ended += total[4:][done[4:]].tolist()
        total[done] = 0.0
    assert ended and found["return"] == pytest.approx(sum(ended) / len(ended), rel=1e-5)


def test_share_of_the_penalty_is_there_if_there_is_one():
    cfg = small_cfg(mode="none")
    cfg.penalty.kind, cfg.penalty.coef = "fixed", 3.0
    run = small_run(cfg)
    found = health(run)
    assert 0.0 < found["penalty_share"] < 1.0
    assert run.learner.signals["penalty/beta"] == 3.0


def test_what_is_no_experience_is_not_measured():
    found = []
    for noise in (0.0, 1e3):
        run = small_run(small_cfg(mode="none"), num_agents=2)
        rollout = run.collector.collect()
        rollout.is_valid = torch.ones_like(rollout.is_first[:-1])
        rollout.is_valid[2, ::3] = False
        rollout.is_first[2:4, ::3] = True
        rollout.action[~rollout.is_valid] += noise
        rollout.reward[~rollout.is_valid] += noise
        run.learner.update(rollout)
        found.append({name: value.item() for name, value in run.learner.signals.items()})
    for name, value in found[0].items():
        assert found[1][name] == pytest.approx(value, rel=1e-5, abs=1e-7, nan_ok=True), name


@pytest.mark.parametrize("hook", ["diagnostics", "poem"])
def test_average_of_a_hook_that_was_off_starts_from_the_loaded_weights(hook: str):
    cfg, without = small_cfg(), small_cfg()
    for each in (cfg, without):
        each.diagnostics.enabled = False
    getattr(cfg, hook).enabled = True
    run, other = small_run(without, num_agents=4), small_run(cfg, num_agents=4)
    run.iterate()
    other.model.load_state_dict(run.model.state_dict())
    (found,) = other.learner.hooks
    assert isinstance(found, (Diagnostics, Poem)) and found.name == hook
    assert found.average.distance() > 0.0  # the weights before loading
    other.learner.load_state_dict(copy.deepcopy(run.learner.state_dict()))
    assert found.average.distance() == 0.0
    other.iterate()
    assert found.average.distance() > 0.0
