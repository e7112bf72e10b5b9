from __future__ import annotations

from pathlib import Path
from typing import Any, Tuple

import pytest
import torch

from epo.envs import Step
from epo.runner import checkpoint
from tasks import registry
from tasks.allegro_kuka import curriculum
from tasks.engines.config import IsaacGymCfg
from tasks.isaacgym import env as module
from tests.tasks.allegro_kuka.doubles import CFG, task_cfg
from tests.tasks.isaacgym.double import TaskDouble

NUM = 6
TASKS = sorted(path.stem for path in (CFG / "task").glob("AllegroKuka*.yaml"))


def make(task: str, *lines: str, seed: int = 0, **engine: Any) -> Any:
    return registry.make(
        task_cfg(task, *lines), IsaacGymCfg(**engine), NUM, torch.device("cpu"), seed
    )


@pytest.fixture
def env(isaacgym: Path) -> Any:
    return make("AllegroKukaRegrasping", "episode_length=5")


def act(env: Any, seed: int = 0) -> Step:
    generator = torch.Generator().manual_seed(seed)
    return env.step(3.0 * torch.randn(NUM, env.spec.action_dim, generator=generator))


def put(env: Any, i: int, column: int, value: float) -> None:
    """Change the root state of the object of environment i, also in the simulator."""
    row = env.env.object_indices[i]
    env.env.root_state_tensor[row, column] = env.env.gym.root[row, column] = value


def drop(env: Any, i: int) -> None:
    """Let the object of environment i fall below the floor in the next step."""
    put(env, i, 9, -100.0)


@pytest.mark.parametrize("task", TASKS)
def test_every_task_runs_and_keeps_the_contract(isaacgym: Path, task: str) -> None:
    env = make(task, "episode_length=4")
    observation = env.reset()
    assert observation.shape == (NUM, env.spec.observation_dim)
    assert observation.abs().max() > 0
    assert env.spec.engine == "isaacgym"
    for i in range(9):
        step = act(env, seed=i)
        assert step.observation.shape == observation.shape
        assert step.truncated.all() == ((i + 1) % 3 == 0)
        assert not (step.terminated & step.truncated).any()
        for name in ("fitness", "successes", "lifted", "closest_keypoint_distance"):
            assert step.metrics[name].shape == (NUM,) and step.metrics[name].dtype == torch.float32
        assert step.scalars["success_tolerance"].shape == ()


def test_reset_gives_the_observation_that_isaac_gym_lacks(env: Any) -> None:
    observation = env.reset()
    torch.testing.assert_close(observation, env.env.observe_now(), rtol=0, atol=1e-6)


def test_ended_environment_shows_its_next_episode_and_its_last_observation(env: Any) -> None:
    env.reset()
    drop(env, 2)
    step = act(env)
    assert step.terminated.tolist() == [i == 2 for i in range(NUM)]
    # The buffer still holds what Isaac Gym returned: the last observation of the old episode.
    torch.testing.assert_close(step.final_observation, env.env.obs_buf, rtol=0, atol=0)
    torch.testing.assert_close(step.observation[2], env.env.observe_now()[2], rtol=0, atol=1e-6)
    assert (step.observation[2] != step.final_observation[2]).any()
    torch.testing.assert_close(step.observation[3], step.final_observation[3], rtol=0, atol=0)


def test_first_action_acts_on_the_state_of_the_first_observation(env: Any) -> None:
    env.reset()
    drop(env, 2)
    step = act(env)
    lower, upper = (env.env.arm_hand_dof_lower_limits, env.env.arm_hand_dof_upper_limits)
    begun = (step.observation[2, :23] * (upper - lower) + upper + lower) / 2
    env.step(torch.ones(NUM, 23))
    # The double moves half way to a target that lies 0.1 rad beyond the last one.
    moved = env.env.arm_hand_dof_pos[2]
    torch.testing.assert_close(moved, begun + 0.05, rtol=0, atol=1e-5)
    assert env.env.progress_buf[2] == 1


