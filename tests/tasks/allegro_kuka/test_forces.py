from __future__ import annotations

import torch

from tasks.allegro_kuka import forces
from tests.tasks.allegro_kuka.doubles import still_env, task_cfg


def test_force_fades_unless_hit() -> None:
    force = torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    draw = torch.tensor([[1.0, -1.0, 0.5]]).repeat(2, 1)
    hit, std = torch.tensor([False, True]), torch.tensor([0.5, 0.5])
    new = forces.update(force, hit, draw, std, decay=0.5)
    assert new.tolist() == [[0.5, 1.0, 1.5], [0.5, -0.5, 0.25]]


def test_decay_per_step_halves_a_force_in_331_steps() -> None:
    decay = forces.decay_per_step(0.99, 0.08, 0.01667)
    assert abs(decay - 0.99791) < 1e-5
    assert abs(decay**331 - 0.5) < 1e-3


def test_hit_probability_is_log_uniform() -> None:
    u = torch.tensor([0.0, 0.5, 1.0])
    torch.testing.assert_close(
        forces.hit_probability(u, 0.001, 0.1), torch.tensor([0.1, 0.01, 0.001])
    )


def test_task_draws_forces_as_often_and_as_strong_as_it_says() -> None:
    cfg = task_cfg("AllegroKukaReorientation", "objects.sets=[small_cuboids]")
    env = still_env(cfg, num_envs=1000)
    env.reset()
    # Chance of a hit: mean of the log-uniform law, (0.1 - 0.001) / ln 100 = 0.0215; log-mean 0.01.
    assert (env.force_probability.log10().mean() + 2.0).abs() < 0.1
    hits = 0
    for _ in range(20):
        before = env.force
        env.step(torch.zeros(1000, 23))
        faded = torch.isclose(env.force, before * 0.99 ** (1 / 60 / 0.08)).all(-1)
        hits += int((~faded).sum())
    # 430 hits of 20000: 5 standard errors are 0.0052, those of the chances themselves 0.004.
    assert abs(hits / 20000 - 0.0215) < 0.009
    struck = env.force.norm(dim=-1) > 0
    strength = env.force[struck] / (2.0 * env.sim.object_mass[struck, None])
    # Standard normal per axis, faded by at most 0.99791^19 = 0.961.
    assert 0.9 < strength.std() < 1.05


def test_force_reaches_the_simulator_in_the_world_frame() -> None:
    cfg = task_cfg("AllegroKukaReorientation")
    env = still_env(cfg, num_envs=1)
    env.reset()
    env.force_probability.zero_()
    env.force = torch.tensor([[1.0, 0.0, 0.0]])
    # Object turned by 90 degrees about z: its x axis is the world's y axis.
    env.sim.object_pose[:, 3:] = torch.tensor([0.5**0.5, 0.0, 0.0, 0.5**0.5])
    env.step(torch.zeros(1, 23))
    fade = 0.99 ** (1 / 60 / 0.08)
    expected = torch.tensor([[0.0, fade, 0.0, 0.0, 0.0, 0.0]])
    torch.testing.assert_close(env.sim.object_force, expected, rtol=0, atol=1e-6)


def test_force_is_scaled_by_the_own_mass_or_that_of_environment_0() -> None:
    for own, masses in (("true", [0.15, 0.05]), ("false", [0.15, 0.15])):
        cfg = task_cfg("AllegroKukaReorientation", f"own_mass_force={own}")
        env = still_env(cfg, num_envs=2)
        env.sim.object_mass.copy_(torch.tensor([0.15, 0.05]))
        env = type(env)(cfg, env.sim, env.object_scale, env.draws, "still")
        env.force_probability.fill_(1.0)
        env.draws.force = lambda probability: (probability > 0, torch.ones(2, 3))
        env.step(torch.zeros(2, 23))
        expected = torch.tensor(masses)[:, None].expand(2, 3) * 2.0
        torch.testing.assert_close(env.force, expected)
