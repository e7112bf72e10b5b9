"""n-step transitions: hand-computed episodes, and every window against a plain loop."""

from __future__ import annotations

from typing import List, Optional, Tuple

import pytest
import torch
from torch import Tensor

from epo.learner.pql.n_step import NStepWindow, OneStep, Transition, n_step_transition, one_step
from tests.learner.pql.small import CPU, make_step

GAMMA = 0.5


def bools(*values: bool) -> Tensor:
    return torch.tensor(values)


def steps_of(
    rewards: List[float],
    terminated: Optional[int] = None,
    truncated: Optional[int] = None,
    invalid: Optional[int] = None,
) -> List[OneStep]:
    """One environment whose observation is 10 t before step t; the final one of t is 10 t + 9."""
    steps: List[OneStep] = []
    for t, reward in enumerate(rewards):
        step = make_step(
            torch.tensor([[10.0 * (t + 1)]]),
            torch.tensor([reward]),
            terminated=bools(t == terminated),
            truncated=bools(t == truncated),
            final_observation=torch.tensor([[10.0 * t + 9.0]]),
            valid=bools(t != invalid),
        )
        observation, action = torch.tensor([[10.0 * t]]), torch.tensor([[float(t)]])
        steps.append(one_step(observation, action, step, reward_scale=1.0))
    return steps


def numbers(transition: Transition) -> Tuple[float, float, float, bool]:
    """R, b, s' and whether it is kept, of the only environment."""
    return (
        float(transition.reward_sum),
        float(transition.bootstrap),
        float(transition.next_observation),
        bool(transition.is_kept),
    )


def test_window_without_end_sums_all_rewards():
    # 1 + 2/2 + 4/4 = 3; 0.5^3; the observation after step 2.
    transition = n_step_transition(steps_of([1.0, 2.0, 4.0]), GAMMA)
    assert numbers(transition) == (3.0, 0.125, 30.0, True)
    assert float(transition.observation) == 0.0 and float(transition.action) == 0.0


def test_termination_cuts_the_window_and_the_bootstrap():
    transition = n_step_transition(steps_of([1.0, 2.0, 4.0], terminated=1), GAMMA)
    assert numbers(transition) == (2.0, 0.0, 19.0, True)  # 1 + 2/2


def test_truncation_cuts_the_window_and_bootstraps_from_the_final_observation():
    transition = n_step_transition(steps_of([1.0, 2.0, 4.0], truncated=1), GAMMA)
    assert numbers(transition) == (2.0, 0.25, 19.0, True)


def test_end_in_the_first_and_in_the_last_step():
    assert numbers(n_step_transition(steps_of([1.0, 2.0], truncated=0), GAMMA))[:3] == (1, 0.5, 9)
    assert numbers(n_step_transition(steps_of([1.0, 2.0], terminated=1), GAMMA))[:3] == (2, 0, 19)


def test_step_that_is_no_experience_ends_the_window_before_it():
    transition = n_step_transition(steps_of([1.0, 2.0, 4.0], invalid=1), GAMMA)
    assert numbers(transition) == (1.0, 0.5, 10.0, True)


def test_window_that_begins_with_no_experience_is_not_kept():
    transition = n_step_transition(steps_of([1.0, 2.0, 4.0], invalid=0), GAMMA)
    assert not transition.is_kept.any()


def test_end_in_a_step_that_is_no_experience_counts_for_nothing():
    transition = n_step_transition(steps_of([1.0, 2.0, 4.0], terminated=1, invalid=1), GAMMA)
    assert numbers(transition) == (1.0, 0.5, 10.0, True)


def test_discount_is_the_one_set():
    # A repository of the paper discounts rewards by 0.99 whatever is set.
    transition = n_step_transition(steps_of([1.0, 1.0, 1.0]), 0.9)
    assert float(transition.reward_sum) == pytest.approx(1 + 0.9 + 0.81)
    assert float(transition.bootstrap) == pytest.approx(0.729)


def test_reward_is_scaled_before_anything_else():
    step = make_step(torch.zeros(1, 1), torch.tensor([3.0]))
    assert float(one_step(torch.zeros(1, 1), torch.zeros(1, 1), step, 0.1).reward) == pytest.approx(
        0.3
    )


def test_step_is_copied_out_of_the_environments_tensors():
    step = make_step(torch.ones(2, 1), torch.ones(2), valid=bools(True, True))
    kept = one_step(torch.zeros(2, 1), torch.zeros(2, 1), step, 1.0)
    assert step.valid is not None
    for tensor in (step.observation, step.reward):
        tensor.fill_(7.0)
    step.terminated.fill_(True)
    step.valid.fill_(False)
    assert kept.next_observation.eq(1.0).all() and kept.reward.eq(1.0).all()
    assert not kept.terminated.any() and not kept.done.any() and kept.valid.all()


def test_window_gives_nothing_until_it_is_full():
    window = NStepWindow(3, GAMMA)
    given = [window.push(step) for step in steps_of([1.0] * 5)]
    assert [transition is None for transition in given] == [True, True, False, False, False]
    starts = [float(transition.observation) for transition in given if transition is not None]
    assert starts == [0.0, 10.0, 20.0]  # every step begins one window


def test_no_window_crosses_a_reset():
    """Random ends in 50 environments: every window against a loop over single environments."""
    generator = torch.Generator().manual_seed(0)
    num_envs, length, n = 50, 40, 4
    episode = torch.zeros(num_envs, 1)
    window, steps, given = NStepWindow(n, 0.9), [], []
    for _ in range(length):
        end = torch.rand(num_envs, generator=generator) < 0.3
        is_death = torch.rand(num_envs, generator=generator) < 0.5
        step = make_step(
            episode + end.unsqueeze(-1),
            torch.randn(num_envs, generator=generator),
            terminated=end & is_death,
            truncated=end & ~is_death,
            final_observation=episode.clone(),
            valid=torch.rand(num_envs, generator=generator) < 0.9,
        )
        steps.append(one_step(episode, torch.zeros(num_envs, 1), step, 1.0))
        given.append(window.push(steps[-1]))
        episode = step.observation
    for t, transition in enumerate(given[n - 1 :]):
        # An observation is the number of its episode.
        assert torch.equal(transition.observation, transition.next_observation)
        for env in range(num_envs):
            reward_sum, bootstrap = by_hand(steps[t : t + n], env, 0.9)
            assert float(transition.is_kept[env]) == float(steps[t].valid[env])
            if steps[t].valid[env]:
                assert float(transition.reward_sum[env]) == pytest.approx(reward_sum, abs=1e-5)
                assert float(transition.bootstrap[env]) == pytest.approx(bootstrap, abs=1e-6)


def by_hand(steps: List[OneStep], env: int, gamma: float) -> Tuple[float, float]:
    """R and b of one environment."""
    reward_sum = bootstrap = 0.0
    for i, step in enumerate(steps):
        if not step.valid[env]:
            break
        reward_sum += gamma**i * float(step.reward[env])
        bootstrap = 0.0 if step.terminated[env] else gamma ** (i + 1)
        if step.done[env]:
            break
    return reward_sum, bootstrap


def test_restored_window_goes_on_where_it_was():
    steps = steps_of([1.0, 2.0, 4.0, 8.0], truncated=1)
    window, other = NStepWindow(3, GAMMA), NStepWindow(3, GAMMA)
    for step in steps[:2]:
        window.push(step)
    other.load_state_dict(window.state_dict(), CPU)
    for step in steps[2:]:
        one, two = window.push(step), other.push(step)
        assert one is not None and two is not None
        assert numbers(one) == numbers(two)
