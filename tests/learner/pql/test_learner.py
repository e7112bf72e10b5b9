"""Updates: how many, of what, and what stays as it is."""

from __future__ import annotations

import copy
from typing import Dict, List

import pytest
import torch
from torch import Tensor, nn

from epo.learner.pql.learner import Means, QLearner
from epo.learner.pql.replay import Batch
from tests.host_reads import host_reads
from tests.learner.pql.small import ACTIONS, INPUTS, small_learner

CRITICS = pytest.mark.parametrize("critic", ["double", "distributional"])


def snapshot(network: nn.Module) -> Dict[str, Tensor]:
    return copy.deepcopy(network.state_dict())


def is_same(network: nn.Module, before: Dict[str, Tensor]) -> bool:
    after = network.state_dict()
    return all(torch.equal(after[name], before[name]) for name in before)


def draw(learner: QLearner) -> Batch:
    return learner.replay.sample(learner.batch_size, learner.generator)


def test_published_ratios_give_eight_and_four_updates_per_control_step():
    learner = small_learner()
    for step in range(1, 6):
        learner.learn()
        assert (learner.critic_updates, learner.actor_updates) == (8 * step, 4 * step)


def test_fractional_ratios_do_not_drift():
    learner = small_learner(critic_updates=0.3, actor_updates=0.7)
    for _ in range(100):
        learner.learn()
    assert (learner.critic_updates, learner.actor_updates) == (30, 21)


@CRITICS
def test_actor_update_leaves_the_critics_and_their_gradients_alone(critic):
    learner = small_learner(critic=critic)
    networks = learner.networks
    learner.update_critic(draw(learner))
    critics, targets = snapshot(networks.critic), snapshot(networks.target_critic)
    actor = snapshot(networks.actor)
    gradients = [parameter.grad for parameter in networks.critic.parameters()]
    values = [gradient.clone() for gradient in gradients if gradient is not None]
    assert len(values) == len(gradients)
    learner.update_actor(torch.randn(16, INPUTS))
    assert is_same(networks.critic, critics) and is_same(networks.target_critic, targets)
    assert not is_same(networks.actor, actor)
    for parameter, gradient, value in zip(networks.critic.parameters(), gradients, values):
        assert gradient is not None and parameter.grad is gradient
        assert torch.equal(gradient, value)


@CRITICS
def test_critic_update_leaves_the_actor_alone(critic):
    learner = small_learner(critic=critic)
    before = snapshot(learner.networks.actor)
    learner.update_critic(draw(learner))
    assert is_same(learner.networks.actor, before)
    assert all(parameter.grad is None for parameter in learner.networks.actor.parameters())


def test_both_critics_learn():
    learner = small_learner()
    before = snapshot(learner.networks.critic)
    learner.update_critic(draw(learner))
    for name, weight in learner.networks.critic.state_dict().items():
        for head in range(2):
            assert not torch.equal(weight[head], before[name][head])


def test_actor_climbs_the_lesser_critic():
    learner = small_learner(learning_rate=1e-3)
    observation = torch.randn(64, INPUTS)

    def lesser() -> float:
        networks = learner.networks
        normalized = networks.normalizer(observation)
        with torch.no_grad():
            value = networks.critic(normalized, networks.actor(normalized))
        return float(value.amin(dim=0).mean())

    before = lesser()
    for _ in range(20):
        learner.update_actor(observation)
    assert lesser() > before + 1e-3


def test_critics_learn_a_constant_target():
    learner = small_learner(learning_rate=1e-2, weight_decay=0.0)
    batch = draw(learner)._replace(reward_sum=torch.full((16,), 2.0), bootstrap=torch.zeros(16))
    for _ in range(300):
        learner.update_critic(batch)
    output = learner.networks.critic(learner.networks.normalizer(batch.observation), batch.action)
    torch.testing.assert_close(output, torch.full_like(output, 2.0), atol=0.1, rtol=0.0)


def test_target_uses_the_policy_the_noise_and_the_target_critic():
    learner = small_learner(target_sigma=0.0)
    batch, networks = draw(learner), learner.networks
    with torch.no_grad():
        for parameter in networks.target_critic.parameters():
            parameter.mul_(3.0)  # no longer the critic
        after = networks.normalizer(batch.next_observation)
        value = networks.target_critic(after, networks.actor(after))[..., 0]
    expected = batch.reward_sum + 0.97 * value.amin(dim=0)
    torch.testing.assert_close(learner.targets(batch), expected)


def test_target_noise_is_bounded_and_so_is_the_action(monkeypatch):
    learner = small_learner(target_sigma=5.0, target_noise_bound=0.2)
    seen: List[Tensor] = []
    learner.networks.target_critic.register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[1])
    )
    batch = draw(learner)
    learner.targets(batch)
    action = learner.act(batch.next_observation)
    # Nearly every draw of deviation 5 is cut to +-0.2.
    difference = (seen[0] - action).abs()
    assert difference.max() <= 0.2 + 1e-6 and difference.median() > 0.15
    monkeypatch.setattr(
        learner, "policy", lambda observation: torch.ones(len(observation), ACTIONS)
    )
    learner.targets(batch)
    assert seen[1].max() == 1.0


