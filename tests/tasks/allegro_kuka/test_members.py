"""What the task offers to agents that learn apart: own curricula, own thresholds, own restarts."""

from __future__ import annotations

from dataclasses import replace

import torch

from epo.envs import MemberEnv
from tasks.allegro_kuka import curriculum, rewards
from tasks.allegro_kuka.config import CurriculumCfg
from tests.tasks.allegro_kuka.doubles import DriftingSim, put_object, still_env, task_cfg

NAME = "AllegroKukaRegrasping"


def separated(*overrides: str, num_envs: int = 6, num_agents: int = 3):
    env = still_env(task_cfg(NAME, *overrides), num_envs)
    env.separate(num_agents)
    env.reset()
    return env


def step(env):
    return env.step(torch.zeros(env.spec.num_envs, env.spec.action_dim))


def test_reward_terms_add_up_to_the_reward():
    env = still_env(task_cfg(NAME), sim=DriftingSim(4, 1))
    assert isinstance(env, MemberEnv) and env.reward_names == rewards.TERMS
    env.reset()
    for _ in range(5):
        result = step(env)
        assert result.reward_terms is not None
        assert torch.equal(result.reward_terms.sum(0), result.reward)
        assert result.reward.any()


def test_curriculum_of_one_agent_is_its_own():
    env = separated("curriculum.interval_steps=2")
    successes = torch.tensor([0.0, 0.0, 3.0, 3.0, 9.0, 0.0])
    env.episode = replace(env.episode, previous_successes=successes)
    for _ in range(2):
        result = step(env)
    # Means 0, 3 and 4.5: the last two have reached the 3 that a tighter tolerance takes.
    tolerance = torch.tensor([0.075, 0.0675, 0.0675], dtype=torch.float64)
    torch.testing.assert_close(env.curriculum.tolerance, tolerance)
    shown = result.metrics["success_tolerance"]
    torch.testing.assert_close(shown, tolerance.repeat_interleave(2).float())
    torch.testing.assert_close(result.scalars["success_tolerance"], tolerance.mean().float())
    progress = (0.075 - 0.0675) / 0.065
    torch.testing.assert_close(result.metrics["fitness"], torch.tensor([0.0] * 2 + [progress] * 4))


def test_goal_counts_within_the_tolerance_of_its_agent():
    env = separated("success_hold_steps=1", num_envs=2, num_agents=2)
    tolerance = torch.tensor([0.075, 0.05], dtype=torch.float64)
    env.curriculum = env.curriculum._replace(tolerance=tolerance)
    goal = env.goal_pose[:, :3].clone()
    goal[:, 0] += 0.06 * env.cfg.keypoint_scale
    put_object(env, goal.tolist())
    assert step(env).metrics["successes"].tolist() == [1.0, 0.0]


def test_lift_threshold_may_differ():
    env = separated(num_envs=2, num_agents=2)
    env.reward_parameters["lift_threshold_m"][1] = 0.2
    put_object(env, [0.0, 0.0, 0.58 + 0.17])
    step(env)
    assert env.episode.was_lifted.tolist() == [True, False]


def test_curriculum_is_handed_over_and_nothing_else_moves():
    env = separated("curriculum.interval_steps=2")
    for _ in range(3):
        step(env)
    env.curriculum = curriculum.put(
        env.curriculum, 2, {"tolerance": torch.tensor(0.02), "last_change": torch.tensor(1)}
    )
    env.load_agent_state(0, env.agent_state(2))
    assert [round(x, 6) for x in env.curriculum.tolerance.tolist()] == [0.02, 0.075, 0.02]
    assert env.curriculum.last_change.tolist() == [1, 0, 1]
    assert env.curriculum.steps.tolist() == [3, 3, 3]


def test_restart_begins_new_episodes_of_one_agent():
    env = separated()
    for _ in range(4):
        seen = step(env).observation.clone()
    env.episode = replace(env.episode, previous_successes=torch.full((6,), 5.0))
    pose = env.sim.object_pose.clone()
    first = env.restart_agent(1)
    assert env.episode.progress.tolist() == [4, 4, 0, 0, 4, 4]
    # What the former policy reached says nothing of the new one.
    assert env.episode.previous_successes.tolist() == [5.0, 5.0, 0.0, 0.0, 5.0, 5.0]
    changed = (env.sim.object_pose != pose).any(1)
    assert changed.tolist() == [False, False, True, True, False, False]
    assert first.shape == seen[2:4].shape and not torch.equal(first, seen[2:4])


def test_state_holds_all_curricula():
    env, other = separated(), separated()
    env.curriculum = env.curriculum._replace(
        tolerance=torch.tensor([0.07, 0.06, 0.05], dtype=torch.float64)
    )
    other.load_state_dict(env.state_dict())
    assert other.curriculum.tolerance.tolist() == [0.07, 0.06, 0.05]


def test_one_curriculum_computes_what_a_scalar_did_to_the_bit():
    cfg, generator = CurriculumCfg(), torch.Generator().manual_seed(0)
    distance = torch.rand(4096, generator=generator) * 0.2
    successes = torch.randint(0, 50, (4096,), generator=generator).float()
    for changes in range(20):
        scalar = torch.tensor(0.075 * 0.9**changes, dtype=torch.float64)
        spread = curriculum.per_env(scalar.reshape(1), 4096)
        near = distance <= scalar * 1.5
        assert torch.equal(distance <= (spread * 1.5).to(distance.dtype), near)
        span = cfg.initial_tolerance_m - cfg.target_tolerance_m
        progress = (cfg.initial_tolerance_m - scalar) / span
        weight = torch.where(scalar > cfg.target_tolerance_m, 0.01, 1.0)
        expected = weight * successes + progress
        assert torch.equal(curriculum.objective(successes, spread, cfg), expected)
        mean = curriculum.per_block(successes, 1)
        assert torch.equal(mean, successes.mean().reshape(1))
