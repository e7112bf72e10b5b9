from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own convention)

from epo.learner.pql.networks import NUM_HEADS, Critic, StackedLinear
from tests.learner.pql.small import ACTIONS, INPUTS, small_networks


def test_stacked_layers_are_independent_linear_layers():
    layer = StackedLinear(2, 5, 3)
    x = torch.randn(2, 7, 5)
    expected = torch.stack([F.linear(x[i], layer.weight[i].T, layer.bias[i, 0]) for i in range(2)])
    torch.testing.assert_close(layer(x), expected)


def test_stacked_layers_begin_like_torch_s_own():
    torch.manual_seed(0)
    layer = StackedLinear(2, 100, 200)
    for parameter in (layer.weight, layer.bias):
        assert parameter.abs().max() <= 0.1  # 1 / sqrt(100)
        assert abs(float(parameter.detach().std()) - 0.1 / 3**0.5) < 0.005


def test_critics_differ_and_see_observation_and_action():
    torch.manual_seed(0)
    critic = Critic(INPUTS, ACTIONS, [16, 8], 4)
    observation, action = torch.randn(6, INPUTS), torch.randn(6, ACTIONS)
    output = critic(observation, action)
    assert output.shape == (NUM_HEADS, 6, 4)
    assert not torch.allclose(output[0], output[1])
    assert not torch.equal(critic(observation, action + 1.0), output)
    assert not torch.equal(critic(observation + 1.0, action), output)


def test_target_critic_begins_as_a_copy_and_takes_no_gradient():
    networks = small_networks()
    for target, source in zip(networks.target_critic.parameters(), networks.critic.parameters()):
        assert torch.equal(target, source) and target is not source
        assert not target.requires_grad


def test_target_critic_follows_by_its_rate():
    networks = small_networks()
    old = [parameter.clone() for parameter in networks.target_critic.parameters()]
    with torch.no_grad():
        for parameter in networks.critic.parameters():
            parameter.add_(1.0)
    networks.follow(0.25)
    for target, before in zip(networks.target_critic.parameters(), old):
        torch.testing.assert_close(target, before + 0.25)


def test_target_critic_of_rate_one_equals_the_critic():
    networks = small_networks()
    with torch.no_grad():
        for parameter in networks.critic.parameters():
            parameter.normal_()
    networks.follow(1.0)
    for target, source in zip(networks.target_critic.parameters(), networks.critic.parameters()):
        assert torch.equal(target, source)


def test_actions_are_within_their_range():
    networks = small_networks()
    action = networks.act(1e6 * torch.randn(50, INPUTS))
    assert action.shape == (50, ACTIONS) and action.abs().max() <= 1.0
    assert not action.requires_grad
