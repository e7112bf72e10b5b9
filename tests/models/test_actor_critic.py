"""Forward passes of the shared network: the originals' numbers, memory, genes."""

from __future__ import annotations

import copy

import pytest
import torch

from epo.config import NetworkCfg, NormalizerCfg
from epo.models.actor_critic import ActorCritic
from epo.models.distribution import entropy, log_prob
from tests.golden import golden
from tests.learner.golden_case import assert_close, build_model, tensor
from tests.learner.small_run import genes_of

TOLERANCE = {torch.float64: 1e-10, torch.float32: 5e-6}  # of the golden files
KINDS = ["mlp", "lstm"]


def _model(kind, num_agents=3, normalise=False):
    torch.manual_seed(0)
    network = NetworkCfg(kind=kind, lstm_units=8, mlp_units=[12, 6], gene_dim=4)
    normalizer = NormalizerCfg(observation=normalise, value=normalise)
    return ActorCritic(5, 2, num_agents, network, normalizer).double()


def _input(model, steps=7, num=6):
    """Random sequences under all agents; dones at the start, in a row and alone."""
    observation = torch.randn(steps, num, model.observation_dim, dtype=torch.float64)
    is_first = torch.zeros(steps, num, dtype=torch.bool)
    is_first[0, :2] = True
    is_first[2:5, 1] = True
    is_first[-1, 2] = True
    is_first[:, 3] = True
    memory = torch.randn(2, num, model.memory_dim, dtype=torch.float64)
    return observation, torch.arange(num) % model.num_agents, memory, is_first


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("net", ["ppo_mlp", "ppo_lstm", "sapg_mlp", "sapg_lstm"])
def test_forward_equals_the_original(net, dtype):
    arrays = golden("learner_network.npz")
    case = {k[len(net) + 1 :]: v for k, v in arrays.items() if k.startswith(f"{net}/")}
    model = build_model(case, dtype=dtype)
    observation, action = tensor(case["obs"]).to(dtype), tensor(case["actions"]).to(dtype)
    num = observation.shape[1]
    memory, is_first = model.initial_memory(num), torch.zeros(observation.shape[:2]).bool()
    if "h0" in case:
        memory = torch.stack([tensor(case["h0"]), tensor(case["c0"])]).to(dtype)
        is_first = tensor(case["dones"]).bool()
    agent = tensor(case["agent"]) if "agent" in case else torch.zeros(num, dtype=torch.int64)
    output = model(observation, agent, memory, is_first)
    found = {
        "mu": output.mean,
        "sigma": output.log_std.exp().expand_as(output.mean),
        "value": output.value,
        "neglogp": -log_prob(action, output.mean, output.log_std),
        "entropy": entropy(output.log_std).expand_as(output.value),
    }
    if "h0" in case:
        found["h"], found["c"] = output.memory
    for name, value in found.items():
        assert value.dtype == dtype
        assert_close(value, case[f"out_{name}"], TOLERANCE[dtype], f"{net}/{name}")


@pytest.mark.parametrize("num", [1, 6])  # the originals ignore dones of a lone sequence
def test_sequence_equals_step_by_step_with_resets(num):
    model = _model("lstm", normalise=True)
    observation, agent, memory, is_first = _input(model)
    which = torch.tensor([1]) if num == 1 else torch.arange(6)
    observation, is_first = observation[:, which], is_first[:, which]
    agent, memory = agent[which], memory[:, which]
    whole = model(observation, agent, memory, is_first)
    for t in range(len(observation)):
        memory = torch.where(is_first[t].unsqueeze(-1), torch.zeros_like(memory), memory)
        nowhere = torch.zeros_like(is_first[t : t + 1])
        step = model(observation[t : t + 1], agent, memory, nowhere)
        assert model.lstm is not None
        x = torch.cat([model.observation_normalizer(observation[t]), genes_of(model)[agent]], -1)
        memory = torch.stack(model.lstm(x, tuple(memory)))  # torch's own cell
        torch.testing.assert_close(step.memory, memory, rtol=0.0, atol=1e-10)
        torch.testing.assert_close(whole.mean[t], step.mean[0], rtol=0.0, atol=1e-10)
        torch.testing.assert_close(whole.value[t], step.value[0], rtol=0.0, atol=1e-10)
    torch.testing.assert_close(whole.memory, memory, rtol=0.0, atol=1e-10)


@pytest.mark.parametrize("num_agents", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_fixed_parameters_give_the_same_until_they_change(kind, num_agents):
    model = _model(kind, num_agents, normalise=True)
    data = _input(model)

    def found():
        with torch.no_grad():
            return model(*data)

    def move():
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1)

    before = found()
    with torch.no_grad(), model.fixed_parameters():
        assert all(torch.equal(a, b) for a, b in zip(found(), before))
    move()
    after = found()
    assert not torch.equal(after.mean, before.mean)
    with pytest.raises(KeyboardInterrupt), model.fixed_parameters():
        raise KeyboardInterrupt
    move()
    assert not torch.equal(found().mean, after.mean)


@pytest.mark.parametrize("kind", KINDS)
def test_population_of_one_has_no_gene(kind):
    model = _model(kind, num_agents=1)
    assert model.gene is None
    assert "gene" not in dict(model.named_parameters())
    first = "mlp.0.weight" if kind == "mlp" else "lstm.weight_ih"
    assert model.state_dict()[first].shape[1] == 5  # O