def test_simulator_begins_the_episode_once(env: Any) -> None:
    env.reset()
    drop(env, 2)
    act(env)
    shown = env.env.root_state_tensor.clone()
    act(env, seed=1)
    # Nothing but the goal of nobody changed: no second reset under way.
    torch.testing.assert_close(env.env.root_state_tensor, shown, rtol=0, atol=0)


def test_actions_are_clamped_and_returned_observations_stay(env: Any) -> None:
    env.reset()
    first = act(env)  # The double refuses actions outside [-1, 1].
    kept = first.final_observation.clone()
    act(env, seed=1)
    torch.testing.assert_close(first.final_observation, kept, rtol=0, atol=0)


@pytest.mark.parametrize("is_fork", [False, True])
def test_metrics_are_those_of_the_episode_that_ended(
    env: Any, monkeypatch: pytest.MonkeyPatch, is_fork: bool
) -> None:
    monkeypatch.setattr(TaskDouble, "is_fork", is_fork)
    env.reset()
    env.env.script_success[1] = True
    act(env)
    act(env)
    env.env.script_success[1] = False
    drop(env, 1)
    step = act(env)
    assert step.terminated[1]
    assert step.metrics["successes"].tolist() == [0.0, 2.0, 0.0, 0.0, 0.0, 0.0]
    cfg = env.cfg.curriculum
    tolerance = torch.tensor(cfg.initial_tolerance_m, dtype=torch.float64)
    expected = curriculum.objective(step.metrics["successes"], tolerance, cfg)
    torch.testing.assert_close(step.metrics["fitness"], expected.float())
    # The reset that is already done did not reach them.
    assert env.env.successes[1] == 0


