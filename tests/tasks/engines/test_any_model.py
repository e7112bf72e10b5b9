"""Both engines serve any MuJoCo model: names, sensors, controls, fields, resets, parity."""

# pyright: reportAttributeAccessIssue=false
# MuJoCo's compiled modules come without type stubs.

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("mujoco.batch")
pytest.importorskip("mujoco_warp", minversion="4.0")

import mujoco
import torch

from tasks.engines.build import make_simulator
from tasks.engines.capacity import Capacity, estimate
from tasks.engines.config import MujocoCfg, MujocoWarpCfg
from tasks.engines.model import Model, add_frame_sensors, frames

XML = """
<mujoco>
  <option timestep="0.005" integrator="implicitfast"/>
  <worldbody>
    <geom name="floor" type="plane" size="0 0 1"/>
    <body name="cart" pos="0 1 1">
      <joint name="slide" type="slide" axis="1 0 0" range="-2 2" limited="true"/>
      <geom name="cart" type="box" size=".1 .1 .05" mass="1" contype="0" conaffinity="0"/>
      <body name="pole">
        <joint name="hinge" axis="0 1 0" damping=".01"/>
        <geom name="pole" type="capsule" fromto="0 0 0 0 0 .5" size=".02" mass=".2"
          contype="0" conaffinity="0"/>
        <site name="tip" pos="0 0 .5"/>
      </body>
    </body>
    <body name="ball" pos="0 0 .1">
      <freejoint name="ball"/>
      <geom name="ball" size=".1" mass="2"/>
      <site name="under" size=".12"/>
    </body>
    <body name="mark" mocap="true" pos="1 0 1"><geom size=".02" contype="0" conaffinity="0"/></body>
  </worldbody>
  <actuator>
    <motor name="push" joint="slide" gear="2"/>
    <position name="servo" joint="hinge" kp="3" timeconst="0.1"/>
  </actuator>
  <sensor>
    <framepos name="tip" objtype="site" objname="tip"/>
    <framelinvel name="speed" objtype="site" objname="tip"/>
    <touch name="touch" site="under"/>
    <jointpos name="angle" joint="hinge"/>
  </sensor>
  <keyframe><key name="home" qpos=".5 .1 0 0 .1 1 0 0 0" ctrl="0 .2" mpos="1 0 2" mquat="1 0 0 0"/>
  </keyframe>
</mujoco>
"""
ENGINES = {"mujoco": MujocoCfg(num_threads=2), "mujoco_warp": MujocoWarpCfg(solver_iterations=0)}


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.from_xml(XML, substeps=4, home="home", pushed=("ball",), watched=("ball",))


def make(model: Model, engine: str, num_envs: int = 3, **fields: np.ndarray):
    return make_simulator(model, ENGINES[engine], num_envs, torch.device("cpu"), fields)


def test_parts_have_names(model):
    assert model.qpos("slide", "hinge", "ball") == slice(0, 9)
    assert model.dof("hinge", "ball") == slice(1, 8)
    assert (model.sensor("speed"), model.sensor("touch")) == (slice(3, 6), slice(6, 7))
    assert model.actuator("servo") == slice(1, 2) and model.mocap("mark") == slice(0, 1)
    assert model.body("cart", "pole") == slice(1, 3) and model.geom("pole") == slice(2, 3)
    np.testing.assert_array_equal(model.limits("slide"), [[-2], [2]])
    assert model.control_dt_s == pytest.approx(0.02)


def test_bodies_and_sites_are_read_where_they_are():
    spec = mujoco.MjSpec.from_string(XML)
    add_frame_sensors(spec, ["cart", "pole"], mujoco.mjtObj.mjOBJ_XBODY)
    model = Model(spec.compile(), home="home")
    sim = make(model, "mujoco")
    position = sim.sensors[0, model.sensor(*frames("pos", ["cart", "pole"]))]
    torch.testing.assert_close(position, torch.tensor([0.5, 1.0, 1.0, 0.5, 1.0, 1.0]))
    quat = sim.sensors[0, model.sensor(*frames("quat", ["pole"]))]
    # The pole leans by 0.1 rad about y.
    half = torch.tensor([0.05])
    torch.testing.assert_close(quat[[0, 2]], torch.cat((half.cos(), half.sin())))


