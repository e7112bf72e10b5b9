"""The LSTM's own backward against a loop over steps that torch differentiates."""

from __future__ import annotations

from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

import pytest
import torch
from torch import Tensor

from epo.models import lstm as layer
from tests.learner.reference_network import lstm_cell

STEPS, NUM, WIDTH, UNITS = 5, 4, 2, 3
# float64: some dozen roundings of 1e-16 of numbers of order one
TOLERANCE = 1e-10

Loss = Callable[[Tensor, Tensor], Tensor]


class Case(NamedTuple):
    """Arguments of the function, in its order."""

    x: Tensor
    memory: Tensor
    is_first: Tensor
    input_weight: Tensor
    weight: Tensor
    bias: Tensor


def _starts(name: str, steps: int) -> Tensor:
    """Tell where episodes begin [T, B]; by column: alone, at the start, in a row, at the end."""
    is_first = torch.zeros(steps, NUM, dtype=torch.bool)
    if name == "all":
        is_first[:] = True
    elif name == "some":
        is_first[steps // 2, 0] = True
        is_first[0, 1] = True
        is_first[: steps - 1, 2] = True
        is_first[-1, 3] = True
    return is_first


def _case(starts: str = "some", steps: int = STEPS, is_shared: bool = True) -> Case:
    torch.manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, requires_grad=True)

    return Case(
        normal(steps, NUM, WIDTH),
        normal(2, NUM, UNITS),
        _starts(starts, steps),
        normal(4 * UNITS, WIDTH),
        normal(4 * UNITS, UNITS),
        normal(4 * UNITS) if is_shared else normal(NUM, 4 * UNITS),
    )


def lstm(*case: Tensor, dtype: Optional[torch.dtype] = None) -> Tuple[Tensor, Tensor]:
    """Join the weights of a case and run the layer."""
    x, memory, is_first, input_weight, weight, bias = case
    shared, own = (bias, None) if bias.dim() == 1 else (None, bias)
    joined = layer.joined_weight(input_weight, weight, shared, dtype)
    return layer.lstm(x, memory, is_first, joined, own)


def _naive(
    x: Tensor,
    memory: Tensor,
    is_first: Tensor,
    input_weight: Tensor,
    weight: Tensor,
    bias: Tensor,
) -> Tuple[Tensor, Tensor]:
    """The same, one step and one sequence at a time."""
    outputs, memories = [], []
    biases = bias.expand(x.shape[1], -1)
    for b in range(x.shape[1]):
        hidden, cell, seen = memory[0, b], memory[1, b], []
        for t in range(x.shape[0]):
            if is_first[t, b]:
                hidden, cell = torch.zeros_like(hidden), torch.zeros_like(cell)
            hidden, cell = lstm_cell(input_weight @ x[t, b] + weight @ hidden + biases[b], cell)
            seen.append(hidden)
        outputs.append(torch.stack(seen))
        memories.append(torch.stack([hidden, cell]))
    return torch.stack(outputs, dim=1), torch.stack(memories, dim=1)


def _both(hidden: Tensor, memory: Tensor) -> Tensor:
    """Weigh every element of both outputs differently."""
    return (hidden * _ramp(hidden)).sum() + (memory.square() * _ramp(memory)).sum()


def _ramp(like: Tensor) -> Tensor:
    return torch.linspace(0.5, 1.5, like.numel(), dtype=like.dtype).view(like.shape)


# A plain sum sends back a gradient that is one number, expanded.
LOSSES: Dict[str, Loss] = {
    "both": _both,
    "hidden": lambda hidden, memory: hidden.sum(),
    "memory": lambda hidden, memory: memory.sum(),
    "cell": lambda hidden, memory: memory[1].sum(),
    "one step": lambda hidden, memory: hidden[STEPS // 2].square().sum(),
}


def _gradients(function: Callable[..., Tuple[Tensor, Tensor]], case: Case, loss: Loss):
    """Return the gradients of all arguments that want one; zeros where none arrived."""
    leaves = [x for x in case if x.requires_grad]
    found = torch.autograd.grad(loss(*function(*case)), leaves, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(leaves, found)]


def _assert_close(found: List[Tensor], expected: List[Tensor]) -> None:
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected):
        torch.testing.assert_close(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE)


def _assert_equal_to_naive(case: Case, loss: Loss) -> None:
    _assert_close(list(lstm(*case)), list(_naive(*case)))
    _assert_close(_gradients(lstm, case, loss), _gradients(_naive, case, loss))


@pytest.mark.parametrize("loss", list(LOSSES))
@pytest.mark.parametrize("starts", ["none", "some", "all"])
def test_values_and_gradients_equal_the_loop(starts, loss):
    _assert_equal_to_naive(_case(starts), LOSSES[loss])


@pytest.mark.parametrize("starts", ["none", "some", "all"])
def test_single_step_equals_the_loop(starts):
    _assert_equal_to_naive(_case(starts, steps=1), _both)


@pytest.mark.parametrize("loss", list(LOSSES))
def test_bias_of_each_sequence_equals_the_loop(loss):
    _assert_equal_to_naive(_case(is_shared=False), LOSSES[loss])


