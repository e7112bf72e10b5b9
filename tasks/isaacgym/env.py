"""isaacgymenvs' Allegro-Kuka tasks behind our contract of environments."""

from __future__ import annotations

import importlib
import random
from pathlib import Path
from typing import Any, Dict

import numpy as np
import torch
from torch import Tensor

from epo.envs import EnvSpec, Step, VecEnv
from tasks.allegro_kuka import observations
from tasks.allegro_kuka import task as ours
from tasks.allegro_kuka.config import AllegroKukaCfg
from tasks.allegro_kuka.task import FLOOR_M, LEVEL
from tasks.engines.config import IsaacGymCfg
from tasks.errors import refuse
from tasks.isaacgym import checks, preload, walls
from tasks.isaacgym.compose import compose_cfg
from tasks.isaacgym.readout import IsaacGymReadout
from tasks.isaacgym.state import capture, leave_no_trace, restore

METRICS = tuple(name for name in ours.METRICS if name != "held")
"""Names of `Step.metrics`: those of our own task, but whether the object is held."""
HEADLINE = tuple(name for name in ours.HEADLINE if name != "held")
"""As in our own task."""
TERMS = {
    "fingertip_delta_rew": "fingertip",
    "lifting_rew": "lifting",
    "lift_bonus_rew": "lift_bonus",
    "keypoint_rew": "keypoint",
    "bonus_rew": "success",
    "kuka_actions_penalty": "arm_penalty",
    "allegro_actions_penalty": "hand_penalty",
}
"""Reward terms: their name -> ours, as in `allegro_kuka/rewards.py`."""


class _Process:
    """What there can be once per process."""

    has_simulator = False


def make_isaacgym(
    cfg: AllegroKukaCfg,
    engine_cfg: IsaacGymCfg,
    num_envs: int,
    device: torch.device,
    seed: int,
) -> VecEnv:
    """Build the environments of a run on Isaac Gym; one per process.

    Args:
        cfg: the task, already checked.
        engine_cfg: the engine.
        num_envs: N.
        device: of physics and tensors alike.
        seed: of Python's, NumPy's and torch's own generators, from which these tasks draw.

    Raises:
        ValueError: if Isaac Gym or a setting cannot work, with the reason and the way out.
    """
    preload.preload()
    preload.check_device(str(device))
    if _Process.has_simulator:
        way_out = "it has one simulator per process, which exists already; start another process"
        refuse("engine", "isaacgym", way_out)
    preload.import_isaacgymenvs()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    task = _make_task(cfg, engine_cfg, num_envs, _with_index(device), seed)
    return IsaacGymEnv(task, cfg, engine_cfg)


def _with_index(device: torch.device) -> str:
    """Name the device as isaacgymenvs wants it: `cpu`, or `cuda:<index>`."""
    return "cpu" if device.type == "cpu" else f"cuda:{device.index or 0}"


def _make_task(
    cfg: AllegroKukaCfg, engine_cfg: IsaacGymCfg, num_envs: int, device: str, seed: int
) -> Any:
    """Create the `VecTask` through isaacgymenvs' own front door."""
    isaacgymenvs = importlib.import_module("isaacgymenvs")
    folder = Path(str(isaacgymenvs.__file__)).parent / "cfg"
    task_cfg = compose_cfg(folder, cfg, engine_cfg, num_envs, device, seed)
    checks.check_composed(task_cfg, cfg, engine_cfg, num_envs)
    if cfg.wall != "none":
        task_cfg.task.name = walls.register(cfg.wall)
    _Process.has_simulator = True
    with checks.one_line("make", engine_cfg):
        return isaacgymenvs.make(
            seed=seed,
            task=task_cfg.task.name,
            num_envs=num_envs,
            sim_device=task_cfg.sim_device,
            rl_device=task_cfg.rl_device,
            headless=True,
            force_render=False,
            cfg=task_cfg,
        )


