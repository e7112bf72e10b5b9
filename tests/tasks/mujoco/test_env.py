"""Tasks over a MuJoCo model: the contract, episodes, exact resume, one engine like the other."""

# pyright: reportAttributeAccessIssue=false
# MuJoCo's compiled modules come without type stubs.

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("mujoco.batch")
pytest.importorskip("mujoco_warp", minversion="4.0")

from epo.contract import check_env
from tasks import registry
from tasks.engines.config import IsaacGymCfg, MujocoCfg, MujocoWarpCfg
from tasks.mujoco.arm_reach import GOALS, HOME, START_RAD
from tasks.mujoco.config import ArmReachCfg
from tests.tasks.opengl import needs_opengl

CPU = torch.device("cpu")
ENGINES = {"mujoco": MujocoCfg(num_threads=2), "mujoco_warp": MujocoWarpCfg(solver_iterations=0)}


def make(engine: str = "mujoco", num_envs: int = 4, seed: int = 0, **settings: Any) -> Any:
    return registry.make(ArmReachCfg(**settings), ENGINES[engine], num_envs, CPU, seed)


def actions(num_steps: int, num_envs: int = 4, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    return [2 * torch.rand(num_envs, 7, generator=generator) - 1 for _ in range(num_steps)]


@pytest.mark.parametrize("engine", ENGINES)
def test_the_contract_is_kept(engine):
    env = make(engine)
    check_env(env)
    assert env.spec.observation_dim == 23 and env.spec.action_dim == 7
    assert env.spec.control_dt_s == pytest.approx(0.04) and env.spec.engine == engine


def test_episodes_begin_around_home_with_goals_in_their_box():
    observation = make(num_envs=256).reset()
    joints = observation[:, :7] * np.pi - torch.tensor(HOME)
    assert joints.abs().max() <= START_RAD + 1e-5 and joints.std() > 0.1
    goal, low, high = observation[:, 17:20], *(torch.tensor(corner) for corner in GOALS)
    assert (goal >= low).all() and (goal <= high).all()
    assert ((goal - low) / (high - low)).mean(0).sub(0.5).abs().max() < 0.1
    # The tip is where the forward kinematics of the model puts it.
    torch.testing.assert_close(observation[:, 20:], goal - observation[:, 14:17])


def test_the_tip_of_the_straight_arm_is_as_high_as_its_links_are_long():
    env = make(num_envs=1)
    env.sim.set_state(torch.tensor([True]), 0 * env.sim.home_qpos[None], torch.zeros(1, 7).double())
    # 0.15 + 0.18 + 0.16 + 0.16 + 0.19 + 0.19 + 0.08 and the hand of 0.10 m.
    torch.testing.assert_close(env.sim.sensors, torch.tensor([[0.0, 0.0, 1.21]]))


def test_reward_is_the_sum_of_its_terms_and_success_is_being_near_at_the_end():
    env = make(num_envs=2, episode_length=3, effort_cost=0.5)
    env.reset()
    tip = env.sim.sensors[:, env.task.model.sensor("tip")].clone()
    # World 0 has its goal at the tip, world 1 half a metre above.
    env.sim.mocap[:, 0, :3] = tip + torch.tensor([[0.0, 0, 0], [0, 0, 0.5]])
    for _ in range(3):
        step = env.step(torch.zeros(2, 7))
    torch.testing.assert_close(step.reward, step.reward_terms.sum(0))
    distance, near, effort = step.reward_terms
    torch.testing.assert_close(distance, torch.tensor([0.0, -0.5]), atol=1e-4, rtol=0)
    torch.testing.assert_close(near, torch.tensor([1.0, 0.0]), atol=1e-4, rtol=0)
    assert not effort.any() and step.truncated.all() and not step.terminated.any()
    assert step.metrics["reached"].tolist() == [1.0, 0.0]
    torch.testing.assert_close(
        step.metrics["fitness"], torch.tensor([3.0, -1.5]), atol=1e-3, rtol=0
    )
    full = env.step(torch.ones(2, 7)).reward_terms[2]
    torch.testing.assert_close(full, torch.full((2,), -0.5))


def test_only_episodes_that_ended_begin_anew():
    env = make(num_envs=3, episode_length=5)
    env.start_late(torch.tensor([0, 3, 0]))
    env.reset()
    steps = [env.step(a) for a in actions(2, 3)]
    assert steps[1].truncated.tolist() == [False, True, False]
    assert steps[1].is_partial.tolist() == [False, True, False]
    assert env.episodes.elapsed.tolist() == [2, 0, 2]
    changed = (steps[1].observation != steps[1].final_observation).any(1)
    assert changed.tolist() == [False, True, False]


def test_a_world_that_is_not_finite_ends_and_spoils_nothing():
    env, healthy = make(num_envs=3), make(num_envs=3)
    for each in (env, healthy):
        each.reset()
    qpos, qvel = env.sim.qpos.double(), env.sim.qvel.double()
    qvel[1] = 1e30
    env.sim.set_state(torch.tensor([False, True, False]), qpos, qvel)
    (action,) = actions(1, 3)
    step, expected = env.step(action), healthy.step(action)
    assert step.terminated.tolist() == [False, True, False]
    assert step.observation.isfinite().all() and step.final_observation.isfinite().all()
    assert step.reward[1] == 0.0 and torch.equal(step.reward[::2], expected.reward[::2])


@pytest.mark.parametrize("engine", ENGINES)
def test_a_restored_environment_goes_on_to_the_bit(engine):
    first, second = make(engine, episode_length=6), make(engine, seed=1, episode_length=6)
    first.reset()
    second.reset()
    for action in actions(4):
        first.step(action)
    second.load_state_dict(first.state_dict())
    for action in actions(8, seed=1):
        one, other = first.step(action), second.step(action)
        assert torch.equal(one.observation, other.observation)
        assert torch.equal(one.reward, other.reward)


def test_payloads_differ_between_worlds_and_slow_the_hand():
    env = make(num_envs=8, payload_kg=5.0)
    masses = [float(env.sim.world(i)[0].body("link_7").mass[0]) for i in range(8)]
    assert min(masses) > 0.7 and max(masses) <= 5.7 and len(set(masses)) == 8
    assert float(make().sim.world(0)[0].body("link_7").mass[0]) == pytest.approx(0.7)


def test_engines_agree_over_two_seconds():
    envs = [make(engine, 8, payload_kg=3.0) for engine in ENGINES]
    starts = [env.reset() for env in envs]
    torch.testing.assert_close(*starts, atol=1e-5, rtol=0)
    for action in actions(50, 8):
        ours, theirs = (env.step(action) for env in envs)
    # Nothing collides: what remains is float64 against float32.
    torch.testing.assert_close(ours.observation, theirs.observation, atol=1e-4, rtol=0)
    torch.testing.assert_close(ours.reward, theirs.reward, atol=1e-4, rtol=0)


def test_isaac_gym_is_refused_with_the_engines_that_work():
    with pytest.raises(ValueError, match=r"engine.name='isaacgym' is unknown.*mujoco_warp"):
        registry.check(ArmReachCfg(), IsaacGymCfg())


def test_every_number_is_described():
    cfg = ArmReachCfg()
    described = registry.of(cfg).describe(cfg, 23, 7)
    assert [part.start for part in described.observation] == [0, 7, 14, 17, 20]
    assert described.observation[-1].stop == 23 and described.action[0].stop == 7


@needs_opengl
@pytest.mark.parametrize("engine", ENGINES)
def test_picture_shows_the_goal_where_it_is(engine):
    cfg, env = ArmReachCfg(), make(engine, 2)
    family = registry.of(cfg)
    family.prepare_drawing(cfg, ENGINES[engine])
    env.reset()
    renderer = family.make_renderer(env, 160, 120)
    columns = []
    for y in (-0.3, 0.3):
        env.sim.mocap[1, 0, :3] = torch.tensor([0.5, y, 0.3])
        picture = renderer.draw(1).astype(int)
        is_green = picture[..., 1] > picture[..., 0] + 60
        columns.append(is_green.nonzero()[1].mean())
    renderer.close()
    assert columns[1] > columns[0] + 20  # along y to the right


def test_scene_has_the_shapes_of_the_model_and_new_episodes():
    cfg, env = ArmReachCfg(), make(num_envs=2)
    env.reset()
    scene = registry.of(cfg).make_scene(env)
    before = [part.position.copy() for part in scene.parts(1)]
    assert len(before) == 10  # floor, base, seven links, goal
    scene.act("new episode", 1)
    after = [part.position for part in scene.parts(1)]
    assert not np.allclose(before[-1], after[-1]) and np.allclose(before[0], after[0])
    assert set(scene.terms(0)) == {"distance", "near", "effort"}
