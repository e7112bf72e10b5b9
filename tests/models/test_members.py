from __future__ import annotations

import pytest
import torch

from epo.config import NetworkCfg, NormalizerCfg
from epo.models.actor_critic import ActorCritic
from epo.models.members import MemberNetworks


@pytest.mark.parametrize("kind", ["mlp", "lstm"])
def test_every_member_sees_its_own_block_only(kind):
    network = NetworkCfg(kind=kind, lstm_units=4, mlp_units=[8])
    members = [ActorCritic(3, 2, 1, network, NormalizerCfg()) for _ in range(3)]
    for p, member in enumerate(members):
        member.value_normalizer.mean.fill_(10.0 * p)
        torch.nn.init.constant_(member.log_std, -float(p))
    networks = MemberNetworks(members)
    observation = torch.randn(5, 6, 3)
    memory = torch.randn(2, 6, networks.initial_memory(6).shape[-1])
    is_first = torch.rand(5, 6) < 0.3
    agent = torch.arange(6) // 2
    together = networks(observation, agent, memory, is_first)
    for p, member in enumerate(members):
        own = slice(2 * p, 2 * p + 2)
        alone = member(observation[:, own], agent[:2] * 0, memory[:, own], is_first[:, own])
        assert torch.equal(together.mean[:, own], alone.mean)
        assert torch.equal(together.log_std[own], alone.log_std)
        assert torch.equal(together.value[:, own], alone.value)
        assert torch.equal(together.memory[:, own], alone.memory)
    with torch.no_grad(), networks.fixed_parameters():
        for part, expected in zip(networks(observation, agent, memory, is_first), together):
            assert torch.equal(part, expected)
    assert networks.log_std[:, 0].tolist() == [0.0, -1.0, -2.0]
    values = networks.denormalize_value(torch.zeros(2, 6))
    assert values.tolist() == [[0.0, 0.0, 10.0, 10.0, 20.0, 20.0]] * 2
