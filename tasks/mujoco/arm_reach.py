"""ArmReach: an arm with seven joints brings its tip to a point, and keeps it there."""

from __future__ import annotations

import math
from itertools import product

import torch
from torch import Tensor

from tasks.engines.model import Model
from tasks.engines.simulator import Fields, Simulator
from tasks.mujoco.config import ArmReachCfg
from tasks.mujoco.task import MujocoTask, Start

JOINTS = tuple(f"joint_{i}" for i in range(1, 8))
HOME = (0.0, 0.4, 0.0, 1.8, 0.0, 0.9, 0.0)
"""Bent forward, the hand pointing down, rad."""
LINKS = (
    # axis, limit rad, distance to the joint before m, length of its own shape m, mass kg
    ("0 0 1", 2.9, 0.15, 0.18, 3.0),
    ("0 1 0", 1.8, 0.18, 0.16, 3.0),
    ("0 0 1", 2.9, 0.16, 0.16, 2.5),
    ("0 1 0", 2.6, 0.16, 0.19, 2.5),
    ("0 0 1", 2.9, 0.19, 0.19, 2.0),
    ("0 1 0", 2.2, 0.19, 0.08, 1.5),
    ("0 0 1", 2.9, 0.08, 0.10, 0.7),
)
GOALS = ((0.30, -0.35, 0.15), (0.60, 0.35, 0.65))
"""Corners of the box that goals are drawn from, m."""
REACH_RAD = 0.15
"""How far ahead of a joint its drive's target is at an action of 1: with kp 200, kv 20 it turns by
up to 1.5 rad/s."""
START_RAD = 0.3
"""Half range of the joints around home where an episode begins."""
NEAR_M = 0.1
"""Width of the reward for being near."""


def mjcf() -> str:
    """Write the model: gravity is compensated, nothing collides."""
    chain = '<site name="tip" pos="0 0 0.1" size="0.015"/>'
    for i, (axis, limit, above, length, mass) in reversed(list(enumerate(LINKS, 1))):
        shade = "0.86 0.87 0.89 1" if i % 2 else "0.25 0.45 0.70 1"
        chain = f"""<body name="link_{i}" pos="0 0 {above}">
          <joint name="joint_{i}" axis="{axis}" range="-{limit} {limit}"/>
          <geom name="link_{i}" fromto="0 0 0 0 0 {length}" size="{0.055 - 0.004 * i}"
            mass="{mass}" rgba="{shade}"/>{chain}</body>"""
    home = " ".join(map(str, HOME))
    drives = "".join(f'<position name="{name}" joint="{name}"/>' for name in JOINTS)
    return f"""<mujoco model="arm_reach">
      <compiler angle="radian" autolimits="true"/>
      <option timestep="0.02" integrator="implicitfast" gravity="0 0 0"/>
      <visual><headlight ambient=".35 .35 .35" diffuse=".2 .2 .2" specular="0 0 0"/></visual>
      <default>
        <geom type="capsule" contype="0" conaffinity="0"/>
        <joint armature="0.1"/>
        <position kp="200" kv="20" inheritrange="1" forcerange="-100 100"/>
      </default>
      <asset><texture type="skybox" builtin="flat" rgb1=".93 .95 .97" width="8" height="8"/></asset>
      <worldbody>
        <light pos="1 -1 3" dir="-0.3 0.3 -1" type="directional" diffuse=".5 .5 .5"/>
        <camera name="front" pos="1.7 -1.3 1.2" xyaxes="0.61 0.79 0 -0.3 0.23 0.93"/>
        <geom name="floor" type="plane" size="0.8 0.8 0.1" rgba="0.80 0.82 0.84 1"/>
        <geom name="base" type="cylinder" fromto="0 0 0 0 0 0.15" size="0.08" rgba=".3 .3 .3 1"/>
        {chain}
        <body name="goal" mocap="true" pos="0.45 0 0.4">
          <geom name="goal" type="sphere" size="0.02" rgba="0.20 0.75 0.35 0.9"/>
        </body>
      </worldbody>
      <actuator>{drives}</actuator>
      <sensor><framepos name="tip" objtype="site" objname="tip"/></sensor>
      <keyframe><key name="home" qpos="{home}" ctrl="{home}"/></keyframe>
    </mujoco>"""


