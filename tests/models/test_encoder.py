"""The image encoder, and the shared network behind it."""

from __future__ import annotations

import pytest
import torch

from epo.config import ConfigError, NetworkCfg, NormalizerCfg
from epo.models.actor_critic import ActorCritic
from epo.models.encoder import ImageEncoder
from epo.validation import validate
from tests.composed import composed
from tests.learner.small_run import genes_of

SHAPE = (2, 6, 5)
NUM_PIXELS = 60


def make_model(kind: str = "mlp", num_agents: int = 1) -> ActorCritic:
    torch.manual_seed(0)
    network = NetworkCfg(
        kind=kind, encoder="cnn", cnn_channels=[3, 4], lstm_units=8, mlp_units=[12], gene_dim=4
    )
    return ActorCritic(NUM_PIXELS, 2, num_agents, network, NormalizerCfg(), image_shape=SHAPE)


def images(*leading: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(256, (*leading, NUM_PIXELS), generator=generator).float()


@pytest.mark.parametrize(
    ("shape", "channels", "width"),
    [
        ((4, 84, 84), [16, 32, 32, 32], 32 * 6 * 6),  # 84, 42, 21, 11, 6
        ((3, 12, 16), [8, 8], 8 * 3 * 4),
        ((1, 1, 1), [2, 2], 2),
    ],
)
def test_every_layer_halves_the_image(shape, channels, width):
    encoder = ImageEncoder(shape, channels)
    num = shape[0] * shape[1] * shape[2]
    assert encoder.width == width
    assert encoder(torch.zeros(5, 3, num)).shape == (5, 3, width)


def test_features_are_those_of_the_picture():
    """One layer on one bright pixel: its weights appear where the kernel lies on it."""
    encoder = ImageEncoder((1, 3, 3), [1])
    layer = encoder.layers[0]
    assert isinstance(layer, torch.nn.Conv2d) and layer.bias is not None
    with torch.no_grad():
        layer.weight.copy_(torch.arange(1.0, 10.0).view(1, 1, 3, 3))
        layer.bias.zero_()
    image = torch.zeros(9)
    image[4] = 255.0  # row 1, column 1 -> 1 after scaling
    # Kernels are centred on (0, 0), (0, 2), (2, 0), (2, 2): the pixel lies in their corners.
    assert encoder(image).tolist() == [9.0, 7.0, 3.0, 1.0]


@pytest.mark.parametrize("kind", ["mlp", "lstm"])
def test_sequence_equals_step_by_step(kind: str):
    model = make_model(kind, num_agents=3)
    observation, agent = images(4, 6), torch.arange(6) % 3
    memory, is_first = model.initial_memory(6), torch.zeros(4, 6, dtype=torch.bool)
    whole = model(observation, agent, memory, is_first)
    for t in range(4):
        step = model(observation[t : t + 1], agent, memory, is_first[t : t + 1])
        memory = step.memory
        # float32, sums in another order
        torch.testing.assert_close(whole.mean[t], step.mean[0], rtol=0.0, atol=1e-5)


@pytest.mark.parametrize("kind", ["mlp", "lstm"])
def test_gene_still_tells_agents_apart(kind: str):
    model = make_model(kind, num_agents=2)
    observation = images(1, 1).expand(1, 2, -1)
    memory, is_first = model.initial_memory(2), torch.zeros(1, 2, dtype=torch.bool)
    output = model(observation, torch.arange(2), memory, is_first)
    assert not torch.allclose(output.mean[0, 0], output.mean[0, 1])
    output.mean.sum().backward()
    assert all(genes_of(model).grad[k].any() for k in range(2))  # pyright: ignore


def test_images_are_not_normalised_and_all_parameters_learn():
    model = make_model()
    observation = images(2, 3)
    before = model.observation_normalizer.mean.clone()
    model.observation_normalizer.update(observation)
    assert torch.equal(model.observation_normalizer.mean, before)
    nowhere = torch.zeros(2, 3, dtype=torch.bool)
    agent = torch.zeros(3, dtype=torch.int64)
    output = model(observation, agent, model.initial_memory(3), nowhere)
    (output.mean.sum() + output.value.sum()).backward()
    untouched = [k for k, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert untouched == ["log_std"]


def test_vector_networks_are_what_they_were():
    """Same draws in the same order as without an encoder in the code."""
    torch.manual_seed(0)
    model = ActorCritic(5, 2, 1, NetworkCfg(kind="mlp", mlp_units=[4]), NormalizerCfg())
    torch.manual_seed(0)
    first = torch.nn.Linear(5, 4)
    assert model.encoder is None
    assert torch.equal(model.state_dict()["mlp.0.weight"], first.weight)


@pytest.mark.parametrize("channels", [[], [16, 0]])
def test_impossible_channels_are_refused(channels):
    cfg = composed("algo=ppo")
    cfg.algo.network.cnn_channels = channels
    with pytest.raises(ConfigError, match=r"cnn_channels=\[.*\]: give (number|width)s of at least"):
        validate(cfg)
