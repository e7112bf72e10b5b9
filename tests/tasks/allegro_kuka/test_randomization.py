from __future__ import annotations

import math
from typing import Any, List

import pytest
import torch
from torch import Tensor

from tasks import registry
from tasks.allegro_kuka import objects, observations
from tasks.allegro_kuka.config import RANDOMIZED, check
from tasks.allegro_kuka.draws import RandomDraws
from tasks.allegro_kuka.randomization import Disturbances, draw_worlds, make_disturbances
from tasks.allegro_kuka.task import AllegroKuka
from tasks.engines.config import AutoCfg
from tests.tasks.allegro_kuka.doubles import DriftingSim, StillSim, put_object, still_env, task_cfg

CPU = torch.device("cpu")
REORIENTATION, REGRASPING = "AllegroKukaReorientation", "AllegroKukaRegrasping"
TWO_ARMS = "AllegroKukaTwoArmsReorientation"
EVERYTHING = "randomize=[all]"
ALL = slice(None)


def half_size(num_envs: int) -> Tensor:
    return objects.half_size(objects.deal(objects.object_scales(["sticks"]), num_envs, 1, False))


def worlds(num_envs: int, *overrides: str, seed: int = 0, name: str = REORIENTATION) -> Any:
    return draw_worlds(task_cfg(name, *overrides), half_size(num_envs), seed)


def disturbances(num_envs: int, *overrides: str, seed: int = 0) -> Disturbances:
    """Return noise and latency of a one-arm task after the first reset."""
    made = make_disturbances(task_cfg(REORIENTATION, *overrides), num_envs, CPU, seed)
    assert made is not None
    made.restart(ALL, torch.ones(num_envs, dtype=torch.bool))
    return made


def disturbed(name: str, *overrides: str, num_envs: int = 16, seed: int = 0) -> AllegroKuka:
    """Build a task with noise and latency in which objects drift, before its first reset."""
    cfg = task_cfg(name, "episode_length=9", "success_hold_steps=2", *overrides)
    env = still_env(cfg, num_envs, seed, DriftingSim(num_envs, cfg.num_arms))
    env.disturbances = make_disturbances(cfg, num_envs, CPU, seed)
    return env


