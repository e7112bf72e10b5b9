"""All classic tasks keep the contract of a VecEnv."""

from __future__ import annotations

from typing import Any, List

import pytest
import torch

from epo.envs import ClockedEnv
from tasks import registry
from tasks.classic.config import SCHEMAS
from tasks.interface import Interface
from tests.composed import composed
from tests.host_reads import host_reads
from tests.tasks.classic.worlds import NAMES, make, random_actions, settings

SHORT = "task.episode_length=7"
SIZES = {
    "Acrobot": (6, 1),
    "CartPoleSwingUp": (5, 1),
    "DeceptiveMaze": (4, 2),
    "MountainCarContinuous": (2, 1),
    "Pendulum": (3, 1),
    "SparseReach": (13, 3),
}
"""Observation and action."""
CHOICES = {"Acrobot": (3,)}


def play(env, actions) -> List[Any]:
    env.reset()
    return [env.step(action) for action in actions]


def test_there_are_no_other_tasks():
    assert set(SIZES) == set(NAMES) == {schema().name for schema in SCHEMAS}


@pytest.mark.parametrize("task", NAMES)
def test_command_line_gives_the_defaults(task: str):
    cfg = composed(f"task={task}").task
    assert cfg == settings(task)
    assert registry.of(cfg).interface(cfg) == Interface(task, CHOICES.get(task, ()), None)


@pytest.mark.parametrize("task", NAMES)
def test_shapes_are_as_the_spec_says(task: str):
    env = make(task)
    spec = env.spec
    assert (spec.observation_dim, spec.action_dim) == SIZES[task]
    assert spec.choices == CHOICES.get(task, ())
    assert (spec.name, spec.engine) == (task, "torch")
    assert env.reset().shape == (4, spec.observation_dim)
    for step in play(env, random_actions(env, 3)):
        assert step.observation.shape == step.final_observation.shape == (4, spec.observation_dim)
        assert step.observation.dtype == step.reward.dtype == torch.float32
        assert step.reward.shape == step.metrics["fitness"].shape == (4,)
        assert step.terminated.dtype == step.truncated.dtype == torch.bool
    env.close()


@pytest.mark.parametrize("task", NAMES)
def test_time_limit_truncates_and_a_new_episode_begins(task: str):
    env = make(task, SHORT, num_envs=3)
    first = env.reset()
    returns = torch.zeros(3)
    for count in range(1, 22):
        step = env.step(random_actions(env, 1, seed=count)[0])
        returns += step.reward
        assert not step.terminated.any()
        assert step.truncated.tolist() == [count % 7 == 0] * 3
        assert torch.allclose(step.metrics["fitness"], returns, rtol=1e-6)
        if count % 7 == 0:
            # The last observation is the old episode's, the next action meets a fresh one.
            assert torch.equal(step.observation, env.task.observe(env.state))
            assert (step.final_observation != step.observation).any(dim=-1).all()
            assert (step.observation - first).abs().max() < 3
            returns.zero_()
        else:
            assert torch.equal(step.final_observation, step.observation)


def test_end_at_the_goal_is_no_truncation_even_at_the_time_limit():
    env = make("MountainCarContinuous", "task.episode_length=1", num_envs=2)
    env.reset()
    env.state[:, 0] = torch.tensor([0.44, 0.06])
    step = env.step(torch.ones(2, 1))
    assert step.terminated.tolist() == [True, False]
    assert step.truncated.tolist() == [False, True]
    assert step.metrics["solved"].tolist() == [1.0, 0.0]
    assert step.reward.tolist() == pytest.approx([99.9, -0.1])
    assert (env.state[0] < -0.39).all() and not env.state[1].any()


def test_late_episode_is_partial_to_its_end_and_over_earlier():
    env = make("Pendulum", SHORT, num_envs=3)
    assert isinstance(make("Pendulum"), ClockedEnv)
    assert env.time_limit == 7
    env.start_late(torch.tensor([0, 5, 6]))
    steps = play(env, random_actions(env, 14))
    ends = [[i + 1 for i, step in enumerate(steps) if step.truncated[n]] for n in range(3)]
    assert ends == [[7, 14], [2, 9], [1, 8]]
    partial = [step.is_partial.tolist() for step in steps]
    assert partial == [[False, True, True], [False, True, False]] + 12 * [3 * [False]]
    # Elapsed 1, 6, 7 of 7 after the first step.
    spread = torch.tensor([1.0, 6.0, 7.0]).div(7.0).std(correction=0)
    assert float(steps[0].scalars["clock_spread"]) == pytest.approx(float(spread))
    assert not env.reset().isnan().any() and not env.episodes.elapsed.any()


