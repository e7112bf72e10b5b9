"""The compiled network: no graph breaks, the same numbers, the same names."""

from __future__ import annotations

import copy
from typing import List

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from epo.config import ConfigError, NetworkCfg, NormalizerCfg
from epo.models import compiled as compiled_module
from epo.models.actor_critic import ActorCritic, PolicyOutput
from epo.models.compiled import OLDEST_TORCH, compile_network, compiled
from tests.stand_in import replace_in

STEPS, NUM, WIDTH, AGENTS = 3, 4, 5, 2


def _model(kind: str, critic: str = "shared") -> ActorCritic:
    torch.manual_seed(0)
    network = NetworkCfg(kind=kind, critic=critic, lstm_units=6, mlp_units=[4], gene_dim=3)
    return ActorCritic(WIDTH, 2, AGENTS, network, NormalizerCfg(), state_dim=2)


def _results(model: ActorCritic) -> List[Tensor]:
    """Return the outputs of a minibatch and of a step, and the gradients of the minibatch."""
    torch.manual_seed(1)
    observation, agent = torch.randn(STEPS, NUM, WIDTH), torch.arange(NUM) % AGENTS
    memory, is_first = model.initial_memory(NUM) + 0.1, torch.rand(STEPS, NUM) < 0.3
    state = torch.randn(STEPS, NUM, 2) if model.state_dim else None
    output = model(observation, agent, memory, is_first, state)
    weighed = [(x * torch.randn_like(x)).sum() for x in output]
    gradients = torch.autograd.grad(torch.stack(weighed).sum(), list(model.parameters()))
    with torch.no_grad(), model.fixed_parameters():
        state = None if state is None else state[:1]
        step = model(observation[:1], agent, memory, is_first[:1], state)
    return [*output, *gradients, *step]


TORCH = tuple(int(number) for number in torch.__version__.split(".")[:2])


@pytest.mark.slow
@pytest.mark.skipif(TORCH < OLDEST_TORCH, reason="this torch cannot trace the LSTM")
@pytest.mark.parametrize(
    "kind, critic", [("lstm", "shared"), ("mlp", "shared"), ("lstm", "asymmetric")]
)
def test_compiled_network_has_no_graph_breaks_and_gives_the_same(kind, critic):
    torch._dynamo.reset()  # programs of other tests count for torch's limit
    model = _model(kind, critic)
    compiled = copy.deepcopy(model)
    # Traced and differentiated as for a device, but run as it is: no compiler is needed.
    compiled.compile(fullgraph=True, dynamic=False, backend="aot_eager")
    for found, expected in zip(_results(compiled), _results(model)):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert compiled.state_dict().keys() == model.state_dict().keys()


@pytest.mark.skipif(TORCH < OLDEST_TORCH, reason="this torch cannot trace the LSTM")
@pytest.mark.parametrize("kind", [pytest.param("lstm", marks=pytest.mark.slow), "mlp"])
def test_published_shapes_are_traced_without_graph_breaks(kind):
    """A control step, a minibatch and the relabelled sequences of EPO-64 with 24,576 environments.

    Fake tensors have shapes and types but no data: tracing takes time, the work none.
    """
    torch._dynamo.reset()
    with FakeTensorMode():
        network = NetworkCfg(kind=kind)
        model = ActorCritic(99, 23, 64, network, NormalizerCfg(), autocast=torch.bfloat16)
        model.compile(fullgraph=True, dynamic=False, backend="aot_eager")

        def evaluate(steps: int, num: int) -> PolicyOutput:
            agent = torch.arange(num) % model.num_agents
            is_first = torch.rand(steps, num) < 0.01
            return model(torch.randn(steps, num, 99), agent, model.initial_memory(num), is_first)

        with torch.no_grad(), model.fixed_parameters():
            assert evaluate(1, 24_576).mean.shape == (1, 24_576, 23)
        torch.stack([x.sum() for x in evaluate(16, 6_144)[:3]]).sum().backward()
        assert all(p.grad is not None and p.grad.shape == p.shape for p in model.parameters())
        with torch.no_grad():
            assert evaluate(17, 384).value.shape == (17, 384)


@pytest.mark.skipif(TORCH < OLDEST_TORCH, reason="this torch cannot trace the LSTM")
def test_compiled_function_takes_other_shapes_and_numbers(monkeypatch):
    """Minibatches end with a shorter one, and PBT changes coefficients."""
    programs: List[torch.fx.GraphModule] = []

    def keep(program: torch.fx.GraphModule, _: List[Tensor]) -> torch.fx.GraphModule:
        programs.append(program)
        return program

    monkeypatch.setattr(compiled_module, "BACKEND", keep)

    def scaled(x: Tensor, factor: float) -> Tensor:
        return x.tanh() * factor

    found = compiled(scaled)
    for number in range(6):
        x = torch.randn(number + 2, 3)
        torch.testing.assert_close(found(x, 0.5 + number), scaled(x, 0.5 + number))
    assert len(programs) == 2  # of the first numbers, and of all others


@pytest.mark.parametrize(
    "compile_it", [lambda: compile_network(_model("mlp")), lambda: compiled(abs)]
)
def test_torch_that_cannot_trace_is_refused(monkeypatch, compile_it):
    replace_in(compiled_module, "torch.__version__", "2.4.1+cpu", monkeypatch)
    with pytest.raises(ConfigError, match=r"compile=true: torch 2\.4\.1.*use compile=false"):
        compile_it()