def random_actions(steps: int, env: AllegroKuka, seed: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (steps, env.spec.num_envs, env.spec.action_dim)
    return 2 * torch.rand(shape, generator=generator) - 1


def test_worlds_are_neutral_where_nothing_is_randomised() -> None:
    plain = worlds(8, "randomization.object_size=[3.0,4.0]")
    assert torch.equal(plain.object_half_size, half_size(8))
    assert torch.equal(plain.object_mass, objects.mass(half_size(8)))
    assert plain[2:] == (None, None, None)


@pytest.mark.parametrize(
    ("quantity", "low", "high", "is_log"),
    [
        ("object_size", 0.9, 1.1, False),
        ("object_mass", 0.5, 1.5, False),
        ("object_friction", 0.7, 1.3, False),
        ("stiffness", 0.75, 1.5, True),
        ("damping", 0.5, 2.0, True),
    ],
)
def test_factors_fill_their_range_by_their_law(quantity, low, high, is_log) -> None:
    num_envs, plain = 2000, worlds(2000)
    drawn = worlds(num_envs, f"randomize=[{quantity}]")
    factor = {
        "object_size": (drawn.object_half_size / plain.object_half_size)[:, 0],
        "object_mass": drawn.object_mass / plain.object_mass,
        "object_friction": drawn.object_friction,
        "stiffness": drawn.stiffness,
        "damping": drawn.damping,
    }[quantity]
    assert factor is not None
    assert factor.shape == ((num_envs, 23) if is_log else (num_envs,))
    rounding = 1e-6
    assert low - rounding <= factor.min() < low + 0.01 * (high - low)
    assert high + rounding >= factor.max() > high - 0.01 * (high - low)
    # Where the law is followed u is uniform: mean 1/2, variance 1/12; four standard errors.
    u = (factor / low).log() / math.log(high / low) if is_log else (factor - low) / (high - low)
    assert u.mean().item() == pytest.approx(0.5, abs=4 * (1 / 12 / u.numel()) ** 0.5)
    assert u.var().item() == pytest.approx(1 / 12, rel=4 * (0.8 / u.numel()) ** 0.5)


def test_size_scales_all_edges_and_mass_follows_the_volume() -> None:
    drawn = worlds(50, "randomize=[object_size]", "objects.density=100")
    ratio = drawn.object_half_size / half_size(50)
    torch.testing.assert_close(ratio, ratio[:, :1].expand(-1, 3))
    torch.testing.assert_close(drawn.object_mass, 100 * (2 * drawn.object_half_size).prod(1))
    both = worlds(50, "randomize=[object_size,object_mass]", "objects.density=100")
    factor = worlds(50, "randomize=[object_mass]").object_mass / worlds(50).object_mass
    torch.testing.assert_close(both.object_mass, drawn.object_mass * factor)


def test_drives_differ_per_joint_of_every_arm() -> None:
    drawn = worlds(3, "randomize=[stiffness,damping]", name=TWO_ARMS)
    assert drawn.stiffness.shape == drawn.damping.shape == (3, 46)
    assert len(drawn.stiffness.unique()) == len(drawn.damping.unique()) == 3 * 46
    # Stiffness and damping do not share their random numbers.
    u = (drawn.stiffness / 0.75).log() / math.log(2), (drawn.damping / 0.5).log() / math.log(4)
    assert abs(torch.corrcoef(torch.stack([x.flatten() for x in u]))[0, 1]) < 0.4


def test_quantities_are_drawn_independently_of_each_other_and_by_seed() -> None:
    every, again, other = (worlds(20, EVERYTHING, seed=seed) for seed in (3, 3, 4))
    for name in ("object_friction", "stiffness", "damping"):
        alone = worlds(20, f"randomize=[{name}]", seed=3)
        assert torch.equal(getattr(every, name), getattr(alone, name))
    for ours, same, different in zip(every, again, other):
        assert torch.equal(ours, same)
        assert not torch.equal(ours, different)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_worlds_do_not_depend_on_the_device() -> None:
    on_gpu: Any = draw_worlds(task_cfg(REORIENTATION, EVERYTHING), half_size(20), 0, "cuda")
    for ours, theirs in zip(worlds(20, EVERYTHING), on_gpu):
        assert theirs.is_cuda
        assert torch.equal(ours, theirs.cpu())


def test_engine_has_the_worlds_that_were_drawn() -> None:
    pytest.importorskip("mujoco.batch")
    cfg = task_cfg(REORIENTATION, EVERYTHING)
    env = registry.make(cfg, AutoCfg(num_threads=2), 3, CPU, 7)
    assert isinstance(env, AllegroKuka)
    scale = objects.deal(objects.object_scales(cfg.objects.sets), 3, 1, False)
    drawn: Any = draw_worlds(cfg, objects.half_size(scale), 7)
    assert torch.equal(env.object_scale, scale)
    assert isinstance(env.draws, RandomDraws)
    assert torch.equal(env.draws.half_size, drawn.object_half_size)
    sim: Any = env.sim
    for i in range(3):
        model, _ = sim.world(i)
        gain = torch.tensor([40.0] * 7 + [8.0] * 16) * drawn.stiffness[i]
        drag = torch.tensor([5.0] * 7 + [1.0] * 16) * drawn.damping[i]
        for ours, theirs in (
            (model.geom("object").size, drawn.object_half_size[i]),
            (model.body("object").mass, drawn.object_mass[i : i + 1]),
            (model.geom("object").friction[:1], drawn.object_friction[i : i + 1]),
            (model.actuator_gainprm[:, 0], gain),
            (-model.actuator_biasprm[:, 1], gain),
            (-model.actuator_biasprm[:, 2], drag),
        ):
            torch.testing.assert_close(torch.tensor(ours).float(), theirs)
    env.close()


def test_rewards_know_the_true_size_and_observations_the_nominal_one() -> None:
    cfg = task_cfg(REORIENTATION, "force.scale=0")
    plain = still_env(cfg, 1)
    scale, sim = plain.object_scale, StillSim(1, 1)
    large = AllegroKuka(cfg, sim, scale, plain.draws, "still", 2 * objects.half_size(scale))
    shown = []
    for env in (plain, large):
        env.sim.joint_vel.zero_()
        put_object(env, [0.1, 0.2, 0.6])
        env.sim.object_pose[:, 3:] = env.sim.site_quat[:, 0] = torch.tensor([0.0, 1.0, 0.0, 0.0])
        env.goal_pose[:] = torch.tensor([0.0, 0.0, 0.6, 1.0, 0.0, 0.0, 0.0])
        shown.append(env.step(torch.zeros(1, 23)).final_observation)
    # Closest distance (entry 108) and fingertips aside, which are measured on the true box.
    assert torch.equal(shown[0][:, :108], shown[1][:, :108])
    assert torch.equal(shown[0][:, 109:-1], shown[1][:, 109:-1])
    for env, factor in ((plain, 1.0), (large, 2.0)):
        # Half a turn about x moves the keypoint (1, 1, 1) by twice its y and z, 1.5 x 25 mm.
        y, z = (factor * scale[0, 1:] * 0.0375 * 2).tolist()
        expected = math.hypot(0.1, max(abs(0.2 - y), 0.2 + y), z)
        assert env.episode.closest_keypoint.item() == pytest.approx(expected, rel=1e-4)


def test_latency_delays_every_world_by_its_own_number_of_steps() -> None:
    late = disturbances(200, "randomize=[action_latency]", "randomization.action_latency=[1,4]")
    counts = torch.bincount(late.delay, minlength=6)
    # 200 uniform draws of 1 to 4: 50 each, standard deviation 6.
    assert counts[0] == counts[5] == 0
    assert ((counts[1:5] - 50).abs() < 25).all()
    for t in range(12):
        # The action says when it was given. Before its latency an episode holds its first one.
        given = late.act(torch.full((200, 23), t / 100))
        expected = (t - late.delay).clamp(min=0) / 100
        torch.testing.assert_close(given, expected[:, None].expand(-1, 23))


def test_targets_lag_by_the_latency_and_repeat_the_first_action_at_every_start() -> None:
    def targets(*overrides: str):
        env = disturbed(TWO_ARMS, *overrides)
        env.reset()
        steps, ctrl, delay, age = [], [], [], []
        for action in random_actions(25, env):
            if env.disturbances is not None:
                delay.append(env.disturbances.delay.clone())
                age.append(env.disturbances.age.clone())
            steps.append(env.step(action))
            ctrl.append(env.sim.ctrl.clone())
        return steps, torch.stack(ctrl), delay, age

    # Absolute targets: those of step t belong to the action of step t - latency.
    _, prompt, _, _ = targets()
    steps, late, delay, age = targets(
        "randomize=[action_latency]", "randomization.action_latency=[0,3]"
    )
    env_ids, since = torch.arange(16), torch.zeros(16, dtype=torch.int64)
    for t, step in enumerate(steps):
        assert torch.equal(age[t], since)
        assert torch.equal(late[t], prompt[t - torch.minimum(delay[t], since), env_ids])
        since = (since + 1) * ~(step.terminated | step.truncated)
    assert len(torch.stack(delay).unique()) == 4
    assert (since < 20).all()  # every environment began anew at least once


def test_action_noise_has_its_standard_deviations() -> None:
    noisy = disturbances(400, "randomize=[action_noise]", "randomization.action_noise=[0.05,0.02]")
    steps = torch.stack([noisy.act(torch.full((400, 23), 0.3)) for _ in range(50)]) - 0.3
    # 460,000 and 9,200 values: standard errors 0.1 and 0.7 %; the mean of 50 steps still has
    # 0.05 / sqrt(50) of the noise per step.
    assert (steps - steps.mean(0)).std().item() == pytest.approx(0.05 * (49 / 50) ** 0.5, rel=0.01)
    assert steps.mean(0).std().item() == pytest.approx((0.02**2 + 0.05**2 / 50) ** 0.5, rel=0.03)
    assert steps.mean().item() == pytest.approx(0.0, abs=1e-3)
    # Actions out of range are clamped before the noise, not after it alone.
    assert noisy.act(torch.full((400, 23), 5.0)).min() < 1.0


def test_observation_noise_touches_what_is_measured_and_nothing_else() -> None:
    setting = "randomization.observation_noise=[0.03,0.02]"
    noisy = disturbed(REGRASPING, "randomize=[observation_noise]", setting, num_envs=400)
    plain = disturbed(REGRASPING, num_envs=400)
    difference: List[Tensor] = [noisy.reset() - plain.reset()]
    for action in random_actions(7, noisy):
        ours, theirs = noisy.step(action), plain.step(action)
        for name in ("reward", "terminated", "truncated"):
            assert torch.equal(getattr(ours, name), getattr(theirs, name))
        assert theirs.observation.abs().max() < 9  # nothing is near the limit
        difference.append(ours.observation - theirs.observation)
    noise = torch.stack(difference)[..., :87]
    assert (torch.stack(difference)[..., 87:] == 0).all()  # scale, closest, lifted, counts, reward
    # The 8 observations of an episode of 9 steps: they share one offset. 280,000 values in all.
    assert (noise - noise.mean(0)).std().item() == pytest.approx(0.03 * (7 / 8) ** 0.5, rel=0.02)
    assert noise.mean(0).std().item() == pytest.approx((0.02**2 + 0.03**2 / 8) ** 0.5, rel=0.03)


def test_observations_stay_within_their_limit_under_noise() -> None:
    env = disturbed(REORIENTATION, "randomize=[observation_noise]")
    env.reset()
    env.sim.site_linvel.fill_(50.0)
    step = env.step(torch.zeros(16, 23))
    assert step.final_observation.abs().max() == observations.LIMIT
    assert (step.final_observation[:, 53:56] > 9.9).all()


def test_final_observation_carries_the_noise_of_its_own_episode() -> None:
    overrides = ("randomize=[observation_noise]", "randomization.observation_noise=[0.0,0.02]")
    noisy, plain = disturbed(REORIENTATION, *overrides), disturbed(REORIENTATION)
    assert noisy.disturbances is not None
    noisy.reset()
    plain.reset()
    for action in random_actions(8, noisy):
        before = noisy.disturbances.observation_offset.clone()
        ours, theirs = noisy.step(action), plain.step(action)
        after = noisy.disturbances.observation_offset
        for name, offset in (("final_observation", before), ("observation", after)):
            shown = getattr(theirs, name)
            assert shown.abs().max() < 9  # nothing is near the limit
            torch.testing.assert_close(getattr(ours, name), shown + offset)
    assert ours.truncated.all()
    assert not torch.equal(before, after)


def test_only_ended_episodes_draw_anew() -> None:
    noisy = disturbances(6, EVERYTHING, "randomization.action_latency=[0,50]")
    names = ("action_offset", "observation_offset", "delay", "age")
    noisy.act(torch.zeros(6, 23))
    before = {name: getattr(noisy, name).clone() for name in names}
    ended = torch.tensor([False, True, False, False, True, False])
    # Environment 3 reached a goal without ending: it is looked at and keeps what it has.
    for rows in (torch.tensor([1, 3, 4]), ALL):
        noisy.restart(rows, ended)
        for name in names:
            ours = getattr(noisy, name)
            assert torch.equal(ours[~ended], before[name][~ended]), name
            assert (ours[ended] != before[name][ended]).any(), name
    assert noisy.age.tolist() == [1, 0, 1, 1, 0, 1]
    assert (noisy.observation_offset[:, 105:] == 0).all()


@pytest.mark.parametrize("name", [REGRASPING, TWO_ARMS])
def test_disturbances_of_zero_equal_the_plain_task_bit_for_bit(name: str) -> None:
    zero = [f"randomization.{x}=[0,0]" for x in RANDOMIZED if x[-5:] == "noise" or "latency" in x]
    names = "randomize=[observation_noise,action_noise,action_latency]"
    plain, off = disturbed(name, seed=1), disturbed(name, names, *zero, seed=1)
    assert plain.disturbances is None
    assert off.disturbances is not None
    assert torch.equal(plain.reset(), off.reset())
    for action in 1.5 * random_actions(20, plain):
        for ours, theirs in zip(plain.step(action)[:5], off.step(action)[:5]):
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize("name", [REGRASPING, TWO_ARMS])
def test_resume_with_everything_on_equals_uninterrupted_run(name: str) -> None:
    def env() -> AllegroKuka:
        return disturbed(name, EVERYTHING, seed=1)

    first, second = env(), env()
    actions = random_actions(30, first)
    first.reset()
    second.reset()
    for action in actions[:13]:
        first.step(action)
    state = first.state_dict()
    expected = [first.step(action) for action in actions[13:]]
    second.step(actions[0])
    second.load_state_dict(state)
    second.step(actions[0])
    second.load_state_dict(state)  # going on has not changed it
    for action, step in zip(actions[13:], expected):
        for ours, theirs in zip(step[:5], second.step(action)[:5]):
            assert torch.equal(ours, theirs)


def test_resume_on_the_engine_with_everything_on_equals_uninterrupted_run() -> None:
    pytest.importorskip("mujoco.batch")

    def env(num_threads: int) -> AllegroKuka:
        cfg = task_cfg(REGRASPING, EVERYTHING, "episode_length=12")
        made = registry.make(cfg, AutoCfg(num_threads=num_threads), 4, CPU, 3)
        assert isinstance(made, AllegroKuka)
        return made

    first, second = env(1), env(2)
    actions = random_actions(30, first)
    first.reset()
    for action in actions[:17]:
        first.step(action)
    second.load_state_dict(first.state_dict())
    for action in actions[17:]:
        for ours, theirs in zip(first.step(action)[:5], second.step(action)[:5]):
            assert torch.equal(ours, theirs)
    first.close()
    second.close()


def test_state_of_another_randomisation_is_refused_in_one_line() -> None:
    plain = disturbed(REORIENTATION)
    longer = disturbed(REORIENTATION, EVERYTHING, "randomization.action_latency=[0,5]")
    for other in (plain, longer):
        with pytest.raises(ValueError, match=r"same task\.randomize") as error:
            disturbed(REORIENTATION, EVERYTHING).load_state_dict(other.state_dict())
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["randomize=[stifness]"], r"task.randomize='stifness'.*did you mean 'stiffness'"),
        (["randomization.object_mass=[1.5,0.5]"], r"object_mass=\[1.5, 0.5\].*lower one first"),
        (["randomization.object_mass=[1.0]"], r"object_mass=\[1.0\].*two numbers"),
        (["randomization.damping=[0.0,2.0]"], r"damping=\[0.0, 2.0\].*positive factors"),
        (["randomization.stiffness=[1.0,.inf]"], r"stiffness=\[1.0, inf\].*two numbers"),
        (["randomization.action_noise=[-0.1,0.0]"], r"action_noise=\[-0.1, 0.0\].*at least 0"),
        (["randomization.object_friction=[.nan,1.0]"], r"object_friction=\[nan, 1.0\].*two num"),
        (
            ["randomize=[all]", "randomization.action_latency=[0,600]"],
            r"action_latency=\[0, 600\].*less than task.episode_length=600",
        ),
    ],
)
def test_check_names_setting_value_and_way_out(overrides: List[str], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        check(task_cfg(REORIENTATION, *overrides))
    assert "\n" not in str(error.value)


def test_noise_may_be_constant_or_white_alone() -> None:
    for low_high in ("[0.1,0]", "[0,0.1]"):
        check(task_cfg(REORIENTATION, EVERYTHING, f"randomization.action_noise={low_high}"))