def test_wrong_names_and_names_apart_are_one_line(model):
    with pytest.raises(ValueError, match="joint='hing' is unknown: did you mean 'hinge'"):
        model.qpos("hing")
    with pytest.raises(ValueError, match="joints slide, ball: ball does not follow the one before"):
        model.qpos("slide", "ball")
    with pytest.raises(ValueError, match="key='hone' is unknown: did you mean 'home'"):
        Model(model.mj, home="hone").start()


def test_a_model_without_a_keyframe_begins_at_its_zero():
    xml = XML[: XML.index("<keyframe>")] + "</mujoco>"
    start = Model.from_xml(xml).start()
    np.testing.assert_allclose(start["mocap"], [[1, 0, 1, 1, 0, 0, 0]])
    assert not start["ctrl"].any() and start["qpos"][4] == 0.1


def test_room_is_estimated_unless_it_is_given(model):
    # Floor and ball touch, with four contacts each; a limit, and four rows a contact.
    assert model.capacity == estimate(model.mj) == Capacity(8, 33)
    assert Model(model.mj, room=Capacity(2, 9)).capacity.chosen(MujocoWarpCfg(max_contacts=5)) == (
        5,
        9,
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_worlds_begin_at_home(model, engine):
    sim = make(model, engine)
    assert sim.qpos.shape == (3, 9) and sim.qvel.shape == (3, 8) and sim.force.shape == (3, 1, 6)
    torch.testing.assert_close(sim.qpos[1], torch.tensor([0.5, 0.1, 0, 0, 0.1, 1, 0, 0, 0]))
    torch.testing.assert_close(sim.ctrl[2], torch.tensor([0.0, 0.2]))
    torch.testing.assert_close(sim.mocap[0, 0], torch.tensor([1.0, 0, 2, 1, 0, 0, 0]))
    tip = sim.sensors[:, model.sensor("tip")]
    # The pole of 0.5 m leans by 0.1 rad.
    expected = torch.tensor([0.5 + 0.5 * np.sin(0.1), 1.0, 1 + 0.5 * np.cos(0.1)]).float()
    torch.testing.assert_close(tip[0], expected)
    assert sim.sensors[0, model.sensor("angle")].item() == pytest.approx(0.1)
    assert sim.device.type == "cpu" and not sim.bad.any()


@pytest.mark.parametrize("engine", ENGINES)
def test_touch_weighs_the_ball_with_what_pushes_it(model, engine):
    sim = make(model, engine)
    sim.force[1, 0, 2] = -10.0
    for _ in range(50):
        sim.step()
    touch = sim.sensors[:, model.sensor("touch")]
    # 2 kg at rest; in world 1 pressed down by 10 N more.
    torch.testing.assert_close(touch[:, 0], torch.tensor([19.62, 29.62, 19.62]), atol=0.1, rtol=0)


@pytest.mark.parametrize("engine", ENGINES)
def test_worlds_differ_in_given_fields_and_what_follows_from_them(model, engine):
    mass = np.repeat(model.mj.body_mass[None], 3, axis=0)
    mass[:, model.body("cart")] = [[1.0], [2.0], [4.0]]
    sim = make(model, engine, body_mass=mass)
    subtree = [float(sim.world(i)[0].body("cart").subtreemass[0]) for i in range(3)]
    assert subtree == pytest.approx([1.2, 2.2, 4.2])
    sim.ctrl[:, 0] = 1.0
    sim.step()
    speed = sim.qvel[:, model.dof("slide")][:, 0]
    assert speed[0] > 1.5 * speed[1] > 2.0 * speed[2] > 0


@pytest.mark.parametrize("engine", ENGINES)
def test_masked_reset_leaves_other_worlds_untouched(model, engine):
    sim, undisturbed = make(model, engine), make(model, engine)
    for each in (sim, undisturbed):
        each.ctrl[:] = torch.tensor([0.5, -0.3])
        for _ in range(5):
            each.step()
    mask = torch.tensor([True, False, False])
    qpos = sim.home_qpos.repeat(3, 1)
    qpos[:, model.qpos("slide")] = -0.5
    sim.set_state(mask, qpos, torch.zeros(3, 8, dtype=qpos.dtype))
    assert sim.qpos[0, 0] == -0.5 and not sim.qvel[0].any()
    for each in (sim, undisturbed):
        each.step()
    for name in ("qpos", "qvel", "sensors"):
        ours, theirs = getattr(sim, name), getattr(undisturbed, name)
        assert torch.equal(ours[1:], theirs[1:]) and not torch.equal(ours[0], theirs[0]), name
    # Worlds that are reset forget warm starts and activations: they are as new ones.
    fresh = make(model, engine)
    fresh.ctrl.copy_(sim.ctrl)
    fresh.set_state(mask, qpos, torch.zeros(3, 8, dtype=qpos.dtype))
    fresh.step()
    assert torch.equal(fresh.qpos[0], sim.qpos[0])


@pytest.mark.parametrize("engine", ENGINES)
def test_resume_is_exact_activations_included(model, engine):
    first, second = make(model, engine), make(model, engine)
    for sim, steps in ((first, 7), (second, 2)):
        for i in range(steps):
            sim.ctrl[:, 1] = 0.1 * i
            sim.force[:, 0, 0] = 3.0
            sim.step()
    first.mocap[:, 0, 2] = 1.5
    second.load_state_dict(first.state_dict())
    assert torch.equal(second.mocap, first.mocap)
    for sim in (first, second):
        for _ in range(5):
            sim.step()
    assert torch.equal(first.qpos, second.qpos) and torch.equal(first.sensors, second.sensors)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_watched_body_that_flies_away_is_bad(model, engine):
    sim = make(model, engine)
    qvel = torch.zeros(3, 8, dtype=sim.home_qpos.dtype)
    qvel[1, 4], qvel[2, 0] = 25.0, 25.0  # the ball, which is watched; the cart, which is not
    sim.set_state(torch.ones(3, dtype=torch.bool), sim.home_qpos.repeat(3, 1), qvel)
    assert sim.bad.tolist() == [False, True, False]


@pytest.mark.parametrize("engine", ENGINES)
def test_mocap_bodies_move_when_the_task_moves_them(model, engine):
    sim = make(model, engine)
    sim.mocap[1, 0, :3] = torch.tensor([0.3, 0.4, 0.5])
    sim.step()
    np.testing.assert_allclose(sim.world(1)[1].body("mark").xpos, [0.3, 0.4, 0.5], rtol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"body_mas": np.zeros((3, 5))}, "body_mas is no field of mujoco.MjModel"),
        ({"body_mass": np.zeros((2, 5))}, r"body_mass has shape \(2, 5\), give \(3, 5\)"),
    ],
)
def test_wrong_fields_are_one_line(model, engine, fields, message):
    with pytest.raises(ValueError, match=message):
        make(model, engine, **fields)


def test_engines_agree(model):
    mass = np.repeat(model.mj.body_mass[None], 8, axis=0)
    mass[:, model.body("cart", "pole")] *= np.linspace(0.5, 2, 8)[:, None]
    sims = [make(model, engine, 8, body_mass=mass) for engine in ENGINES]
    generator = torch.Generator().manual_seed(0)
    for _ in range(25):
        ctrl = torch.randn(8, 2, generator=generator)
        push = 5 * torch.randn(8, 1, 3, generator=generator)
        for sim in sims:
            sim.ctrl.copy_(ctrl)
            sim.force[..., :3] = push
            sim.step()
    ours, theirs = sims
    # Half a second: float64 against float32, with a rolling contact.
    for name in ("qpos", "qvel"):
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name), atol=2e-3, rtol=1e-3)
    touch = model.sensor("touch")
    torch.testing.assert_close(ours.sensors[:, touch], theirs.sensors[:, touch], atol=0.5, rtol=0)