@pytest.mark.parametrize("task", NAMES)
def test_resume_equals_uninterrupted_run(task: str):
    given = (SHORT, "task.action_delay=2")
    env = make(task, *given)
    env.start_late(torch.tensor([0, 3, 1, 6]))
    actions = random_actions(env, 40)
    play(env, actions[:3])
    state = env.state_dict()
    expected = [env.step(action) for action in actions[3:]]
    other = make(task, *given, seed=9)
    play(other, actions[:5])
    other.load_state_dict(state)
    for action, step in zip(actions[3:], expected):
        again = other.step(action)
        assert torch.equal(again.observation, step.observation)
        assert torch.equal(again.reward, step.reward)
        assert torch.equal(again.truncated, step.truncated)
        assert torch.equal(again.is_partial, step.is_partial)
        assert torch.equal(again.metrics["fitness"], step.metrics["fitness"])


@pytest.mark.parametrize("task", NAMES)
def test_frame_skip_repeats_the_action_until_the_episode_ends(task: str):
    """Three steps in one, with the sum of their rewards; an end within them is the end."""
    single, triple = make(task, num_envs=64), make(task, "task.frame_skip=3", num_envs=64)
    assert triple.spec.control_dt_s == pytest.approx(3 * single.spec.control_dt_s)
    single.reset()
    triple.reset()
    for action in random_actions(single, 30):
        state, reward = triple.state, torch.zeros(64)
        is_over = torch.zeros(64, dtype=torch.bool)
        effective = single._effective(action)
        for _ in range(3):
            after = single.task.advance(state, effective)
            state = torch.where(is_over, state, after.state)
            reward += torch.where(is_over, torch.zeros(64), after.reward)
            is_over |= after.terminated
        step = triple.step(action)
        assert torch.equal(step.reward, reward) and torch.equal(step.terminated, is_over)
        assert torch.equal(step.final_observation, single.task.observe(state))


def test_goal_within_skipped_steps_is_paid_once():
    env = make("MountainCarContinuous", "task.frame_skip=50", num_envs=1)
    env.reset()
    env.state[:] = torch.tensor([[0.44], [0.06]])  # just before the goal, at speed
    step = env.step(torch.ones(1, 1))
    assert bool(step.terminated) and 99.0 < float(step.reward) < 100.0


@pytest.mark.parametrize("task", NAMES)
def test_saved_state_does_not_follow_the_run(task: str):
    env = make(task, "task.action_delay=1")
    env.reset()
    state = env.state_dict()
    copy = {name: value.clone() for name, value in state.items()}
    for action in random_actions(env, 5):
        env.step(action)
    assert all(torch.equal(value, copy[name]) for name, value in state.items())


@pytest.mark.parametrize("task", NAMES)
def test_environments_do_not_know_each_other(task: str):
    """The same state and action give the same result, whoever is beside."""
    env = make(task, num_envs=6)
    env.reset()
    action = random_actions(env, 1)[0]
    state = env.state.clone()
    order = torch.randperm(6, generator=torch.Generator().manual_seed(0))
    whole = env.step(action)
    env.state, env.episodes.elapsed[:] = state[:, order], 0
    shuffled = env.step(action[order])
    assert torch.equal(shuffled.final_observation, whole.final_observation[order])
    assert torch.equal(shuffled.reward, whole.reward[order])


