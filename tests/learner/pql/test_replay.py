"""The replay buffer: what is kept, what is drawn, what it takes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from epo.learner.pql.n_step import Transition
from epo.learner.pql.replay import Replay, bytes_per_transition
from tests.learner.pql.small import CPU


def numbered(*values: float, kept: int = -1) -> Transition:
    """Transitions whose every number is `values`; only the first `kept` are kept."""
    number = torch.tensor(values)
    column = number.unsqueeze(-1)
    is_kept = torch.arange(len(values)) < (len(values) if kept < 0 else kept)
    return Transition(column, column, number, number, column, is_kept)


def make_replay(capacity: int, num_envs: int = 2, dtype: torch.dtype = torch.float32) -> Replay:
    return Replay(capacity, num_envs, 1, 1, CPU, dtype)


def drawn(replay: Replay, num: int = 400) -> Tensor:
    """The numbers that a large sample holds, sorted."""
    batch = replay.sample(num, torch.Generator().manual_seed(0))
    number = batch.reward_sum
    for column in (batch.observation, batch.action, batch.next_observation):
        assert torch.equal(column[:, 0], number)  # the parts of a transition stay together
    assert torch.equal(batch.bootstrap, number)
    return number.unique()


def test_everything_stored_is_drawn_and_nothing_else():
    replay = make_replay(10)
    replay.add(numbered(1.0, 2.0))
    replay.add(numbered(3.0, 4.0))
    assert int(replay.size) == 4
    assert drawn(replay).tolist() == [1.0, 2.0, 3.0, 4.0]


def test_full_ring_keeps_the_newest():
    replay = make_replay(5)
    for first in (1.0, 3.0, 5.0, 7.0):
        replay.add(numbered(first, first + 1.0))
    assert int(replay.size) == 5
    assert drawn(replay).tolist() == [4.0, 5.0, 6.0, 7.0, 8.0]


def test_ring_of_one_step_holds_that_step():
    replay = make_replay(2)
    for first in (1.0, 3.0):
        replay.add(numbered(first, first + 1.0))
    assert drawn(replay).tolist() == [3.0, 4.0]


def test_what_is_not_kept_takes_no_room():
    replay = make_replay(5, num_envs=3)
    replay.add(numbered(1.0, 2.0, 99.0, kept=2))
    replay.add(numbered(99.0, 99.0, 99.0, kept=0))
    replay.add(numbered(3.0, 99.0, 99.0, kept=1))
    assert int(replay.size) == 3
    assert drawn(replay).tolist() == [1.0, 2.0, 3.0]


def test_kept_ones_close_up_behind_each_other():
    replay = make_replay(4, num_envs=4)
    mixed = numbered(1.0, 99.0, 2.0, 99.0)._replace(
        is_kept=torch.tensor([True, False, True, False])
    )
    replay.add(mixed)
    replay.add(numbered(3.0, 4.0, 5.0, 99.0, kept=3))
    assert drawn(replay).tolist() == [2.0, 3.0, 4.0, 5.0]


def test_draws_are_even():
    replay = make_replay(1000, num_envs=10)
    replay.add(numbered(*(float(i) for i in range(10))))
    batch = replay.sample(20_000, torch.Generator().manual_seed(0))
    counts = batch.reward_sum.long().bincount(minlength=10)
    # 2,000 each, standard deviation sqrt(20000 * 0.1 * 0.9) = 42
    assert (counts - 2000).abs().max() < 5 * 42


def test_empty_buffer_gives_zeros_instead_of_a_crash():
    assert make_replay(4).sample(3, torch.Generator()).reward_sum.eq(0.0).all()


def test_age_counts_control_steps():
    replay = make_replay(6)
    for first in (1.0, 3.0, 5.0, 7.0):  # 1 and 2 are overwritten
        replay.add(numbered(first, first + 1.0))
    batch = replay.sample(200, torch.Generator().manual_seed(0))
    ages = {int(n): int(age) for n, age in zip(batch.reward_sum, batch.age)}
    assert ages == {3: 2, 4: 2, 5: 1, 6: 1, 7: 0, 8: 0}


def test_half_precision_rounds_observations_only_and_keeps_them_finite():
    replay = make_replay(4, dtype=torch.float16)
    value = 1.0 + 2.0**-12  # between two float16
    replay.add(numbered(value, 1e6))
    batch = replay.sample(50, torch.Generator().manual_seed(0))
    assert set(batch.action[:, 0].tolist()) == {value, 1e6}
    assert set(batch.observation[:, 0].tolist()) == {1.0, 65504.0}
    assert batch.observation.dtype == torch.float32


def test_observations_can_be_drawn_alone():
    replay = make_replay(4)
    replay.add(numbered(1.0, 2.0))
    observation = replay.sample_observation(50, torch.Generator().manual_seed(0))
    assert observation.shape == (50, 1) and set(observation[:, 0].tolist()) == {1.0, 2.0}


@pytest.mark.parametrize(("dtype", "expected"), [(torch.float32, 1596), (torch.float16, 848)])
def test_memory_estimate_is_what_is_allocated(dtype, expected):
    # 4 (2 x 187 + 23 + 2) = 1,596; with half observations 748 less
    assert bytes_per_transition(187, 23, dtype) == expected
    replay = Replay(9, 2, 187, 23, CPU, dtype)
    allocated = sum(store.nbytes for store in replay._rows.values())
    assert allocated == expected * (9 + 1)


def test_restored_contents_continue_the_same():
    replay, other = make_replay(5), make_replay(5)
    for first in (1.0, 3.0, 5.0):
        replay.add(numbered(first, first + 1.0))
    other.load_state_dict(replay.state_dict(with_contents=True))
    for ring in (replay, other):
        ring.add(numbered(7.0, 8.0))
    one, two = (ring.sample(64, torch.Generator().manual_seed(3)) for ring in (replay, other))
    assert all(torch.equal(a, b) for a, b in zip(one, two))


def test_saved_contents_are_only_what_is_filled():
    replay = make_replay(1000)
    replay.add(numbered(1.0, 2.0))
    assert len(replay.state_dict(with_contents=True)["rows"]["action"]) == 2


def test_without_contents_the_buffer_begins_empty():
    replay = make_replay(5)
    replay.add(numbered(1.0, 2.0))
    replay.load_state_dict(replay.state_dict(with_contents=False))
    assert int(replay.size) == 0
    replay.add(numbered(5.0, 6.0))
    assert drawn(replay).tolist() == [5.0, 6.0]


def test_contents_of_another_capacity_are_refused():
    state = make_replay(5).state_dict(with_contents=True)
    with pytest.raises(ValueError, match=r"use algo\.pql\.replay_capacity=5"):
        make_replay(6).load_state_dict(state)
