from __future__ import annotations

import torch

from epo.rollout.storage import Quantity, Rollout, allocate_rollout


def filled() -> Rollout:
    """Return a rollout of 3 agents with 2 environments each, every number of which differs."""
    rollout = allocate_rollout(
        4,
        torch.arange(6) // 2,
        observation_dim=3,
        policy_dim=2,
        action_width=2,
        log_std=torch.zeros(3, 2),
        memory=torch.zeros(2, 6, 5),
        with_terminal_value=True,
        with_step_memory=True,
        with_validity=True,
        quantities={"cost": Quantity(lambda step: step.reward, shape=(2,))},
    )
    for name, tensor in rollout.tensors().items():
        if tensor.dtype == torch.bool:
            tensor.copy_(torch.rand(tensor.shape) < 0.5)
        elif name != "agent":
            tensor.copy_(torch.arange(float(tensor.numel())).view(tensor.shape))
    return rollout


def test_parts_are_the_whole_and_nothing_is_copied():
    rollout = filled()
    parts = [rollout.part(p, 3) for p in range(3)]
    assert all(one.num_envs == 2 and one.horizon == 4 for one in parts)
    assert all(one.agent.tolist() == [0, 0] for one in parts)
    dims = {"log_std": 0, "step_memory": 2}
    for name, whole in rollout.tensors().items():
        if name == "agent":
            continue
        pieces = [one.tensors()[name] for one in parts]
        assert torch.equal(torch.cat(pieces, dim=dims.get(name, 1)), whole), name
        assert pieces[0].data_ptr() == whole.data_ptr(), name


def test_parts_have_no_more_than_the_rollout():
    rollout = filled()
    rollout.terminal_value = rollout.step_memory = rollout.is_valid = None
    one = rollout.part(1, 3)
    assert (one.terminal_value, one.step_memory, one.is_valid) == (None, None, None)
