"""The contract on environments whose every number is known."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("gymnasium")

from epo.envs import EnvError, Step
from epo.runner.checkpoint import plain
from tasks.gymnasium.env import MAX_ENVS, env_seeds
from tests.tasks.gymnasium.small_env import NUM_ENVS, make, run
from tests.tasks.gymnasium.toys import TOYS

DRAW, STEPS = 0, 1  # columns of the counting environment's observation


def test_spec_names_environment_and_spaces():
    spec = make("Counting-v0", frame_skip=2).spec
    assert spec.name == f"{TOYS}Counting-v0" and spec.engine == "gymnasium"
    assert (spec.num_envs, spec.observation_dim, spec.action_dim) == (NUM_ENVS, 2, 2)
    assert (spec.choices, spec.image_shape) == ((), None)
    assert spec.control_dt_s == 0.1  # 2 steps at 20 Hz
    assert "gymnasium" in spec.versions


def test_termination_shows_the_next_episode_and_keeps_the_last_observation():
    env = make("Counting-v0", kwargs={"length": 3})
    first = env.reset().clone()
    assert (first[:, STEPS] == 0).all()
    *before, end, after = run(env, 4)
    assert not any((step.terminated | step.truncated).any() for step in (*before, after))
    assert end.terminated.all() and not end.truncated.any()
    assert torch.equal(end.final_observation[:, DRAW], first[:, DRAW])
    assert (end.final_observation[:, STEPS] == 3).all()
    assert (end.observation[:, STEPS] == 0).all()
    assert (end.observation[:, DRAW] != first[:, DRAW]).all()  # another episode, another draw
    assert torch.equal(after.observation[:, DRAW], end.observation[:, DRAW])


def test_time_limit_truncates():
    *_, end = run(make("Limited-v0"), 4)
    assert end.truncated.all() and not end.terminated.any()
    assert (end.final_observation[:, STEPS] == 4).all()
    assert (end.observation[:, STEPS] == 0).all()


def test_own_time_limit_replaces_the_environments():
    *before, end = run(make("Limited-v0", max_episode_steps=2), 2)
    assert not before[0].truncated.any() and end.truncated.all()


def test_terminated_wins_over_the_time_limit():
    *_, end = run(make("Limited-v0", kwargs={"length": 4}), 4)
    assert end.terminated.all() and not end.truncated.any()


def test_fitness_is_the_return_of_the_episode_and_solved_compares_it():
    env = make("Limited-v0")
    env.reset()
    action = torch.tensor([[0.0, 0.0], [0.25, 0.0], [-1.0, 0.0]])  # in units of [-2, 6]: 2, 3, -2
    steps = [env.step(action) for _ in range(8)]
    for end in (steps[3], steps[7]):  # counted anew in the second episode
        assert end.metrics["fitness"].tolist() == [8.0, 12.0, -8.0]
        assert end.metrics["solved"].tolist() == [0.0, 1.0, 0.0]  # the toy's threshold is 10
    assert "solved" not in make("Counting-v0").step(action).metrics
    solved = make("Counting-v0", solved_return=2.0).step(action).metrics["solved"]
    assert solved.tolist() == [1.0, 1.0, 0.0]


def test_frame_skip_adds_rewards_and_ends_with_the_episode():
    steps = run(make("Counting-v0", frame_skip=2, kwargs={"length": 3}), 2, action=0.0)
    assert (steps[0].reward == 4.0).all() and (steps[1].reward == 2.0).all()  # middle of [-2, 6]
    assert not steps[0].terminated.any() and steps[1].terminated.all()
    assert (steps[1].final_observation[:, STEPS] == 3).all()


def test_environments_draw_from_seed_and_index_only():
    draws = make("Counting-v0").reset()[:, DRAW]
    assert len(set(draws.tolist())) == NUM_ENVS
    assert torch.equal(draws, make("Counting-v0").reset()[:, DRAW])
    assert torch.equal(draws, make("Counting-v0", num_envs=8).reset()[:NUM_ENVS, DRAW])
    assert not torch.equal(draws, make("Counting-v0", seed=1).reset()[:, DRAW])
    assert not set(env_seeds(0, 1000)) & set(env_seeds(1, 1000))


def test_a_second_reset_begins_other_episodes():
    env = make("Counting-v0")
    first = env.reset().clone()
    run(env, 2)
    second = env.reset()
    assert (second[:, STEPS] == 0).all() and (second[:, DRAW] != first[:, DRAW]).all()
    assert run(env, 1)[0].metrics["fitness"].tolist() == [2.0] * NUM_ENVS


@pytest.mark.parametrize("vectorization", ["sync", "async"])
def test_resume_begins_new_episodes_with_a_step_that_is_no_experience(vectorization: str):
    settings: Any = {"vectorization": vectorization, "num_workers": 2}
    env = make("Counting-v0", **settings)
    env.reset()
    run(env, 2, action=1.0)
    state = plain(env.state_dict())  # what a checkpoint may hold
    resumed = []
    for _ in range(2):
        env = make("Counting-v0", seed=7, **settings)
        env.reset()
        env.load_state_dict(state)
        steps = run(env, 2, action=1.0)
        env.close()
        valid = [step.valid for step in steps if step.valid is not None]
        assert not valid[0].any() and valid[1].all()
        assert not steps[0].reward.any() and not steps[0].terminated.any()
        assert (steps[0].observation[:, STEPS] == 0).all()
        assert steps[1].metrics["fitness"].tolist() == [6.0] * NUM_ENVS
        resumed.append(steps[0].observation[:, DRAW])
    assert torch.equal(*resumed)
    fresh = make("Counting-v0")  # the draw after the interrupted episode's, not the seed's first
    fresh.reset()
    assert torch.equal(fresh.reset()[:, DRAW], resumed[0])


def test_failing_environment_is_named_in_one_line():
    message = (
        r"^environment 0 of .*Broken-v0 failed in step: ArithmeticError: the third step "
        r"is too much \(step 3 of its episode, 3 of the run\)$"
    )
    with pytest.raises(EnvError, match=message):
        run(make("Broken-v0"), 3)


@pytest.mark.parametrize("vectorization", ["sync", "async"])
def test_environment_that_cannot_begin_is_a_wrong_setting(vectorization: str):
    with pytest.raises(
        ValueError, match=r"^environment 0 of .* failed in reset: Arith.* too much$"
    ):
        make(
            "Broken-v0",
            kwargs={"fails_in": "reset"},
            vectorization=vectorization,
            num_workers=1,
        )


def test_too_many_environments_are_refused():
    with pytest.raises(ValueError, match=rf"num_envs=5000 .* at most {MAX_ENVS}"):
        make("Counting-v0", num_envs=5000)


def partial_of(step: Step) -> Tensor:
    """Return which episodes of a step are partial."""
    assert step.is_partial is not None
    return step.is_partial


@pytest.mark.parametrize("frame_skip", [1, 2])
def test_late_start_shortens_the_first_time_limit_only(frame_skip: int):
    env = make("Limited-v0", max_episode_steps=4 * frame_skip, frame_skip=frame_skip)
    assert env.time_limit == 4
    env.start_late(torch.tensor([0, 1, 3]))
    env.reset()
    steps = run(env, 8)
    ends = [[t for t, step in enumerate(steps) if step.truncated[i]] for i in range(3)]
    assert ends == [[3, 7], [2, 6], [0, 4]]
    partial = [sum(bool(partial_of(step)[i]) for step in steps) for i in range(3)]
    assert partial == [0, 3, 1]
    elapsed = torch.tensor([1.0, 2.0, 4.0])  # after the first step
    expected = float((elapsed / 4).std(correction=0))
    assert float(steps[0].scalars["clock_spread"]) == pytest.approx(expected)


def test_resumed_episodes_are_whole():
    env = make("Limited-v0")
    env.start_late(torch.tensor([1, 2, 3]))
    env.reset()
    state = env.state_dict()
    other = make("Limited-v0")
    other.start_late(torch.tensor([1, 2, 3]))
    other.reset()
    other.load_state_dict(state)
    invalid, *steps = run(other, 5)
    assert not partial_of(invalid).any()
    assert [step.truncated.all().item() for step in steps] == [False, False, False, True]


def test_late_start_without_a_time_limit_is_an_error():
    env = make("Counting-v0")
    env.start_late(torch.tensor([0, 1, 3]))
    with pytest.raises(EnvError, match="there is no time limit"):
        env.reset()
