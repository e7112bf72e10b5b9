from __future__ import annotations

from typing import Any, Dict

import pytest
import torch

from tasks.allegro_kuka.objects import half_size
from tasks.allegro_kuka.randomization import Disturbances
from tasks.allegro_kuka.task import AllegroKuka
from tests.tasks.allegro_kuka.doubles import DriftingSim, StillSim, put_object, still_env, task_cfg

ONE_ARM = ("AllegroKukaRegrasping", "AllegroKukaReorientation", "AllegroKukaThrow")
TASKS = (*ONE_ARM, "AllegroKukaTwoArmsRegrasping", "AllegroKukaTwoArmsReorientation")


def still(name: str, *overrides: str, num_envs: int = 2) -> AllegroKuka:
    """Build a task in which nothing moves and nothing pushes, after its first reset."""
    env = still_env(task_cfg(name, "force.scale=0", *overrides), num_envs)
    env.reset()
    return env


def idle(env: AllegroKuka):
    """Step with zero actions."""
    return env.step(torch.zeros(env.spec.num_envs, env.spec.action_dim))


def at_goal(env: AllegroKuka) -> None:
    """Teleport the objects to their goals."""
    assert isinstance(env.sim, StillSim)
    env.sim.move_object(env.goal_pose)


def test_lift_bonus_is_paid_once() -> None:
    env = still("AllegroKukaReorientation")
    env.sim.joint_vel.zero_()
    put_object(env, [0.0, 0.0, 0.74])
    assert env.terms.shape == (8, 2)
    first = idle(env)
    # Nothing moves: 300 and no other term.
    torch.testing.assert_close(first.reward, torch.tensor([300.0, 300.0]))
    assert first.metrics["lifted"].tolist() == [1.0, 1.0]
    assert idle(env).reward.tolist() == [0.0, 0.0]


def test_holding_at_the_goal_for_30_steps_pays_1000_and_one_success() -> None:
    env = still("AllegroKukaRegrasping")
    paid = torch.zeros(2)
    for t in range(30):
        at_goal(env)
        step = idle(env)
        paid += env.terms[4]
        assert step.metrics["successes"].tolist() == ([1.0, 1.0] if t == 29 else [0.0, 0.0])
    torch.testing.assert_close(paid, torch.tensor([1000.0, 1000.0]))
    assert env.episode.progress.tolist() == [0, 0]


@pytest.mark.parametrize("consecutive", ["true", "false"])
def test_a_hold_that_is_broken_again_and_again_earns_no_more_than_a_success(
    consecutive: str,
) -> None:
    env = still("AllegroKukaRegrasping", "success_hold_steps=5", f"consecutive_hold={consecutive}")
    paid, successes = torch.zeros(2), []
    for is_near in [*(4 * [True] + [False]) * 3, *5 * [True]]:
        if is_near:
            at_goal(env)
        else:
            put_object(env, [0.0, 0.0, 3.0])
        step = idle(env)
        if not successes or successes[-1] == 0.0:
            paid += env.terms[4]
            successes.append(step.metrics["successes"][0].item())
    torch.testing.assert_close(paid, torch.tensor([1000.0, 1000.0]))
    # 4 near, 1 away, three times, and 5 in a row; added up, the fifth is the sixth step.
    assert len(successes) == (20 if consecutive == "true" else 6)


def test_success_moves_the_goal_and_regrasping_drops_the_object_anew() -> None:
    for name, drops in zip(ONE_ARM, (True, False, True), strict=True):
        env = still(name, "success_hold_steps=1")
        at_goal(env)
        goal = env.goal_pose.clone()
        step = idle(env)
        assert (env.goal_pose[:, :3] != goal[:, :3]).any(dim=-1).all()
        assert torch.equal(env.sim.goal_pose, env.goal_pose)
        moved = (env.sim.object_pose[:, :3] != goal[:, :3]).any(dim=-1)
        assert moved.all() == drops
        assert not (step.terminated | step.truncated).any()
        # The policy still sees the goal that was reached, as in the original.
        assert torch.equal(step.observation, step.final_observation)


@pytest.mark.parametrize("name", ONE_ARM)
def test_without_replacement_only_the_goal_moves_after_a_success(name: str) -> None:
    env = still(name, "success_hold_steps=1", "replace_object=false")
    at_goal(env)
    before = env.sim.object_pose.clone()
    goal = env.goal_pose.clone()
    assert idle(env).metrics["successes"].tolist() == [1.0, 1.0]
    assert (env.goal_pose[:, :3] != goal[:, :3]).any(dim=-1).all()
    assert torch.equal(env.sim.object_pose, before)