def test_lifted_lasts_for_the_episode_and_no_longer(env: Any) -> None:
    env.reset()
    put(env, 0, 2, 0.9)
    assert act(env).metrics["lifted"].tolist() == [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    env.env.lifted_object = torch.zeros(NUM, dtype=torch.bool)  # As after a success.
    put(env, 0, 2, 0.5)
    assert act(env).metrics["lifted"][0] == 1.0
    drop(env, 0)
    assert act(env).metrics["lifted"][0] == 1.0
    assert act(env).metrics["lifted"][0] == 0.0


def test_a_fall_in_the_last_step_is_a_true_end(env: Any) -> None:
    env.reset()
    for _ in range(3):
        act(env)
    drop(env, 4)
    step = act(env)
    assert step.truncated.tolist() == [i != 4 for i in range(NUM)]
    assert step.terminated.tolist() == [i == 4 for i in range(NUM)]


def test_a_hand_that_left_in_the_last_step_is_a_true_end(isaacgym: Path) -> None:
    env = make("AllegroKukaReorientation", "episode_length=5")
    env.reset()
    for _ in range(3):
        act(env)
    put(env, 0, 0, 5.0)
    step = act(env)
    assert step.terminated.tolist() == [True] + [False] * (NUM - 1)
    assert step.truncated.tolist() == [False] + [True] * (NUM - 1)


def test_reward_terms_take_our_names(env: Any) -> None:
    env.reset()
    assert set(act(env).scalars) == {"success_tolerance", "reward/lifting"}


def test_curriculum_is_checked_after_the_interval_and_not_one_step_before(isaacgym: Path) -> None:
    env = make("AllegroKukaReorientation", "curriculum.interval_steps=4")
    env.reset()
    env.env.prev_episode_successes[:] = 3.0
    tolerances = [round(float(act(env).scalars["success_tolerance"]), 6) for _ in range(4)]
    assert tolerances == [0.075, 0.075, 0.075, 0.0675]


def test_nothing_is_reached_before_the_first_episode(isaacgym: Path) -> None:
    # With 5 m every step is a success, the one at the start too.
    env = make("AllegroKukaReorientation", "curriculum.initial_tolerance_m=5")
    env.reset()
    task = env.env
    assert task.frame_since_restart == task.control_steps == task.last_curriculum_update == 0
    for name in ("successes", "true_objective"):
        assert not getattr(task, name).any()
        assert not getattr(task, f"prev_episode_{name}").any()
    act(env)
    assert task.extras["successes"] == 0.0
    assert task.successes.tolist() == [1.0] * NUM


def run(env: Any, steps: range) -> Tuple[torch.Tensor, ...]:
    results = [act(env, seed=i) for i in steps]
    parts = [(s.observation, s.reward, s.truncated.float(), s.metrics["fitness"]) for s in results]
    return tuple(torch.stack(column) for column in zip(*parts))


def test_resume_equals_uninterrupted_run_where_physics_has_no_memory(
    isaacgym: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    env = make("AllegroKukaTwoArmsReorientationPartition", "episode_length=5")
    env.reset()
    env.env.script_success[3] = True
    run(env, range(3))
    drop(env, 2)
    run(env, range(3, 5))
    env.env.success_tolerance = 0.05
    checkpoint.save(tmp_path / "state.pt", env.state_dict())
    expected = run(env, range(5, 13))
    monkeypatch.setattr(module._Process, "has_simulator", False)
    other = make("AllegroKukaTwoArmsReorientationPartition", "episode_length=5", seed=9)
    other.reset()
    other.env.script_success[3] = True
    other.load_state_dict(checkpoint.load(tmp_path / "state.pt"))
    assert other.env.success_tolerance == 0.05
    for ours, theirs in zip(run(other, range(5, 13)), expected):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_seed_decides_what_is_drawn(isaacgym: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    observations = []
    for seed in (1, 1, 2):
        monkeypatch.setattr(module._Process, "has_simulator", False)
        observations.append(make("AllegroKukaRegrasping", seed=seed).reset())
    assert torch.equal(observations[0], observations[1])
    assert not torch.equal(observations[0], observations[2])


def test_second_simulator_of_a_process_is_refused(env: Any) -> None:
    with pytest.raises(ValueError, match=r"one simulator per process.*start another process"):
        make("AllegroKukaRegrasping")


def test_another_robot_is_named_at_the_start(
    isaacgym: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def longer(self: TaskDouble) -> Any:
        self._points = self._points * 1.3
        return original(self)

    original = TaskDouble._compute_observations
    monkeypatch.setattr(TaskDouble, "_compute_observations", longer)
    with pytest.raises(ValueError, match=r"palm_position \(by 0\.0\d+\).*engine.verify=false"):
        make("AllegroKukaRegrasping")


def test_unverified_engine_begins_with_another_robot(
    isaacgym: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TaskDouble, "palm_sign", 0.5)
    env = make("AllegroKukaRegrasping", verify=False)
    assert env.reset().isfinite().all()


@pytest.mark.parametrize("task", ["AllegroKukaRegrasping", "AllegroKukaTwoArmsRegrasping"])
def test_palm_quaternions_take_the_sign_of_isaac_gym(
    isaacgym: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    monkeypatch.setattr(TaskDouble, "palm_sign", -1.0)
    env = make(task)
    torch.testing.assert_close(env.reset(), env.env.observe_now(), rtol=0, atol=1e-6)


def test_task_with_other_actors_is_refused(isaacgym: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_hole(self: TaskDouble, env_ptr: int, env_idx: int, object_asset_idx: int) -> None:
        original(self, env_ptr, env_idx, object_asset_idx)
        for name in ("table/block1", "table/block2"):
            self._create_actor(env_ptr, name, [0.0, 0.0, 1.0])

    original = TaskDouble._create_additional_objects
    monkeypatch.setattr(TaskDouble, "_create_additional_objects", with_hole)
    with pytest.raises(ValueError, match=r"task.wall=none .*7 actors.*5 belong"):
        make("AllegroKukaTwoArmsReorientation")