@pytest.mark.parametrize("kind", KINDS)
def test_gene_is_appended_to_the_normalised_observation(kind):
    """A plain network over [observation, gene] with the same weights gives the same."""
    model = _model(kind, normalise=True)
    model.observation_normalizer.update(3.0 + 2.0 * torch.randn(50, 5, dtype=torch.float64))
    observation, agent, memory, is_first = _input(model)
    plain = ActorCritic(
        9,
        2,
        1,
        NetworkCfg(kind=kind, lstm_units=8, mlp_units=[12, 6]),
        NormalizerCfg(observation=False, value=False),
    ).double()
    weights = {k: v for k, v in model.named_parameters() if k not in ("gene", "log_std")}
    plain.load_state_dict(weights, strict=False)
    genes = genes_of(model)[agent].expand(len(observation), -1, -1)
    joined = torch.cat([model.observation_normalizer(observation), genes], dim=-1)
    expected = plain(joined, torch.zeros_like(agent), memory, is_first)
    found = model(observation, agent, memory, is_first)
    torch.testing.assert_close(found.mean, expected.mean, rtol=0.0, atol=1e-12)
    torch.testing.assert_close(found.value, expected.value, rtol=0.0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_exchanged_agents_exchange_their_behaviour(kind):
    model = _model(kind)
    with torch.no_grad():
        model.log_std.normal_()
    observation, agent, memory, is_first = _input(model)
    before = model(observation, agent, memory, is_first)
    exchanged = copy.deepcopy(model)
    order = torch.tensor([2, 0, 1])
    with torch.no_grad():
        genes_of(exchanged).copy_(genes_of(model)[order])
        exchanged.log_std.copy_(model.log_std[order])
    after = exchanged(observation, torch.argsort(order)[agent], memory, is_first)
    torch.testing.assert_close(after.mean, before.mean)
    torch.testing.assert_close(after.value, before.value)
    assert torch.equal(after.log_std, before.log_std)
    same_agent = model(observation, torch.zeros_like(agent), memory, is_first)
    assert not torch.allclose(same_agent.value, before.value)


def test_initial_weights_follow_the_published_rule():
    network = NetworkCfg(lstm_units=8, mlp_units=[12], gene_dim=32, initial_log_std=-0.7)
    torch.manual_seed(0)
    model = ActorCritic(5, 2, 64, network, NormalizerCfg())
    biases = [v for k, v in model.named_parameters() if k.endswith(".bias") and "norm" not in k]
    assert len(biases) == 3  # one hidden layer, two heads
    assert not any(bias.any() for bias in biases)
    assert (model.log_std == -0.7).all()
    # 2048 draws of N(0, 1): four standard errors of mean and standard deviation
    genes = genes_of(model)
    assert abs(genes.mean().item()) < 4.0 / 2048**0.5
    assert abs(genes.std().item() - 1.0) < 4.0 / 4096**0.5


def test_noise_ladder_ends_at_the_leader():
    network = NetworkCfg(kind="mlp", mlp_units=[4], initial_log_std=-1.0, noise_ladder=1.5)
    for num_agents, expected in ((4, [0.5, 0.0, -0.5, -1.0]), (1, [-1.0])):
        model = ActorCritic(3, 2, num_agents, network, NormalizerCfg())
        torch.testing.assert_close(model.log_std, torch.tensor(expected)[:, None].repeat(1, 2))


def test_autocast_keeps_heads_and_memory_in_float32():
    torch.manual_seed(0)
    network = NetworkCfg(kind="lstm", lstm_units=8, mlp_units=[12], gene_dim=4)
    model = ActorCritic(5, 2, 3, network, NormalizerCfg(), autocast=torch.bfloat16)
    full = copy.deepcopy(model)
    full.autocast = None
    data = (torch.randn(4, 6, 5), torch.arange(6) % 3, model.initial_memory(6))
    is_first = torch.zeros(4, 6, dtype=torch.bool)
    output, expected = model(*data, is_first), full(*data, is_first)
    assert {x.dtype for x in output} == {torch.float32}
    assert not torch.equal(output.mean, expected.mean)
    # bfloat16 has 8 bits: relative rounding 2^-9 = 0.2 % per product of outputs below 1
    torch.testing.assert_close(output.mean, expected.mean, rtol=0.0, atol=2e-2)


@pytest.mark.parametrize("critic", ["shared", "separate", "asymmetric"])
@pytest.mark.parametrize("kind", KINDS)
def test_absorbed_statistics_leave_the_outputs_as_they_are(kind: str, critic: str):
    torch.manual_seed(0)
    network = NetworkCfg(kind=kind, lstm_units=8, mlp_units=[12, 6], gene_dim=4, critic=critic)
    outputs = {}
    for timing in ("iteration", "absorbed"):
        torch.manual_seed(1)
        settings = NormalizerCfg(timing=timing)
        model = ActorCritic(5, 2, 3, network, settings, state_dim=4).double()
        state = torch.randn(50, 4).double() if model.state_dim else None
        model.see(torch.randn(50, 5).double(), state)  # the first batch is taken as it is
        inputs = _input(model)
        read = None if state is None else torch.randn(7, 6, 4).double()
        before = model(*inputs, read)
        scale = torch.tensor([0.5, 1.0, 2.0, 3.0, 1.5])
        model.see(0.3 + scale * torch.randn(50, 5).double(), None if state is None else 2 * state)
        after = model(*inputs, read)
        outputs[timing] = [(getattr(before, n), getattr(after, n)) for n in ("mean", "value")]
    for (a, b), (c, d) in zip(outputs["iteration"], outputs["absorbed"]):
        assert torch.equal(a, c)
        assert (b - a).abs().max() > 1e-3
        torch.testing.assert_close(c, d, rtol=0.0, atol=1e-10)
