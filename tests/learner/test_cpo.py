"""CPO: each term by hand, whom it moves, and that nothing else changes."""

from __future__ import annotations

import math
from typing import List, Type, TypeVar

import pytest
import torch
from torch import Tensor

from epo.config import AdversaryCfg, AwacCfg, ConfigError, CpoCfg
from epo.learner import adversary as adversary_module
from epo.learner.adversary import Adversary
from epo.learner.cpo import Cloning, KLConstraint, clone_weight
from epo.learner.hooks import UpdateHook
from epo.learner.metrics import MetricMeans
from epo.models.distribution import Categorical, DiagonalGaussian
from epo.ranks import ALONE
from epo.validation import validate
from tests.composed import composed
from tests.learner.small_run import SmallRun, genes_of, gradient_of, small_cfg, small_run

Hook = TypeVar("Hook", bound=UpdateHook)
K, N, E = 3, 12, 4
FOLLOWERS = (K - 1) * E


def cpo_run(kind: str = "lstm", is_double: bool = True, **terms) -> SmallRun:
    """Build three agents with four environments each, after one iteration."""
    cfg = small_cfg(kind)
    cfg.cpo = CpoCfg(**terms)
    run = small_run(cfg, num_agents=K, num_envs=N, is_double=is_double)
    run.iterate()
    return run


def prepared(run: SmallRun):
    """Collect, prepare the update and begin the hooks."""
    update = run.learner.begin(run.collector.collect(), None, MetricMeans())
    for hook in run.learner.hooks:
        hook.on_update_start(update)
    return update


def hook_of(run: SmallRun, kind: Type[Hook]) -> Hook:
    """Return the hook of a kind."""
    (hook,) = (hook for hook in run.learner.hooks if isinstance(hook, kind))
    return hook


def log_prob(run: SmallRun, rollout, env: int, agent: int) -> Tensor:
    """Return [T] log densities of what happened in `env` under `agent`, one step at a time."""
    memory, found = rollout.memory[:, [env]], []
    for t in range(rollout.horizon):
        output = run.model(
            rollout.observation[t : t + 1, [env]],
            torch.tensor([agent]),
            memory,
            rollout.is_first[t : t + 1, [env]],
        )
        memory = output.memory
        action = rollout.action[t, [env]]
        found.append(run.model.distribution.log_prob(action, output.mean[0], output.log_std))
    return torch.cat(found).detach()


