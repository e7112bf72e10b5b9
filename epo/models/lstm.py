"""One LSTM layer over whole sequences, with a backward pass of its own.

Unrolled under autograd, an LSTM whose state is zeroed inside a sequence costs one small product
per step for the gradient of its weights, and a dozen passes over memory. Here a step multiplies
[hidden state, input, 1] once, the gradient of all weights is one product over all steps, and the
gates are computed in place. Products are batches of four, one of each gate: a CPU makes them faster
than single ones (`docs/performance.md`), and every gate is one piece of memory.
"""

from __future__ import annotations

from typing import Any, List, Optional, Tuple

import torch
from torch import Tensor

ALIGNMENT = 16
"""The width of a step's product is a multiple of it: half precision multiplies fast only so."""


def joined_weight(
    input_weight: Tensor,
    recurrent_weight: Tensor,
    bias: Optional[Tensor] = None,
    dtype: Optional[torch.dtype] = None,
) -> Tensor:
    """Put together what `lstm` multiplies with.

    Args:
        input_weight: [4 H, I]; gates in the order input, forget, cell, output.
        recurrent_weight: [4 H, H].
        bias: [4 H]; None: it will be given for each sequence.
        dtype: of the result, and so of products and gates; None: that of the weights.

    Returns:
        [4, H, W] weights of each gate for [hidden state, input, 1], then zeros.
    """
    weights = [recurrent_weight, input_weight]
    if bias is not None:
        weights.append(bias.unsqueeze(1))
    spare = -sum(part.shape[1] for part in weights) % ALIGNMENT
    weights.append(input_weight.new_zeros(len(input_weight), spare))
    return torch.cat(weights, dim=1).to(dtype or input_weight.dtype).unflatten(0, (4, -1))


def lstm(
    x: Tensor, memory: Tensor, is_first: Tensor, weight: Tensor, bias: Optional[Tensor] = None
) -> Tuple[Tensor, Tensor]:
    """Run the recurrence over T steps; the state is zeroed where an episode begins.

    Args:
        x: [T, B, I].
        memory: [2, B, H] hidden and cell state entering the first step.
        is_first: [T, B] bool, the state is zeroed before the step.
        weight: [4, H, W], see `joined_weight`; products and gates are of its dtype.
        bias: [B, 4 H], one for each sequence; None: it is part of the weight.

    Returns:
        hidden states [T, B, H] and the memory [2, B, H] after the last step.

    Source: Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000, as in torch.
    """
    keep = (~is_first).to(memory.dtype).unsqueeze(-1)  # [T, B] -> [T, B, 1]
    inputs, offset = [x], None
    if bias is None:
        inputs.append(x.new_ones(*x.shape[:2], 1))
    else:
        offset = bias.to(weight.dtype).unflatten(1, (4, -1)).transpose(0, 1)
    units, width = weight.shape[1:]
    spare = width - units - sum(part.shape[-1] for part in inputs)
    inputs.append(x.new_zeros(*x.shape[:2], spare))
    hidden, cell = _Recurrence.apply(  # pyright: ignore[reportGeneralTypeIssues]
        torch.cat(inputs, dim=-1).to(weight.dtype),
        memory[0],
        memory[1],
        keep,
        weight,
        offset,
        torch.is_grad_enabled(),
    )
    return hidden, torch.stack([hidden[-1], cell])