def test_an_episode_ends_where_the_nearest_of_two_hands_is_too_far() -> None:
    env = still("AllegroKukaTwoArmsReorientation", "max_hand_distance_m=0.4", num_envs=3)
    sites = env.sim.site_pos  # object, two palms, four fingertips of each arm
    sites[:, 3:7] = sites[:, :1] + torch.tensor([0.0, 0.0, 2.0])
    sites[:, 7:] = sites[:, :1]
    sites[1, 10, 2] += 1.0  # one fingertip of the near hand in world 1
    sites[2, 7:, 2] += 1.0
    assert idle(env).terminated.tolist() == [False, True, True]


def test_success_restarts_the_clock() -> None:
    env = still("AllegroKukaReorientation", "episode_length=4", num_envs=1)
    ends = []
    for t in range(6):
        if t == 1:
            at_goal(env)
        elif t == 2:
            put_object(env, [3.0, 0.0, 0.7])
            env.cfg.max_hand_distance_m = float("inf")
        ends.append(idle(env).truncated.item())
    # progress: 1, 2 -> 0 on success, 1, 2, 3 = episode_length - 1, and 1 of the next episode
    assert ends == [False, False, False, False, True, False]


def test_time_limit_truncates_and_a_fall_terminates() -> None:
    env = still("AllegroKukaRegrasping", "episode_length=3")
    idle(env)
    put_object(env, [[0.0, 0.0, 0.7], [0.0, 0.0, 0.09]])
    step = idle(env)
    assert step.terminated.tolist() == [False, True]
    assert step.truncated.tolist() == [True, False]
    # Both are reset inside the step: the object lies on the table, the clock is at zero.
    assert env.episode.progress.tolist() == [0, 0]
    assert (env.sim.object_pose[:, 2] > 0.5).all()
    assert (step.observation[:, 96:99] == 0).all()
    assert (step.final_observation[:, 96] > 0).all()


def test_fifty_successes_end_the_episode_and_count_as_fitness() -> None:
    env = still("AllegroKukaReorientation", num_envs=1)
    for t in range(50):
        at_goal(env)
        step = idle(env)
        assert step.terminated.item() == (t == 49)
    assert step.metrics["successes"].item() == 50
    torch.testing.assert_close(step.metrics["fitness"], torch.tensor([0.5]))  # 0.01 x 50 + 0
    assert env.episode.successes.item() == 0
    assert env.episode.previous_successes.item() == 50


def test_object_out_of_reach_ends_only_one_arm_reorientation() -> None:
    for name in TASKS:
        env = still(name)
        put_object(env, [2.0, 0.0, 0.7])
        ends = idle(env).terminated
        assert ends.all() == (name == "AllegroKukaReorientation")


def test_bad_world_ends_without_reward_and_leaves_the_others_alone() -> None:
    env, good = still("AllegroKukaReorientation"), still("AllegroKukaReorientation")
    for e in (env, good):
        e.sim.joint_vel.zero_()
        put_object(e, [0.0, 0.0, 0.74])
    env.sim.bad[0] = True
    for tensor in (env.sim.object_pose, env.sim.site_pos, env.sim.site_quat, env.sim.joint_pos):
        tensor[0] = float("nan")
    step, expected = idle(env), idle(good)
    assert step.terminated.tolist() == [True, False]
    assert step.reward.tolist() == [0.0, 300.0]
    assert step.metrics["lifted"].tolist() == [0.0, 1.0]
    assert torch.isfinite(step.final_observation).all()
    assert torch.equal(step.observation[1], expected.observation[1])
    assert step.scalars["bad_worlds"].item() == 1
    # Half of the mean bonus: the bad world earned nothing.
    assert step.scalars["reward/lift_bonus"].item() == 150.0
    env.sim.site_pos[0].zero_()
    env.sim.site_quat[0] = torch.tensor([1.0, 0.0, 0.0, 0.0])
    env.sim.bad[0] = False
    after = idle(env)
    assert torch.isfinite(after.observation).all()
    assert torch.isfinite(env.episode.closest_fingertip).all()


def test_tolerance_tightens_after_good_episodes() -> None:
    env = still("AllegroKukaReorientation", "curriculum.interval_steps=1", "max_successes=3")
    for t in range(4):
        at_goal(env)
        step = idle(env)
        assert step.scalars["success_tolerance"].item() == pytest.approx(0.075 if t < 3 else 0.0675)


