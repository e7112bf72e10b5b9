"""A task on MuJoCo from outside of the repository: a cart swings a pole up.

    python mujoco_task.py max_frames=500_000

Or by the command, from the same folder: `epo train plugins=[mujoco_task] task=SwingUp`.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import torch

import epo
from tasks import registry
from tasks.engines.model import Model
from tasks.mujoco.config import MujocoTaskCfg
from tasks.mujoco.family import MujocoFamily
from tasks.mujoco.task import MujocoTask

FILES = Path(__file__).resolve().parent / "mujoco_task_cfg"


@dataclass
class SwingUpCfg(MujocoTaskCfg):
    """Settings of the task."""

    kind: str = "swing_up"
    name: str = "SwingUp"
    episode_length: int = 250
    pole_kg: float = 0.1
    spread: float = 0.0


class SwingUp(MujocoTask):
    """What MuJoCo does not know: starts, observation, reward, and what differs between worlds."""

    observation = (("cart", 2, "m, m/s"), ("pole", 3, "cos, sin from upright; 0.1 x rad/s"))
    reward = (("height", "cosine of the angle from upright"),)
    model = Model.from_xml(FILES / "swing_up.xml", substeps=2)

    def fields(self, num_envs, generator):
        """Give every world its own pole."""
        mass = self.model.repeated("body_mass", num_envs)
        u = torch.rand(num_envs, 1, generator=generator).numpy()
        mass[:, self.model.body("pole")] = self.cfg.pole_kg * (1.0 + self.cfg.spread * u)
        return {"body_mass": mass}

    def start(self, sim, generator):
        """Let the poles hang."""
        start, shape = super().start(sim, generator), (sim.num_envs,)
        noise = torch.rand(shape, generator=generator, device=sim.device)
        start.qpos[:, 1] = torch.pi + 0.2 * noise
        return start

    def observe(self, sim):
        """Return the parts of `observation`, [N, 5]."""
        (cart, angle), (slide, turn) = sim.qpos.split(1, dim=1), sim.qvel.split(1, dim=1)
        return torch.cat((cart, slide, angle.cos(), angle.sin(), 0.1 * turn), dim=1)

    def terms(self, sim, action):
        """Return the terms of `reward`, [1, N]."""
        return sim.qpos[:, 1:].cos().T


SCHEMAS = {"SwingUp": SwingUpCfg, "base_swing_up": SwingUpCfg}  # the latter for yaml files
FAMILY = MujocoFamily(SCHEMAS, {SwingUpCfg: "mujoco_task:SwingUp"})
registry.register("swing_up", "mujoco_task:FAMILY")

if __name__ == "__main__":
    words = ["plugins=[mujoco_task]", f"search_path=[{FILES}]", "task=SwingUpHeavy", "algo=ppo"]
    run = epo.train(epo.compose(*words, *sys.argv[1:]))
    print(epo.evaluate(run, episodes=8, settings=words[:1])[0]["return"])