class _Recurrence(torch.autograd.Function):
    """Hidden states [T, B, H] and the last cell state [B, H].

    Its weight [4, H, H + I] of each gate is for the hidden state and the input at once, its offset
    [4, B, H] is added to the sums of every step.
    """

    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any,
        x: Tensor,
        hidden: Tensor,
        cell: Tensor,
        keep: Tensor,
        weight: Tensor,
        offset: Optional[Tensor],
        is_kept: bool,  # For the backward pass; without one, memory for a single step is enough.
    ) -> Tuple[Tensor, Tensor]:
        (steps, num), units = x.shape[:2], hidden.shape[-1]
        kept = steps if is_kept else 1
        entering = _Steps(x, (kept, num, weight.shape[-1]))  # hidden state, masked, and input
        gates = _Steps(x, (kept, 4, num, units))
        cells = _Steps(cell, (kept, num, units))  # cell state after each step
        tanh_cell = torch.empty_like(cell)
        outputs = _Steps(cell, (steps, num, units))
        first_cell, by_gate, keeps = cell, weight.transpose(1, 2), keep.unbind()
        for t in range(steps):
            entering[t][:, :units].copy_(hidden).mul_(keeps[t])
            entering[t][:, units:] = x[t]
            shared = entering[t].expand(4, -1, -1)
            if offset is None:
                torch.bmm(shared, by_gate, out=gates[t])
            else:
                torch.baddbmm(offset, shared, by_gate, out=gates[t])
            _step(gates[t], cell, keeps[t], cells[t], tanh_cell, outputs[t])
            hidden, cell = outputs[t], cells[t]
        if is_kept:
            parts = (*gates.parts, *cells.parts)
            ctx.save_for_backward(entering.joined(), keep, weight, first_cell, *parts)
        ctx.has_offset = offset is not None
        return outputs.joined(), cell

    @staticmethod
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, grad_outputs: Tensor, grad_cell: Tensor
    ) -> Tuple[Optional[Tensor], ...]:
        entering, keep, weight, first_cell, *parts = ctx.saved_tensors
        steps, num, units = grad_outputs.shape
        gates, cells = parts[:steps], parts[steps:]
        grad_steps = _Steps(entering, (4, steps, num, units), dim=1)
        recurrent_weight, input_weight = weight[..., :units], weight[..., units:]
        grad_hidden, grad_cell = torch.zeros_like(grad_cell), grad_cell.clone()
        before, keeps = (first_cell, *cells), keep.unbind()
        for t in range(steps - 1, -1, -1):
            grad_hidden += grad_outputs[t]
            _step_backward(
                gates[t], before[t], cells[t].tanh(), grad_hidden, grad_cell, grad_steps[t]
            )
            if t > 0 or ctx.needs_input_grad[1]:  # The first memory is usually data.
                # dh_{t-1} = keep_t sum over gates of dz U: [4, B, H] x [4, H, H] -> [B, H]
                grad_hidden = torch.bmm(grad_steps[t], recurrent_weight).sum(
                    0, dtype=grad_cell.dtype
                )
                grad_hidden *= keeps[t]
        grad_gates = grad_steps.joined()  # [4, T, B, H]
        rows = grad_gates.flatten(1, 2)  # [4, T, B, H] -> [4, T B, H]
        grad_x = None
        if ctx.needs_input_grad[0]:
            # dx_t = sum over gates of dz W: [4, T B, H] x [4, H, I] -> [T, B, I]
            grad_x = torch.bmm(rows, input_weight).sum(0).unflatten(0, (steps, num))
        return (
            grad_x,
            grad_hidden,
            grad_cell,
            None,
            # d[U, W] = sum over steps and sequences of dz^T [h_{t-1}, x_t]: -> [4, H, H + I]
            torch.bmm(rows.transpose(1, 2), entering.flatten(0, 1).expand(4, -1, -1)),
            grad_gates.sum(1) if ctx.has_offset else None,
            None,
        )


class _Steps:
    """An empty tensor that is filled step by step, after the last one from the start.

    Its steps are parts of one buffer. A compiler gets T tensors and joins them in the end: it would
    copy the whole buffer for every write to a part.

    Args:
        like: has its dtype and device.
        shape: of the whole.
        dim: axis of the steps.
    """

    def __init__(self, like: Tensor, shape: Tuple[int, ...], dim: int = 0) -> None:
        self._dim = dim
        self._whole: Optional[Tensor] = None
        self.parts: List[Tensor]
        if torch.compiler.is_compiling():
            part = shape[:dim] + shape[dim + 1 :]
            self.parts = [like.new_empty(part) for _ in range(shape[dim])]
        else:
            self._whole = like.new_empty(shape)
            self.parts = list(self._whole.unbind(dim))

    def __getitem__(self, t: int) -> Tensor:
        return self.parts[t % len(self.parts)]

    def joined(self) -> Tensor:
        """Return all steps as one tensor."""
        return torch.stack(self.parts, self._dim) if self._whole is None else self._whole