@pytest.mark.parametrize("steps", [1, STEPS])
def test_gradients_equal_finite_differences(steps):
    case = _case(steps=steps)

    def of_floats(x: Tensor, memory: Tensor, *parameters: Tensor):
        return lstm(x, memory, case.is_first, *parameters)

    leaves = (case.x, case.memory, case.input_weight, case.weight, case.bias)
    assert torch.autograd.gradcheck(of_floats, leaves)


@pytest.mark.parametrize("wanted", ["x", "memory", "input_weight", "weight", "bias"])
def test_gradient_of_one_argument_alone_equals_the_loop(wanted):
    case = Case(*(x.detach() for x in _case()))
    case = case._replace(**{wanted: getattr(case, wanted).requires_grad_()})
    _assert_equal_to_naive(case, _both)


def test_strided_arguments_equal_the_loop():
    case = _case()
    batch_first = case.x.detach().transpose(0, 1).contiguous().requires_grad_()
    columns = case.weight.detach().t().contiguous().requires_grad_()
    state = torch.stack([case.memory.detach()] * 2, dim=-1).requires_grad_()
    starts = case.is_first.t().contiguous()

    def strided(function):
        x, memory = batch_first.transpose(0, 1), state[..., 1]
        outputs = function(x, memory, starts.t(), case.input_weight, columns.t(), case.bias)
        leaves = [batch_first, state, columns, case.bias]
        return [*outputs, *torch.autograd.grad(_both(*outputs), leaves)]

    assert not batch_first.transpose(0, 1).is_contiguous()
    _assert_close(strided(lstm), strided(_naive))


def test_inputs_that_are_expanded_equal_the_loop():
    """One row for all steps."""
    case = _case()
    row = case.x.detach()[:1].requires_grad_()

    def expanded(function):
        outputs = function(row.expand(STEPS, -1, -1), *case[1:])
        return [*outputs, *torch.autograd.grad(_both(*outputs), [row])]

    _assert_close(expanded(lstm), expanded(_naive))


def test_values_without_gradient_are_the_same():
    case = _case()
    with torch.no_grad():
        found = lstm(*case)
    assert not any(x.requires_grad for x in found)
    _assert_close(list(found), list(_naive(*case)))


@pytest.mark.parametrize("is_shared", [True, False])
def test_sequence_is_the_same_without_gradients(is_shared):
    """Then every step uses the memory of the one before."""
    case = _case(is_shared=is_shared)
    with torch.no_grad():
        found = lstm(*case)
    for part, expected in zip(found, lstm(*case)):
        assert torch.equal(part, expected)


def test_no_gradient_reaches_a_state_that_is_reset():
    case = _case("all")
    _, memory, _, weight, _ = _gradients(lstm, case, _both)
    assert not memory.any()
    assert not weight.any()  # the state before every step is zero


def test_two_stretches_equal_one():
    """Memory carries values and gradients from one call to the next."""
    case = _case()

    def halves(x: Tensor, memory: Tensor, is_first: Tensor, *parameters: Tensor):
        first, memory = lstm(x[:2], memory, is_first[:2], *parameters)
        second, memory = lstm(x[2:], memory, is_first[2:], *parameters)
        return torch.cat([first, second]), memory

    _assert_close(_gradients(halves, case, _both), _gradients(lstm, case, _both))


def test_backward_can_be_repeated_and_leaves_everything_as_it_is():
    case = _case()
    before = [x.detach().clone() for x in case]
    outputs = lstm(*case)
    values = [x.detach().clone() for x in outputs]
    leaves = [x for x in case if x.requires_grad]
    once = torch.autograd.grad(_both(*outputs), leaves, retain_graph=True)
    twice = torch.autograd.grad(_both(*outputs), leaves)
    assert all(torch.equal(a, b) for a, b in zip(once, twice))
    assert all(torch.equal(a, b) for a, b in zip([*case, *outputs], [*before, *values]))


def test_single_precision_stays_near_double():
    case = _case()
    single = Case(*(x.float() if x.is_floating_point() else x for x in case))
    for ours, exact in zip(lstm(*single), _naive(*case)):
        assert ours.dtype == torch.float32
        # five steps, rounding of 6e-8 of gates below ten
        torch.testing.assert_close(ours.double(), exact, rtol=0.0, atol=1e-5)


def test_bfloat16_keeps_the_state_in_single_precision():
    case = _case()
    single = Case(*(x.detach().float() if x.is_floating_point() else x for x in case))
    single.weight.requires_grad_()
    hidden, memory = lstm(*single, dtype=torch.bfloat16)
    assert hidden.dtype == memory.dtype == torch.float32
    # five steps, rounding of 2^-9 of gates below four
    torch.testing.assert_close(hidden.double(), _naive(*case)[0], rtol=0.0, atol=5e-2)
    (found,) = torch.autograd.grad(hidden.sum(), [single.weight])
    (expected,) = torch.autograd.grad(_naive(*case)[0].sum(), [case.weight])
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=0.05, atol=0.05)