class IsaacGymEnv:
    """A `VecTask` of isaacgymenvs as a `VecEnv`.

    Isaac Gym's tasks reset lazily: the observation of a step that ends an episode is the last one
    of that episode, and the reset happens at the start of the next step, under an action that was
    chosen for the episode before. Here ended environments are reset at once, through the task's
    own `reset_done`, and their first observation is computed by `IsaacGymReadout`. The simulator
    is told the same in the same gap between two simulations, so physics does not notice; no
    action is lost and no transition spans two episodes.

    Args:
        env: the `VecTask`, fresh.
        cfg: the task.
        engine_cfg: the engine.

    Raises:
        ValueError: if the task is not the one that `cfg` describes.
    """

    def __init__(self, env: Any, cfg: AllegroKukaCfg, engine_cfg: IsaacGymCfg) -> None:
        self.env, self.cfg = env, cfg
        self.device = torch.device(env.rl_device)
        checks.check_built(env, cfg, engine_cfg)
        self.spec = EnvSpec(
            name=cfg.name,
            engine="isaacgym",
            num_envs=env.num_envs,
            observation_dim=observations.dimension(cfg.subtask, cfg.num_arms),
            action_dim=23 * cfg.num_arms,
            control_dt_s=env.dt * env.control_freq_inv,
            versions=preload.versions(),
            metrics=METRICS,
            objective="successes",
            success="successes",
            headline=HEADLINE,
        )
        self._was_lifted = torch.zeros(env.num_envs, dtype=torch.bool, device=self.device)
        self._readout = self._probe(engine_cfg)

    def reset(self) -> Tensor:
        """Begin a new episode everywhere and return the observation [N, O]."""
        self.env.reset_buf.fill_(1)
        self.env.reset_done()
        self._was_lifted.zero_()
        return self._readout.observe(slice(None))

    def step(self, action: Tensor) -> Step:
        """Apply `action` [N, 23 A] for one control step."""
        env = self.env
        result, reward, done, extras = env.step(action.clamp(-1.0, 1.0).float())
        final_observation = result["obs"].clone()
        done = done.bool()
        truncated = extras["time_outs"].bool() & done & ~self._ended_for_good()
        self._was_lifted |= env.lifted_object
        # Copies: the reset below writes into these very tensors.
        metrics = {
            "fitness": extras["true_objective"].clone(),
            "successes": env.successes.clone(),
            "lifted": self._was_lifted.float(),
            "closest_keypoint_distance": env.closest_keypoint_max_dist.clone(),
        }
        return Step(
            observation=self._begin(final_observation),
            reward=reward,
            terminated=done & ~truncated,
            truncated=truncated,
            final_observation=final_observation,
            metrics=metrics,
            scalars=self._scalars(extras),
        )

    def state_dict(self) -> Dict[str, Any]:
        """Poses, velocities, bookkeeping, curriculum and random numbers."""
        return {"task": capture(self.env), "was_lifted": self._was_lifted.clone()}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue where `state_dict` was taken, up to PhysX's memory of contacts."""
        self.reset()
        restore(self.env, state["task"])
        self._was_lifted.copy_(state["was_lifted"])

    def close(self) -> None:
        """Do nothing: isaacgymenvs keeps its simulator until the process ends."""

    def _probe(self, engine_cfg: IsaacGymCfg) -> IsaacGymReadout:
        """Step once, since only then do the tensors show the scene, and compare what is seen."""
        env = self.env
        with checks.one_line("the first step", engine_cfg), leave_no_trace(env):
            env.reset()
            first, reward, _, _ = env.step(env.zero_actions())
        readout = IsaacGymReadout(env, self.cfg)
        readout.align(first["obs"])
        differing = readout.differing_block(first["obs"], reward)
        if differing is not None and engine_cfg.verify:
            reason = f"isaacgymenvs observes another robot or task than ours: {differing} differs"
            urdf = "use its own kuka_allegro_touch_sensor.urdf, or engine.verify=false to continue"
            checks.refuse_engine(engine_cfg, reason, urdf)
        return readout

    def _ended_for_good(self) -> Tensor:
        """Return where the object fell or the hand left it [N]: at the time limit that counts."""
        env = self.env
        height = env.root_state_tensor[env.object_indices, 2]
        farthest = env.curr_fingertip_distances.flatten(1).amax(1)
        return (height < FLOOR_M) | (farthest > self.cfg.max_hand_distance_m)

    def _begin(self, final_observation: Tensor) -> Tensor:
        """Reset what ended; give the observation [N, O] to act on next."""
        _, ended = self.env.reset_done()
        if len(ended) == 0:
            return final_observation
        self._was_lifted[ended] = False
        observation = final_observation.clone()
        observation[ended] = self._readout.observe(ended)
        return observation

    def _scalars(self, extras: Dict[str, Any]) -> Dict[str, Tensor]:
        """State of the task as a whole, and the mean reward terms of the step."""
        tolerance = torch.full((), float(self.env.success_tolerance), device=self.device)
        terms: Dict[str, Tensor] = extras.get("episode_cumulative", {})
        means = {f"reward/{TERMS[name]}": x.mean() for name, x in terms.items() if name in TERMS}
        return {LEVEL: tolerance, **means}