@pytest.mark.parametrize("kind", ["mlp", "lstm"])
def test_constraint_is_the_log_ratio_before_the_update(kind: str):
    run = cpo_run(kind, lambda_kl=0.3)
    update = prepared(run)
    rollout, batch = update.rollout, update.batch
    plain = ALONE.standardize(update.raw_advantage)
    for env in (0, 5, 7):
        ratio = log_prob(run, rollout, env, K - 1) - log_prob(run, rollout, env, env // E)
        torch.testing.assert_close(batch.advantage[:, env], plain[:, env] + 0.3 * ratio)
        assert ratio.abs().max() > 1e-3
    # Neither the leader's own data nor what it draws from others.
    assert torch.equal(batch.advantage[:, FOLLOWERS:], plain[:, FOLLOWERS:])
    found = hook_of(run, KLConstraint).metrics()["cpo/log_ratio"]
    every = [log_prob(run, rollout, i, 2) - log_prob(run, rollout, i, i // E) for i in range(8)]
    torch.testing.assert_close(found, torch.stack(every).mean())


@pytest.mark.parametrize("kind", ["mlp", "lstm"])
def test_constraint_leaves_the_first_ratio_at_one(kind: str):
    run = cpo_run(kind, lambda_kl=0.3)
    run.iterate()
    first = run.learner.record[0]
    ratio = first.result.terms.ratio[:, first.ids < N]
    torch.testing.assert_close(ratio, torch.ones_like(ratio))


def test_weight_is_exponential_up_to_its_bound():
    advantage = torch.tensor([-1.0, 0.0, 0.2, 0.92, 5.0, 1e4])
    # exp(A / 0.2): e^-5, 1, e, e^4.6 = 99.48, then 100.
    expected = torch.tensor([0.0067379, 1.0, 2.7182818, 99.484, 100.0, 100.0])
    torch.testing.assert_close(clone_weight(advantage, 0.2, 100.0), expected, rtol=1e-4, atol=0.0)


@pytest.mark.parametrize("ratio", [1.0, 0.5])
def test_every_follower_clones_the_leaders_block_once_per_epoch(ratio: float):
    run = cpo_run(awac=AwacCfg(beta=0.1, ratio=ratio))
    hook, seen = hook_of(run, Cloning), []
    forward = run.model.forward

    def recording(observation, agent, *rest):
        seen.append((observation, agent))
        return forward(observation, agent, *rest)

    update = prepared(run)
    order = run.learner.draw_order(update.batch.num_sequences)
    run.model.forward = recording  # type: ignore[method-assign]
    for ids in order.split(5):
        found = run.learner.objective.evaluate(update, ids)
        seen.clear()
        update.num_present = len(ids)
        hook.add_to_loss(update, found, found.loss)
        run.model.forward = recording  # type: ignore[method-assign]
    run.model.forward = forward  # type: ignore[method-assign]
    pairs = sorted(zip(hook._agent.tolist(), hook._env_ids.tolist()))
    assert len(pairs) == len(set(pairs)) == (K - 1) * E * ratio
    assert {agent for agent, _ in pairs} == {0, 1}
    assert all(env // E == K - 1 for _, env in pairs)
    if ratio == 1.0:
        assert pairs == [(agent, env) for agent in range(K - 1) for env in range(8, 12)]
    assert hook._seen == 0  # a whole pass


@pytest.mark.parametrize("kind", ["mlp", "lstm"])
def test_cloning_is_the_weighted_likelihood_of_the_leaders_actions(kind: str):
    run = cpo_run(kind, awac=AwacCfg(beta=0.1, temperature=0.5, max_weight=3.0))
    update, hook = prepared(run), hook_of(run, Cloning)
    rollout, total = update.rollout, update.batch.num_sequences
    ids = torch.arange(total)
    update.num_present = total
    found = run.learner.objective.evaluate(update, ids)
    loss = hook.add_to_loss(update, found, found.loss)
    raw, density = [], []
    for agent, env in zip(hook._agent.tolist(), hook._env_ids.tolist()):
        raw.append(one_step_advantage(run, rollout, env, agent))
        density.append(log_prob(run, rollout, env, agent))
    joined = torch.cat([update.raw_advantage, torch.stack(raw, dim=1)], dim=1)
    advantage = ALONE.standardize(joined)[:, total:]
    weight = (advantage / 0.5).exp().clamp(max=3.0)
    # All 8 sequences (2 followers x 4 of the leader) at their share beside the total's.
    expected = -0.1 * (weight * torch.stack(density, dim=1)).mean() * 8 / total
    torch.testing.assert_close(loss - found.loss, expected)
    metrics = hook.metrics()
    torch.testing.assert_close(metrics["cpo/clone_weight"], weight.mean())
    capped = (weight >= 3.0).double().mean()
    assert 0.0 < capped < 1.0
    torch.testing.assert_close(metrics["cpo/clone_capped"], capped)


def one_step_advantage(run: SmallRun, rollout, env: int, agent: int) -> Tensor:
    """Return [T] r + gamma V(o') - V(o) of `agent` in what happened in `env`."""
    memory, values = rollout.memory[:, [env]], []
    for t in range(rollout.horizon + 1):
        output = run.model(
            rollout.observation[t : t + 1, [env]],
            torch.tensor([agent]),
            memory,
            rollout.is_first[t : t + 1, [env]],
        )
        memory = output.memory
        values.append(run.model.denormalize_value(output.value)[0, 0].detach())
    value, done = torch.stack(values), rollout.is_first[1:, env]
    following = torch.where(done, 0.0, value[1:])
    return rollout.reward[:, env] + 0.99 * following - value[:-1]


def test_cloning_moves_followers_and_no_critic():
    run = cpo_run(awac=AwacCfg(beta=1.0))
    update, hook = prepared(run), hook_of(run, Cloning)
    ids = torch.arange(update.batch.num_sequences)
    update.num_present = len(ids)
    found = run.learner.objective.evaluate(update, ids)
    run.learner.optimizer.zero_grad(set_to_none=True)
    zero = found.loss.detach() * 0.0
    hook.add_to_loss(update, found, zero).backward()
    for parameter in (genes_of(run.model), run.model.log_std):
        assert (gradient_of(parameter) != 0.0).any(dim=1).tolist() == [True, True, False]
    head = run.model.value_head.weight.grad
    assert head is None or not head.any()


@pytest.mark.parametrize(
    "terms", [{"lambda_kl": 0.1}, {"awac": AwacCfg(beta=0.1)}, {"adversary": AdversaryCfg(0.1)}]
)
def test_optimiser_takes_as_many_steps_as_without(terms):
    run, plain = cpo_run(**terms), small_run(small_cfg("lstm"), K, N)
    run.iterate()
    plain.iterate()
    ours, theirs = ([len(s.ids) for s in r.learner.record] for r in (run, plain))
    assert ours == theirs


def adversary_run(coef: float = 0.5, **settings) -> SmallRun:
    return cpo_run(adversary=AdversaryCfg(coef=coef, mlp_units=[8], **settings))


def test_leader_is_never_rewarded_and_followers_by_their_own_class():
    run = adversary_run()
    rollout = run.collector.collect()
    hook = hook_of(run, Adversary)
    shaped = hook.shape(rollout)
    bonus = shaped.reward - rollout.reward
    assert torch.equal(shaped.reward[:, FOLLOWERS:], rollout.reward[:, FOLLOWERS:])
    log_p = hook.log_prob(rollout, torch.arange(N))
    for env in range(FOLLOWERS):
        torch.testing.assert_close(bonus[:, env], 0.5 * log_p[:, env, env // E])
    assert (bonus[:, :FOLLOWERS] < 0.0).all()
    torch.testing.assert_close(log_p.exp().sum(-1), torch.ones_like(rollout.reward))


def test_uniform_discriminator_gives_the_logarithm_of_the_number_of_agents():
    run = adversary_run(coef=0.7)
    hook, rollout = hook_of(run, Adversary), run.collector.collect()
    for parameter in hook.network[-1].parameters():
        parameter.data.zero_()
    bonus = hook.shape(rollout).reward - rollout.reward
    expected = torch.full_like(bonus[:, :FOLLOWERS], -0.7 * math.log(K))
    torch.testing.assert_close(bonus[:, :FOLLOWERS], expected)
    hook.shape(rollout)
    torch.testing.assert_close(
        hook.metrics()["adversary/reward"].item(), -0.7 * math.log(K), check_dtype=False
    )


def test_labels_are_the_agents_of_the_environments(monkeypatch: pytest.MonkeyPatch):
    run = adversary_run()
    run.model.observation_normalizer.is_enabled = False
    hook, update = hook_of(run, Adversary), prepared(run)
    update.rollout.observation[..., 0] = torch.arange(N, dtype=torch.float64)
    inputs: List[Tensor] = []
    labels: List[Tensor] = []
    hook.network.register_forward_hook(lambda module, args, output: inputs.append(args[0]))

    def nll_loss(log_p: Tensor, label: Tensor, reduction: str) -> Tensor:
        labels.append(label)
        return torch.nn.functional.nll_loss(log_p, label, reduction=reduction)

    monkeypatch.setattr(adversary_module, "nll_loss", nll_loss)
    hook.on_update_end(update)
    env, label = torch.cat(inputs)[:, 0].long(), torch.cat(labels)
    assert torch.equal(label, env // E)
    assert torch.equal(env.bincount(), torch.full((N,), update.rollout.horizon))  # each once
    assert not torch.equal(env, env.sort().values)  # in random order


def test_discriminator_learns_to_tell_agents_apart():
    run = adversary_run(learning_rate=3e-2)
    update, hook = prepared(run), hook_of(run, Adversary)
    # Agents stand at different places, whatever the time.
    update.rollout.observation[..., 0] = torch.arange(N) // E - 1.0
    for _ in range(60):
        hook.on_update_end(update)
    assert hook.metrics()["adversary/loss"].item() < 0.3  # uninformed: ln 3 = 1.1
    hook.shape(update.rollout)
    assert hook.metrics()["adversary/accuracy"].item() > 0.95


def test_reward_is_in_the_targets_of_the_agent_that_learns():
    run = adversary_run()
    hook, rollout = hook_of(run, Adversary), run.collector.collect()
    update = run.learner.begin(rollout, None, MetricMeans())
    # The leader's relabelled data: the task's reward alone.
    assert update.extra is not None
    value = update.extra.value
    done = rollout.is_first[1:, update.extra.env_ids]
    following = torch.cat([value[1:], value[-1:]])
    expected = rollout.reward[:, update.extra.env_ids] + 0.99 * torch.where(done, 0.0, following)
    torch.testing.assert_close(update.extra.target[:-1], expected[:-1])
    # What a follower would get for the leader's deeds.
    env_ids, agent = torch.tensor([8, 9, 10]), torch.tensor([1, 0, 2])
    log_p = hook.log_prob(rollout, env_ids)
    reward = hook.reward(rollout, env_ids, agent)
    torch.testing.assert_close(reward[:, 0], 0.5 * log_p[:, 0, 1])
    torch.testing.assert_close(reward[:, 1], 0.5 * log_p[:, 1, 0])
    assert not reward[:, 2].any()


def test_switching_on_the_adversary_moves_no_other_random_stream():
    run, plain = adversary_run(), small_run(small_cfg("lstm"), K, N, is_double=True)
    plain.iterate()
    assert torch.equal(run.learner.generator.get_state(), plain.learner.generator.get_state())
    state = torch.get_rng_state()
    run.iterate()
    assert torch.equal(torch.get_rng_state(), state)


def test_actions_are_encoded_as_they_act():
    gaussian = torch.tensor([[0.5, -3.0], [1.5, 0.0]])
    encoded = DiagonalGaussian().encode(gaussian, 2)
    assert encoded.tolist() == [[0.5, -1.0], [1.0, 0.0]]
    choice = torch.tensor([[[2.0], [0.0]]])
    assert Categorical().encode(choice, 3).tolist() == [[[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("algo=ppo algo.cpo.lambda_kl=0.1", "algo.cpo.lambda_kl=0.1: algo=ppo has no leader"),
        ("algo=pbt algo.cpo.awac.beta=1e-3", "algo.cpo.awac.beta=0.001: algo=pbt has no leader"),
        (
            "algo=sapg algo.aggregation.mode=symmetric algo.cpo.adversary.coef=1",
            r"algo.cpo.adversary.coef=1.0: .* use 0, or algo=cpo",
        ),
        ("algo=cpo algo.cpo.awac.ratio=1.5", "awac.ratio=1.5: use a number from 0.000001 to 1"),
        ("algo=cpo algo.cpo.awac.ratio=0", "awac.ratio=0.0: use a number from 0.000001 to 1"),
        ("algo=cpo algo.cpo.awac.temperature=0", "temperature=0.0: use a positive number"),
        ("algo=cpo algo.cpo.adversary.mlp_units=[]", r"mlp_units=\[\]: give widths"),
        ("algo=cpo algo.network.encoder=cnn", "takes vectors, not images; use 0"),
    ],
)
def test_impossible_settings_are_named(words: str, message: str):
    with pytest.raises(ConfigError, match=message):
        validate(composed(*words.split()))


def test_presets_are_sapg_and_their_own_part():
    released, own = composed("algo=cpo_released").algo, composed("algo=cpo").algo
    for algo in (released, own):
        plain = composed("algo=sapg").algo
        plain.name, plain.cpo = algo.name, algo.cpo
        assert algo == plain
    assert (released.cpo.lambda_kl, released.cpo.adversary.coef) == (0.0, 0.0)
    awac = released.cpo.awac
    assert (awac.beta, awac.temperature, awac.max_weight, awac.ratio) == (1e-3, 0.2, 100.0, 1.0)
    assert own.cpo.lambda_kl > 0.0 and own.cpo.adversary.coef > 0.0