class ArmReach(MujocoTask):
    """Seven joints with position drives; nothing collides, gravity is compensated."""

    observation = (
        ("joint_position", 7, "rad / pi"),
        ("joint_velocity", 7, "0.5 x rad/s"),
        ("tip", 3, "m, world frame"),
        ("goal", 3, "m, world frame"),
        ("way", 3, "m: goal minus tip"),
    )
    action = f"[-1, 1]: target of each joint's drive, 1 = {REACH_RAD} rad ahead of the joint"
    reward = (
        ("distance", "minus the way from tip to goal, m"),
        ("near", f"exp(-(way / {NEAR_M} m)^2)"),
        ("effort", "minus `effort_cost` x mean squared action"),
    )
    success_metric = "reached"
    shown = tuple(product(*zip(*GOALS, strict=True)))

    def __init__(self, cfg: ArmReachCfg) -> None:
        super().__init__(cfg)
        self.goal_radius_m = cfg.goal_radius_m
        self.model = Model.from_xml(mjcf(), substeps=2, home="home")
        self._tip = self.model.sensor("tip")

    def fields(self, num_envs: int, generator: torch.Generator) -> Fields:
        """Give the hand of every world its own payload, as a larger mass of the same shape."""
        if not self.cfg.payload_kg:
            return {}
        mj, hand = self.model.mj, self.model.body("link_7")
        payload = (
            self.cfg.payload_kg * torch.rand(num_envs, 1, generator=generator).double().numpy()
        )
        factor = 1.0 + payload / mj.body_mass[hand]  # [N, 1]
        mass, inertia = (self.model.repeated(f"body_{x}", num_envs) for x in ("mass", "inertia"))
        mass[:, hand] *= factor
        inertia[:, hand] *= factor[..., None]
        return {"body_mass": mass, "body_inertia": inertia}

    def start(self, sim: Simulator, generator: torch.Generator) -> Start:
        """Draw postures around home, at rest, and goals in their box."""
        home = super().start(sim, generator)
        size = (sim.num_envs, len(JOINTS) + 3)
        u = torch.rand(size, generator=generator, device=sim.device)
        mocap = home.mocap.clone()
        # Numbers of the host, axis by axis: a tensor of them would be sent to the device.
        for axis, (low, high) in enumerate(zip(*GOALS, strict=True)):
            mocap[:, 0, axis] = low + (high - low) * u[:, len(JOINTS) + axis]
        posture = home.qpos + START_RAD * (2.0 * u[:, : len(JOINTS)] - 1.0)
        return Start(posture, home.qvel, mocap)

    def control(self, sim: Simulator, action: Tensor) -> Tensor:
        """Put the drives' targets ahead of the joints."""
        return sim.qpos + REACH_RAD * action

    def observe(self, sim: Simulator) -> Tensor:
        """Return joint positions and velocities, tip, goal, and the way between them."""
        tip, goal = sim.sensors[:, self._tip], sim.mocap[:, 0, :3]
        return torch.cat((sim.qpos / math.pi, 0.5 * sim.qvel, tip, goal, goal - tip), dim=1)

    def terms(self, sim: Simulator, action: Tensor) -> Tensor:
        """Return the terms [3, N]."""
        way = self._way(sim)
        effort = self.cfg.effort_cost * action.square().mean(1)
        return torch.stack((-way, torch.exp(-((way / NEAR_M) ** 2)), -effort))

    def succeeded(self, sim: Simulator) -> Tensor:
        """Return where the tip is at the goal."""
        return self._way(sim) < self.cfg.goal_radius_m

    def _way(self, sim: Simulator) -> Tensor:
        """Return the distance [N] from tip to goal, m."""
        return (sim.mocap[:, 0, :3] - sim.sensors[:, self._tip]).norm(dim=1)
