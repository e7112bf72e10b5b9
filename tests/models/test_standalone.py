from __future__ import annotations

import pytest
import torch

from epo.config import NetworkCfg, NormalizerCfg
from epo.models.actor_critic import ActorCritic
from epo.models.distribution import Categorical
from epo.models.standalone import StandalonePolicy
from epo.runner.evaluator import AgentPolicy


def network(kind: str, num_agents: int, distribution=None, image_shape=None) -> ActorCritic:
    torch.manual_seed(0)
    width = 5 if image_shape is None else 3 * 8 * 8
    cfg = NetworkCfg(kind=kind, lstm_units=8, mlp_units=[7, 6], gene_dim=4, cnn_channels=[2, 2])
    model = ActorCritic(width, 3, num_agents, cfg, NormalizerCfg(), None, distribution, image_shape)
    model.observation_normalizer.update(2.0 + 3.0 * torch.randn(100, width))
    return model


@pytest.mark.parametrize("kind", ["lstm", "mlp"])
@pytest.mark.parametrize("num_agents", [1, 4])
@pytest.mark.parametrize("other", [{}, {"distribution": Categorical()}, {"image_shape": (3, 8, 8)}])
def test_acts_as_the_population_does(kind: str, num_agents: int, other: dict):
    model = network(kind, num_agents, **other)
    observation = 3.0 * torch.randn(10, 2, model.observation_dim)
    for agent in range(num_agents):
        policy = AgentPolicy(model, torch.full((2,), agent))
        alone = StandalonePolicy(model, agent)
        inputs = alone.start(observation[0])
        for t in range(10):
            expected = policy.act(observation[t], torch.full((2,), t == 0))
            if not other.get("distribution"):
                expected = expected.clamp(-1.0, 1.0)
            action, *memory = alone(**{**inputs, "observation": observation[t]})
            inputs.update(zip(("hidden", "cell"), memory))
            torch.testing.assert_close(action, expected, atol=1e-6, rtol=1e-5)


def test_gene_can_be_an_input():
    model = network("lstm", 3)
    assert model.gene is not None
    observation = torch.randn(2, 5)
    anybody, second = StandalonePolicy(model, None), StandalonePolicy(model, 1)
    inputs = anybody.start(observation)
    inputs["gene"] = model.gene[1].expand(2, -1)
    assert torch.equal(anybody(**inputs)[0], second(**second.start(observation))[0])


def test_population_of_one_has_no_gene_to_be_an_input():
    with pytest.raises(ValueError, match="no gene"):
        StandalonePolicy(network("mlp", 1), None)


def test_model_itself_stays_as_it_is():
    model = network("lstm", 2)
    StandalonePolicy(model, 0).mean_head.weight.zero_()
    assert model.mean_head.weight.abs().sum() > 0
    assert model.mean_head.weight.requires_grad
