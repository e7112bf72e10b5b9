"""Options around the leader: how much its samples weigh, and the followers' leash."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from epo.learner.followers import FollowerLeash
from epo.learner.metrics import MetricMeans
from epo.learner.ppo import PPO
from tests.learner.small_run import small_cfg, small_run


def _cfg(**settings):
    cfg = small_cfg()
    return replace(cfg, aggregation=replace(cfg.aggregation, **settings))


def _weights_after(updates=2, num_agents=3, **settings):
    run = small_run(_cfg(**settings), num_agents=num_agents, num_envs=12, is_double=True)
    for _ in range(updates):
        run.iterate()
    return torch.cat([p.detach().flatten() for p in run.model.parameters()]), run


def _terms(learner: PPO, rollout):
    """Prepare an update and evaluate all of its sequences."""
    update = learner.begin(rollout, None, MetricMeans())
    ids = torch.arange(update.batch.num_sequences)
    return update, ids, learner.objective.evaluate(update, ids)


def test_loss_is_the_weighted_mean_of_leader_and_followers():
    run = small_run(_cfg(leader_weight=3.0), num_agents=3, num_envs=12, is_double=True)
    update, ids, found = _terms(run.learner, run.collector.collect())
    objective, agent = run.learner.objective, update.batch.agent[ids]
    is_leader = agent == 2
    objective.aggregation = replace(objective.aggregation, leader_weight=1.0)

    def part(mask):
        terms = type(found.terms)(*(x[:, mask] for x in found.terms))
        return objective.loss(terms, agent[mask])

    # 4 own and 4 relabelled sequences of the leader weigh 3 each, 8 of the followers 1 each.
    assert (int(is_leader.sum()), int((~is_leader).sum())) == (8, 8)
    expected = (24.0 * part(is_leader) + 8.0 * part(~is_leader)) / 32.0
    torch.testing.assert_close(found.loss, expected)


def test_neutral_weight_and_no_leash_change_nothing():
    plain, _ = _weights_after()
    same, run = _weights_after(leader_weight=1.0, follower_kl_coef=0.0)
    assert torch.equal(plain, same)
    assert not any(isinstance(hook, FollowerLeash) for hook in run.learner.hooks)


@pytest.mark.parametrize("without", [{"num_agents": 1}, {"mode": "none"}])
def test_leash_is_nothing_where_nobody_learns_from_followers(without):
    plain, _ = _weights_after(**without)
    same, run = _weights_after(follower_kl_coef=0.5, **without)
    assert torch.equal(plain, same)
    assert not any(isinstance(hook, FollowerLeash) for hook in run.learner.hooks)


def test_weight_of_the_leader_is_nothing_where_everybody_is_the_leader():
    plain, _ = _weights_after(num_agents=1)
    same, _ = _weights_after(num_agents=1, leader_weight=2.0)
    assert torch.equal(plain, same)


@pytest.mark.parametrize("settings", [{"leader_weight": 2.0}, {"follower_kl_coef": 0.5}])
def test_each_option_changes_the_update(settings):
    plain, _ = _weights_after()
    changed, _ = _weights_after(**settings)
    assert not torch.equal(plain, changed)


def test_leash_is_the_divergence_of_drawn_followers_from_the_leader():
    run = small_run(_cfg(follower_kl_coef=0.5), num_agents=3, num_envs=12, is_double=True)
    rollout = run.collector.collect()
    update, _, found = _terms(run.learner, rollout)
    (leash,) = (hook for hook in run.learner.hooks if isinstance(hook, FollowerLeash))
    leash.on_update_start(update)
    assert update.extra is not None
    env_ids = update.extra.env_ids  # the one follower block that was drawn
    leader = torch.full_like(env_ids, 2)
    with torch.no_grad():
        other = run.model(
            rollout.observation[:-1, env_ids],
            leader,
            rollout.memory[:, env_ids],
            rollout.is_first[:-1, env_ids],
        )
    own = found.output.mean[:, env_ids], found.output.log_std[env_ids]  # ids 0 to 11 are own
    kl = run.model.distribution.exact_kl(*own, other.mean, other.log_std).mean()
    # 4 of 16 sequences are held.
    expected = found.loss + 0.5 * kl * 4 / 16
    torch.testing.assert_close(leash.add_to_loss(update, found, found.loss), expected)
    torch.testing.assert_close(leash.metrics()["kl/follower_to_leader"], kl.detach())


@pytest.mark.slow
def test_leash_keeps_followers_nearer_to_the_leader():
    divergence = []
    for coef in (1e-9, 10.0):
        _, run = _weights_after(updates=30, follower_kl_coef=coef)
        (leash,) = (hook for hook in run.learner.hooks if isinstance(hook, FollowerLeash))
        divergence.append(float(leash.metrics()["kl/follower_to_leader"]))
    assert divergence[1] < 0.5 * divergence[0]
