"""Advantage estimation against its definition, hand-computed numbers and the originals."""

from __future__ import annotations

import pytest
import torch

from epo.learner.gae import gae
from tests.golden import golden
from tests.learner.golden_case import assert_close, tensor


def test_gae_equals_the_original():
    arrays = golden("learner_gae.npz")
    for i in range(int(arrays["cases"])):
        case = f"case{i}/"
        advantage, target = gae(
            tensor(arrays[f"{case}rewards"]),
            tensor(arrays[f"{case}values"]),
            tensor(arrays[f"{case}dones"]).bool(),
            gamma=arrays[f"{case}gamma"].item(),
            lam=arrays[f"{case}lam"].item(),
        )
        assert_close(advantage, arrays[f"{case}advantages"], 1e-10, case)
        assert_close(target, arrays[f"{case}returns"], 1e-10, case)


@pytest.mark.parametrize("lam", [0.0, 0.7, 1.0])
def test_gae_equals_its_definition(lam):
    """A(t) = sum over l of (gamma lam)^l delta(t + l), up to the step that ends the episode."""
    horizon, num_envs, gamma = 9, 5, 0.9
    generator = torch.Generator().manual_seed(1)
    reward = torch.randn(horizon, num_envs, generator=generator, dtype=torch.float64)
    value = torch.randn(horizon + 1, num_envs, generator=generator, dtype=torch.float64)
    is_first = torch.rand(horizon + 1, num_envs, generator=generator) < 0.3
    expected = torch.zeros_like(reward)
    for env in range(num_envs):
        for t in range(horizon):
            for step in range(t, horizon):
                done = bool(is_first[step + 1, env])
                after = 0.0 if done else gamma * value[step + 1, env]
                delta = reward[step, env] + after - value[step, env]
                expected[t, env] += (gamma * lam) ** (step - t) * delta
                if done:
                    break
    advantage, target = gae(reward, value, is_first, gamma=gamma, lam=lam)
    torch.testing.assert_close(advantage, expected, rtol=0.0, atol=1e-12)
    torch.testing.assert_close(target, expected + value[:-1], rtol=0.0, atol=1e-12)


def test_gae_bootstraps_a_time_limit_and_still_cuts_the_trace():
    reward = torch.tensor([[1.0], [2.0]])
    value = torch.tensor([[4.0], [8.0], [16.0]])
    is_first = torch.tensor([[False], [True], [False]])
    terminal_value = torch.tensor([[6.0], [100.0]])  # the second is not at an end: not read
    advantage, target = gae(
        reward, value, is_first, gamma=0.5, lam=0.5, terminal_value=terminal_value
    )
    # step 0, ended by time: 1 + 0.5 * 6 - 4 = 0; nothing of step 1 is added
    # step 1: 2 + 0.5 * 16 - 8 = 2
    assert torch.equal(advantage, torch.tensor([[0.0], [2.0]]))
    assert torch.equal(target, torch.tensor([[4.0], [10.0]]))


def test_gae_ignores_the_flag_of_the_first_observation():
    reward, value = torch.randn(3, 2), torch.randn(4, 2)
    is_first = torch.zeros(4, 2, dtype=torch.bool)
    without = gae(reward, value, is_first, gamma=0.9, lam=0.9)[0]
    is_first[0] = True
    assert torch.equal(gae(reward, value, is_first, gamma=0.9, lam=0.9)[0], without)


def test_gae_rejects_values_without_the_last_step():
    with pytest.raises(ValueError, match="one step more"):
        gae(torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(3, 2).bool(), gamma=0.9, lam=0.9)