@pytest.mark.parametrize("task", NAMES)
def test_starts_follow_the_seed(task: str):
    first, again, other = (make(task, seed=s).reset() for s in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("task", [name for name in NAMES if name != "Acrobot"])
def test_actions_beyond_their_range_are_clamped(task: str):
    full, beyond = make(task), make(task)
    ones = torch.ones(4, full.spec.action_dim)
    (step,), (same,) = play(full, [ones]), play(beyond, [5.0 * ones])
    assert torch.equal(step.reward, same.reward)
    assert torch.equal(step.final_observation, same.final_observation)


def test_acrobot_takes_the_nearest_choice():
    env = make("Acrobot", num_envs=4)
    env.reset()
    env.state[:] = torch.tensor([0.1, -0.2, 0.3, 0.0])[:, None]
    step = env.step(torch.tensor([[2.0], [7.0], [0.0], [-3.0]]))
    speeds = step.final_observation[:, 5]
    assert speeds[0] == speeds[1] != speeds[2] == speeds[3]


def test_delayed_action_acts_later_and_never_in_the_next_episode():
    env = make("Pendulum", "task.action_delay=2", "task.episode_length=4", num_envs=1)
    undelayed = make("Pendulum", "task.episode_length=4", num_envs=1)
    env.reset()
    chosen = [0.5, -0.7, 0.9, 0.3, 0.8, 0.1, 0.2, 0.4]
    # Two idle actions come first; what is pending at the end of an episode is dropped.
    effective = [0.0, 0.0, 0.5, -0.7, 0.0, 0.0, 0.8, 0.1]
    for late, now in zip(chosen, effective):
        undelayed.state, undelayed.episodes.elapsed = (
            env.state.clone(),
            env.episodes.elapsed.clone(),
        )
        step, expected = env.step(torch.tensor([[late]])), undelayed.step(torch.tensor([[now]]))
        assert torch.equal(step.final_observation, expected.final_observation)
        assert torch.equal(step.reward, expected.reward)


def test_idle_acrobot_applies_no_torque_while_it_waits():
    late, idle = make("Acrobot", "task.action_delay=1"), make("Acrobot")
    late.reset()
    idle.reset()
    step, expected = late.step(torch.full((4, 1), 2.0)), idle.step(torch.ones(4, 1))
    assert torch.equal(step.final_observation, expected.final_observation)


def test_action_cost_is_taken_per_squared_action():
    env = make("MountainCarContinuous", "task.action_cost=0.4")
    env.reset()
    assert env.step(torch.full((4, 1), 0.5)).reward.tolist() == pytest.approx([-0.1] * 4)


@pytest.mark.parametrize("task", NAMES)
def test_step_reads_nothing_from_the_device(task: str):
    env = make(task, "task.episode_length=2", "task.action_delay=1")
    env.reset()
    actions = random_actions(env, 3)
    assert not host_reads(lambda: [env.step(action) for action in actions])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("task", NAMES)
def test_cuda_steps_as_the_cpu_and_without_waiting(task: str):
    here, there = make(task, num_envs=64), make(task, num_envs=64, device="cuda")
    here.reset()
    there.reset()
    there.state = here.state.to("cuda")
    action = random_actions(here, 1)[0]
    expected, on_device = here.step(action), action.to("cuda")
    there.step(on_device)  # loads kernels
    there.state, there.episodes.elapsed[:] = make(task, num_envs=64).state.to("cuda"), 0
    torch.cuda.set_sync_debug_mode("error")
    try:
        step = there.step(on_device)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert step.reward.shape == expected.reward.shape


@pytest.mark.parametrize(
    ("task", "setting", "message"),
    [
        ("Pendulum", "task.episode_length=0", "task.episode_length=0 .*at least 1"),
        ("Pendulum", "task.action_delay=-1", "task.action_delay=-1 .*use 0 up to less than"),
        ("Pendulum", "task.action_delay=200", "task.action_delay=200 .*less than task.episode_l"),
        ("Pendulum", "task.frame_skip=0", "task.frame_skip=0 .*at least 1"),
        ("MountainCarContinuous", "task.action_cost=-1", "task.action_cost=-1.0 .*0 or more"),
        ("MountainCarContinuous", "task.action_cost=nan", "task.action_cost=nan .*0 or more"),
        ("DeceptiveMaze", "task.reward=none", "task.reward='none' is unknown.*dense, sparse"),
        ("SparseReach", "task.num_joints=0", "task.num_joints=0 .*at least 1"),
        ("SparseReach", "task.goal_radius_m=0", "task.goal_radius_m=0.0 .*positive"),
        ("SparseReach", "task.goal_spread_rad=4", "task.goal_spread_rad=4.0 .*0 to 3.14159"),
        ("SparseReach", "task.goal_distance_m=1.2", "task.goal_distance_m=1.2 .*out of reach"),
        ("SparseReach", "task.goal_distance_m=nan", "task.goal_distance_m=nan .*out of reach"),
        ("SparseReach", "task.num_joints=1", "goal_distance_m=0.7 .*num_joints=1; use 0.9 up to 1"),
    ],
)
def test_impossible_settings_are_one_line(task: str, setting: str, message: str):
    with pytest.raises(ValueError, match=message) as error:
        make(task, setting)
    assert "\n" not in str(error.value)