@pytest.mark.parametrize("name", TASKS)
def test_first_observation_is_real_and_reward_free(name: str) -> None:
    env = still(name)
    observation = env.reset()
    assert torch.isfinite(observation).all()
    assert (observation[:, -1] == 0).all()
    # Closest distances show the present value although no step has measured them.
    index = {
        "AllegroKukaRegrasping": 90,
        "AllegroKukaThrow": 90,
        "AllegroKukaReorientation": 108,
    }.get(name)
    if index is not None:
        assert (observation[:, index] > 0).all()
    assert (env.episode.closest_keypoint == -1).all()


def test_returned_tensors_survive_the_next_step() -> None:
    env = still("AllegroKukaRegrasping")
    step = idle(env)
    copies = [x.clone() for x in (step.observation, step.reward, step.metrics["fitness"])]
    at_goal(env)
    idle(env)
    for kept, copy in zip((step.observation, step.reward), copies, strict=False):
        assert torch.equal(kept, copy)


def drifting(name: str, seed: int) -> AllegroKuka:
    cfg = task_cfg(name, "episode_length=9", "success_hold_steps=2")
    return still_env(cfg, num_envs=16, seed=seed, sim=DriftingSim(16, cfg.num_arms))


@pytest.mark.parametrize("name", TASKS)
def test_resume_equals_uninterrupted_run(name: str) -> None:
    env = drifting(name, seed=1)
    env.reset()
    generator = torch.Generator().manual_seed(2)
    actions = 2 * torch.rand(30, 16, env.spec.action_dim, generator=generator) - 1
    for action in actions[:10]:
        env.step(action)
    state = env.state_dict()
    expected = [env.step(action) for action in actions[10:]]
    other = drifting(name, seed=99)
    other.load_state_dict(state)
    other.step(actions[0])
    other.load_state_dict(state)  # going on has not changed it
    ended = 0
    for action, step in zip(actions[10:], expected, strict=True):
        again = other.step(action)
        for one, two in zip(step[:5], again[:5], strict=True):
            assert torch.equal(one, two)
        assert all(torch.equal(step.metrics[key], again.metrics[key]) for key in step.metrics)
        ended += int((step.terminated | step.truncated).sum())
    assert ended > 16  # every environment ended at least once on average


def test_state_is_not_changed_by_going_on() -> None:
    env = drifting("AllegroKukaRegrasping", seed=1)
    env.reset()
    state = env.state_dict()

    def flat(tree: Dict[str, Any], path: str = "") -> Dict[str, torch.Tensor]:
        out = {}
        for key, value in tree.items():
            if isinstance(value, dict):
                out.update(flat(value, f"{path}{key}."))
            else:
                out[path + key] = value.clone()
        return out

    before = flat(state)
    for _ in range(12):
        env.step(torch.ones(16, 23))
    after = flat(state)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_same_seed_gives_the_same_run_and_another_seed_does_not() -> None:
    def run(seed: int) -> torch.Tensor:
        env = drifting("AllegroKukaReorientation", seed)
        env.reset()
        return torch.stack([env.step(torch.zeros(16, 23)).observation for _ in range(12)])

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))


def on_device(name: str, device: str, *overrides: str) -> AllegroKuka:
    """Build a still task of 8 environments with all that `overrides` randomise."""
    cfg = task_cfg(name, *overrides)
    env = still_env(cfg, num_envs=8, sim=StillSim(8, cfg.num_arms, device=device))
    if cfg.randomize:
        size = 1.1 * half_size(env.object_scale)
        noise = Disturbances(cfg, 8, torch.device(device), torch.Generator(device))
        env = AllegroKuka(cfg, env.sim, env.object_scale, env.draws, "still", size, noise)
    return env


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("randomize", ["[]", "[all]"])
@pytest.mark.parametrize("name", TASKS)
def test_step_never_waits_for_the_gpu(name: str, randomize: str) -> None:
    env = on_device(name, "cuda", f"randomize={randomize}", "episode_length=3")
    env.reset()
    action = torch.zeros(8, env.spec.action_dim, device="cuda")
    env.step(action)
    torch.cuda.set_sync_debug_mode("error")
    try:
        steps = [env.step(action) for _ in range(4)]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert any(step.truncated.all() for step in steps)
    assert all(torch.isfinite(step.observation).all() for step in steps)
