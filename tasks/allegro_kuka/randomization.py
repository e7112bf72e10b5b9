"""Domain randomisation: what differs between worlds beyond the task itself.

What belongs to the physics (`Worlds`) is drawn once per run. Noise and latency
(`Disturbances`) stand between policy and robot and are drawn as the run continues.
"""

from __future__ import annotations

import zlib
from typing import Any, Dict, Optional

import torch
from torch import Tensor

from tasks.allegro_kuka import objects, observations
from tasks.allegro_kuka.config import AllegroKukaCfg, randomized
from tasks.allegro_kuka.episode import put
from tasks.allegro_kuka.geometry import Rows
from tasks.allegro_kuka.robot import JOINT_NAMES
from tasks.allegro_kuka.worlds import Worlds

_STATE = ("action_offset", "observation_offset", "delay", "age", "past")
"""Tensors of `Disturbances` that change."""


def draw_worlds(cfg: AllegroKukaCfg, half_size: Tensor, seed: int, device: Any = "cpu") -> Worlds:
    """Draw what differs between the worlds of a run.

    The mass is the nominal density times the volume of the randomised box, times a factor of
    its own. What is not randomised keeps its neutral value. Every quantity has random numbers
    of its own, drawn on the CPU: the worlds are the same on every engine and device, and
    randomising one quantity does not change another.

    Args:
        cfg: the task, already checked.
        half_size: [N, 3] nominal half edges of the boxes, m; on the CPU.
        seed: of the draws.
        device: where the worlds go.
    """
    names, num_envs, num_joints = randomized(cfg), len(half_size), len(JOINT_NAMES) * cfg.num_arms

    def draw(name: str, width: int, is_log: bool = False) -> Optional[Tensor]:
        if name not in names:
            return None
        u = torch.rand(num_envs, width, generator=_stream(seed, name))
        low, high = getattr(cfg.randomization, name)
        value = low * (high / low) ** u if is_log else low + (high - low) * u
        return value.clamp(low, high)

    size, mass, friction = (draw(f"object_{name}", 1) for name in ("size", "mass", "friction"))
    true_size = half_size if size is None else half_size * size
    true_mass = objects.mass(true_size, cfg.objects.density)
    worlds = Worlds(
        true_size,
        true_mass if mass is None else true_mass * mass[:, 0],
        None if friction is None else friction[:, 0],
        draw("stiffness", num_joints, is_log=True),
        draw("damping", num_joints, is_log=True),
    )
    drawn = {name: value for name, value in worlds._asdict().items() if value is not None}
    return worlds._replace(**{name: value.to(device) for name, value in drawn.items()})


class Disturbances:
    """Noise and latency between policy and robot, as far as the task randomises them.

    An action is clamped to [-1, 1], waits for its latency and then gets its noise. Until a new
    episode is as old as its latency, its first action is held. Observation noise goes to the
    measured entries (`observations.measured`); rewards and bookkeeping stay exact.

    Attributes:
        action_offset: [N, 23 A] noise of the present episodes' actions.
        observation_offset: [N, O] noise of the present episodes' observations, where measured.
        delay: [N] int64 latency of the present episodes, control steps.
        age: [N] int64 actions so far in the present episodes.
        past: [D + 1, N, 23 A] last actions, the newest first; D is the greatest latency.
    """

    def __init__(
        self, cfg: AllegroKukaCfg, num_envs: int, device: torch.device, generator: torch.Generator
    ) -> None:
        """Set up for N environments; `restart` begins their first episodes.

        Args:
            cfg: the task, already checked.
            num_envs: N.
            device: where all tensors live.
            generator: source of all numbers, on that device.
        """
        self.ranges, self.names, self.generator = cfg.randomization, randomized(cfg), generator
        self.measured = observations.measured(cfg, device)
        self.action_offset = torch.zeros(num_envs, len(JOINT_NAMES) * cfg.num_arms, device=device)
        self.observation_offset = torch.zeros(num_envs, len(self.measured), device=device)
        self.delay = torch.zeros(num_envs, dtype=torch.int64, device=device)
        self.age = torch.zeros_like(self.delay)
        depth = self.ranges.action_latency[1] + 1 if "action_latency" in self.names else 0
        self.past = self.action_offset.repeat(depth, 1, 1)
        self._env = torch.arange(num_envs, device=device)

    def act(self, action: Tensor) -> Tensor:
        """Return what the robot is commanded [N, 23 A] when the policy says `action` [N, 23 A]."""
        action = action.clamp(-1.0, 1.0)
        if "action_latency" in self.names:
            self.past = torch.cat((action[None], self.past[:-1]))
            # An episode reaches back to its own first action at most.
            action = self.past[torch.minimum(self.delay, self.age), self._env]
            self.age = self.age + 1
        if "action_noise" in self.names:
            noise = self.ranges.action_noise[0] * self._normal(action)
            action = action + self.action_offset + noise
        return action

    def observe(self, observation: Tensor, rows: Rows) -> Tensor:
        """Return the `observation` [M, O] of the environments `rows` with noise, within +-10."""
        if "observation_noise" not in self.names:
            return observation
        noise = self.ranges.observation_noise[0] * self._normal(observation) * self.measured
        noisy = observation + self.observation_offset[rows] + noise
        return noisy.clamp_(-observations.LIMIT, observations.LIMIT)

    def restart(self, rows: Rows, ended: Tensor) -> None:
        """Draw anew what lasts an episode, among `rows` and where `ended` [N]."""
        if "action_latency" in self.names:
            low, high = self.ranges.action_latency
            size, device = self.delay[rows].shape, self.delay.device
            delay = torch.randint(low, high + 1, size, generator=self.generator, device=device)
            put(self.delay, rows, ended, delay)
            self.age = self.age.masked_fill(ended, 0)
        if "action_noise" in self.names:
            offset = self.ranges.action_noise[1] * self._normal(self.action_offset[rows])
            put(self.action_offset, rows, ended, offset)
        if "observation_noise" in self.names:
            normal = self._normal(self.observation_offset[rows]) * self.measured
            put(self.observation_offset, rows, ended, self.ranges.observation_noise[1] * normal)

    def state_dict(self) -> Dict[str, Any]:
        """Everything that changes."""
        tensors = {name: getattr(self, name).clone() for name in _STATE}
        return {**tensors, "generator": self.generator.get_state()}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken.

        Raises:
            ValueError: if it was taken with other noise or latency.
        """
        shapes = {name: value.shape for name, value in state.items() if name in _STATE}
        if shapes != {name: getattr(self, name).shape for name in _STATE}:
            raise ValueError(
                "saved noise and latency are not those of this run: resume with the same "
                "task.randomize and task.randomization, or start over with checkpoint=<file>"
            )
        for name in _STATE:
            setattr(self, name, state[name].to(self.measured.device, copy=True))
        self.generator.set_state(state["generator"].cpu())

    def _normal(self, like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=self.generator, device=like.device)


def make_disturbances(
    cfg: AllegroKukaCfg, num_envs: int, device: torch.device, seed: int
) -> Optional[Disturbances]:
    """Return noise and latency of a task with random numbers of their own; None: it has none."""
    if not randomized(cfg) & {"action_latency", "action_noise", "observation_noise"}:
        return None
    return Disturbances(cfg, num_envs, device, _stream(seed, "disturbances", device))


def _stream(seed: int, name: str, device: Any = "cpu") -> torch.Generator:
    """Return a generator on `device` that shares its numbers with no other `name`."""
    derived = (seed * 1_000_003 + zlib.crc32(name.encode())) % (2**63 - 1)
    return torch.Generator(device).manual_seed(derived)