def test_acting_and_learning_normalise_alike():
    """The published actor does not clamp what its learners clamp."""
    learner = small_learner()
    networks = learner.networks
    networks.normalizer.update(5.0 + 3.0 * torch.randn(1000, INPUTS))
    seen: Dict[str, Tensor] = {}

    def keep(name: str, module: nn.Module) -> None:
        module.register_forward_pre_hook(lambda _, inputs: seen.update({name: inputs[0]}))

    keep("actor", networks.actor)
    keep("critic", networks.critic)
    keep("target", networks.target_critic)
    extreme = torch.tensor([[1e4, -1e4, 5.0]]).expand(16, INPUTS)
    learner.act(extreme)
    acted_on = seen["actor"].clone()
    assert acted_on[0, :2].tolist() == [5.0, -5.0]  # the clamp
    batch = draw(learner)._replace(observation=extreme, next_observation=extreme)
    learner.update_critic(batch)
    assert torch.equal(seen["critic"], acted_on)
    assert torch.equal(seen["target"], acted_on)
    assert torch.equal(seen["actor"], acted_on)  # of the target's action
    learner.update_actor(extreme)
    assert torch.equal(seen["actor"], acted_on)


def test_gradient_norm_is_bounded():
    learner = small_learner(max_grad_norm=0.5)
    batch = draw(learner)
    learner.update_critic(batch._replace(reward_sum=1000.0 * batch.reward_sum))
    norms = [p.grad.norm() for p in learner.networks.critic.parameters() if p.grad is not None]
    assert float(torch.stack(norms).norm()) == pytest.approx(0.5, rel=1e-3)
    assert float(learner.read_metrics()["grad_norm/critic"]) > 100.0  # measured before


def test_without_lag_the_policy_is_the_actor():
    learner = small_learner()
    assert learner.policy is learner.networks.actor


def test_lagging_policy_is_renewed_when_its_time_is_over():
    learner = small_learner(policy_lag=3)
    first = snapshot(learner.networks.actor)
    for _ in range(2):
        learner.learn()
        assert is_same(learner.policy, first) and not is_same(learner.networks.actor, first)
    learner.learn()
    assert is_same(learner.policy, snapshot(learner.networks.actor))
    learner.learn()
    assert not is_same(learner.policy, snapshot(learner.networks.actor))


@CRITICS
def test_metrics_are_named_and_finite(critic):
    learner = small_learner(critic=critic)
    learner.learn()
    metrics = learner.read_metrics()
    required = (
        "loss/critic loss/actor q/mean q/td_error q/head_gap q/target_min q/target_max "
        "action/saturation replay/age grad_norm/critic grad_norm/actor"
    )
    assert set(required.split()) <= set(metrics)
    assert ("q/edge_low" in metrics) == (critic == "distributional")
    assert all(value.shape == () and value.isfinite() for value in metrics.values())
    assert metrics["q/target_min"] < metrics["q/mean"] + metrics["q/td_error"]
    assert learner.read_metrics() == {}


def test_edge_mass_tells_that_the_atoms_are_too_near():
    learner = small_learner(critic="distributional", value_range=[-1.0, 1.0])
    batch = draw(learner)
    learner.update_critic(batch._replace(reward_sum=torch.full((16,), 50.0)))
    metrics = learner.read_metrics()
    assert float(metrics["q/edge_high"]) == pytest.approx(1.0, abs=1e-5)
    assert float(metrics["q/edge_low"]) == 0.0


def test_saturation_is_the_share_of_actions_at_their_bounds():
    learner = small_learner()
    final = learner.networks.actor.layers[-1]
    assert isinstance(final, nn.Linear)
    with torch.no_grad():
        final.bias.copy_(torch.tensor([100.0, 0.0]))
    learner.update_actor(torch.zeros(16, INPUTS))
    assert float(learner.read_metrics()["action/saturation"]) == 0.5


def test_means_are_over_rows():
    means = Means()
    for value in (1.0, 2.0, 6.0):
        means.add({"x": torch.tensor(value), "y": torch.tensor(-value)})
    assert {name: float(value) for name, value in means.read().items()} == {"x": 3.0, "y": -3.0}
    assert means.read() == {}


@CRITICS
def test_restored_learner_continues_the_same(critic):
    settings = {"critic": critic, "policy_lag": 2, "critic_updates": 1.5}
    learner = small_learner(**settings)
    for _ in range(3):
        learner.learn()
    other = small_learner(seed=9, **settings)
    other.networks.load_state_dict(learner.networks.state_dict())
    other.replay.load_state_dict(learner.replay.state_dict(with_contents=True))
    other.load_state_dict(copy.deepcopy(learner.state_dict()))
    for _ in range(3):
        learner.learn()
        other.learn()
    assert is_same(other.networks, snapshot(learner.networks))
    assert is_same(other.policy, snapshot(learner.policy))
    assert (other.critic_updates, other.actor_updates) == (9, 4)


@CRITICS
def test_updates_read_nothing_from_the_device(critic):
    learner = small_learner(critic=critic, policy_lag=1)
    assert not host_reads(learner.learn)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@CRITICS
def test_updates_never_wait_for_cuda(critic):
    learner = small_learner(device=torch.device("cuda"), critic=critic)
    learner.learn()  # loads kernels
    torch.cuda.set_sync_debug_mode("error")
    try:
        learner.learn()
    finally:
        torch.cuda.set_sync_debug_mode("default")