def _step(
    gates: Tensor, before: Tensor, keep: Tensor, cell: Tensor, tanh_cell: Tensor, hidden: Tensor
) -> None:
    """Turn the gates [4, B, H] of a step into their activations, in place, and compute the state.

    Args:
        gates: [4, B, H] sums before, activations afterwards.
        before: [B, H] cell state before the step.
        keep: [B, 1], 0 where it is zeroed first: there the forget gate is closed.
        cell: [B, H], gets the new cell state.
        tanh_cell: [B, H], gets tanh of it.
        hidden: [B, H], gets the new hidden state.
    """
    enter, forget, new, output = gates.unbind()  # [4, B, H] -> 4 x [B, H]
    # i = sigmoid(z_i), f = sigmoid(z_f), g = tanh(z_g), o = sigmoid(z_o),  z = W [h_{t-1}, x_t, 1]
    gates[:2].sigmoid_()
    new.tanh_()
    output.sigmoid_()
    forget *= keep
    # c_t = f c_{t-1} + i g,  h_t = o tanh(c_t)   (Gers et al. 2000)
    torch.mul(forget, before, out=cell).addcmul_(enter.to(cell.dtype), new.to(cell.dtype))
    torch.tanh(cell, out=tanh_cell)
    torch.mul(output, tanh_cell, out=hidden)


def _step_backward(
    gates: Tensor,
    before: Tensor,
    tanh_cell: Tensor,
    grad_hidden: Tensor,
    grad_cell: Tensor,
    grad_gates: Tensor,
) -> None:
    """Carry the gradients of a step's outputs to its gates and to the state before it.

    Args:
        gates: [4, B, H] activations.
        before: [B, H] cell state before the step.
        tanh_cell: [B, H] tanh of the new cell state.
        grad_hidden: [B, H] gradient of the new hidden state; overwritten.
        grad_cell: [B, H] of the new cell state, becomes that of the one before.
        grad_gates: [4, B, H], gets the gradient of the sums.
    """
    enter, forget, new, output = gates.unbind()  # [4, B, H] -> 4 x [B, H]
    grad_enter, grad_forget, grad_new, grad_output = grad_gates.unbind()
    # Chain rule for c_t = f c_{t-1} + i g, h_t = o tanh(c_t); d. is the gradient of the loss.
    # dz_o = dh_t tanh(c_t) o (1 - o)
    _sigmoid_backward(grad_hidden * tanh_cell, output, grad_output)
    # dc_t += dh_t o (1 - tanh(c_t)^2)
    grad_cell += torch.ops.aten.tanh_backward(grad_hidden.mul_(output), tanh_cell)
    # dz_i = dc_t g i (1 - i),  dz_f = dc_t c_{t-1} f (1 - f),  dz_g = dc_t i (1 - g^2)
    _sigmoid_backward(grad_cell * new, enter, grad_enter)
    _sigmoid_backward(grad_cell * before, forget, grad_forget)
    _tanh_backward(grad_cell * enter, new, grad_new)
    # dc_{t-1} = dc_t f
    grad_cell *= forget


def _sigmoid_backward(gradient: Tensor, activation: Tensor, out: Tensor) -> None:
    torch.ops.aten.sigmoid_backward.grad_input(gradient, activation, grad_input=out)


def _tanh_backward(gradient: Tensor, activation: Tensor, out: Tensor) -> None:
    torch.ops.aten.tanh_backward.grad_input(gradient, activation, grad_input=out)
