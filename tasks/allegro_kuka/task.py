"""The Allegro-Kuka environment: one control step, and the resets inside it."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any, Callable, Dict, Optional, Tuple

import torch
from torch import Tensor

from epo.envs import EnvSpec, Step
from tasks.allegro_kuka import curriculum, episode, forces, objects, observations, rewards
from tasks.allegro_kuka.actions import joint_targets
from tasks.allegro_kuka.config import AllegroKukaCfg
from tasks.allegro_kuka.draws import Draws
from tasks.allegro_kuka.episode import Episode, put
from tasks.allegro_kuka.geometry import (
    Geometry,
    Readout,
    Rows,
    keypoint_points,
    measure,
    read,
    rotate,
    site_points,
)
from tasks.allegro_kuka.holding import is_held
from tasks.allegro_kuka.randomization import Disturbances
from tasks.allegro_kuka.simulator import Simulator
from tasks.clock import clock_spread

FLOOR_M = 0.1
"""An object centre below this height ends the episode, m."""
LEVEL = "success_tolerance"
"""What the curriculum tightens, m."""
METRICS = (
    *("fitness", "successes", "lifted", "held", "closest_keypoint_distance"),
    LEVEL,  # where every agent has a curriculum of its own
)
"""Names of `Step.metrics`."""
HEADLINE = ("successes", "held", "lifted", LEVEL)
"""What tells best how these tasks go, see `EnvSpec.headline`."""
NEVER = 2**62
"""Control steps that no evaluation reaches."""
_KEPT = ("targets", "force", "force_probability", "goal_pose")
"""Tensors that outlive a step, besides bookkeeping and curriculum."""


class AllegroKuka:
    """Regrasping and reorientation with one or two arms, as a `VecEnv` over a `Simulator`.

    The step follows the original's order with one change: what the original does at the start
    of the next step (new goal, object put back, full reset) is done at the end of this one,
    after everything that it returns was computed. An environment that succeeds without ending
    still returns the observation of its old goal, as in the original; the action chosen on it
    is the first under the new goal.

    Attributes:
        episode: bookkeeping of the present episodes.
        curriculum: state of the tolerance curriculum, or of each agent's after `separate`.
        targets: [N, 23 A] joint targets, rad.
        force: [N, 3] random force on the object, object frame, N.
        goal_pose: [N, 7] m, wxyz.
        terms: [R, N] reward terms of the last step in the order of `reward_names`.
        reward_parameters: `lift_threshold_m` [N], height that counts as lifted, m.

    Source: IsaacGymEnvs `allegro_kuka_base.py`, pre_physics_step and post_physics_step.
    Deviates: full resets happen inside the step, so no action is lost on an ended episode.
    """

    reward_names = rewards.TERMS
    level_name = LEVEL

    def __init__(
        self,
        cfg: AllegroKukaCfg,
        sim: Simulator,
        object_scale: Tensor,
        draws: Draws,
        engine: str,
        half_size: Optional[Tensor] = None,
        disturbances: Optional[Disturbances] = None,
    ) -> None:
        """Set up over a simulator whose objects have `object_scale` [N, 3], 1 = 5 cm.

        Args:
            cfg: the task, already checked.
            sim: the physics; closed with the environment.
            object_scale: [N, 3] nominal size, which is observed; on the simulator's device.
            draws: source of all randomness but that of `disturbances`.
            engine: name of the engine, for `spec`.
            half_size: [N, 3] true half edges, which are rewarded, m; None: the nominal ones.
            disturbances: noise and latency between policy and robot; None: there is none.
        """
        self.cfg, self.sim, self.draws, self.disturbances = cfg, sim, draws, disturbances
        self.device = sim.device
        self.object_scale = object_scale
        self.spec = _spec(cfg, sim, engine)
        self._points = site_points(cfg.num_arms, self.device)
        self._half_size = objects.half_size(object_scale) if half_size is None else half_size
        nominal = keypoint_points(cfg.subtask, objects.half_size(object_scale), cfg.keypoint_scale)
        self._keypoints = self._observed_keypoints = nominal
        if half_size is not None:
            self._keypoints = keypoint_points(cfg.subtask, half_size, cfg.keypoint_scale)
        mass = sim.object_mass if cfg.own_mass_force else sim.object_mass[:1].expand(sim.num_envs)
        self._force_std = mass * cfg.force.scale
        self._force_decay = forces.decay_per_step(
            cfg.force.decay, cfg.force.decay_interval_s, sim.control_dt_s
        )
        is_delta = cfg.arm_action == "delta"
        self._arm_step_rad = cfg.arm_speed * sim.control_dt_s if is_delta else None
        self._all = torch.ones(sim.num_envs, dtype=torch.bool, device=self.device)
        self.targets = sim.joint_pos.clone()
        self.force = torch.zeros(sim.num_envs, 3, device=self.device)
        self.force_probability = torch.zeros(sim.num_envs, device=self.device)
        self.goal_pose = sim.goal_pose.clone()
        self.terms = torch.zeros(len(rewards.TERMS), sim.num_envs, device=self.device)
        self.episode = episode.begin(sim.num_envs, 4 * cfg.num_arms, self.device)
        self.curriculum = curriculum.begin(cfg.curriculum, self.device)
        self._across: Optional[Callable[[Tensor], Tensor]] = None
        threshold = torch.full((sim.num_envs,), cfg.reward.lift_threshold_m, device=self.device)
        self.reward_parameters = {"lift_threshold_m": threshold}
        self._late: Optional[Tensor] = None

    @property
    def time_limit(self) -> int:
        """H, control steps of an episode without a success, which sets the clock back."""
        return self.cfg.episode_length - 1

    def start_late(self, elapsed: Tensor) -> None:
        """Let the next `reset` begin episodes whose clocks show `elapsed` [N] int64."""
        self._late = elapsed.to(self.device, copy=True)

    def reset(self) -> Tensor:
        """Begin a new episode everywhere and return the observation [N, O]."""
        self.restart(slice(None), self._all, self._all)
        if self._late is not None:
            self.episode, self._late = episode.late(self.episode, self._late), None
        return self._first_observation(slice(None))

    def step(self, action: Tensor) -> Step:
        """Apply `action` [N, 23 A] for one control step."""
        self._act(action)
        self.sim.step()
        before = self._count_step()
        state = read(self.sim, slice(None))
        geometry = measure(state, self.goal_pose, self._points, self._keypoints)
        before = episode.with_minima(before, geometry)
        score = rewards.score(
            self.cfg,
            before,
            geometry,
            self.sim.object_pose[:, 2],
            self.sim.joint_vel,
            self._tolerance(),
            ~self.sim.bad,
            self.reward_parameters["lift_threshold_m"],
            is_held(state, geometry, self._half_size),
        )
        self.episode, self.terms = score.episode, score.terms
        reward = score.terms.sum(0)
        final_observation = self._observe(slice(None), state, geometry, before, reward)
        terminated, truncated = self._ends(geometry.fingertip_distance)
        metrics, scalars = self._metrics(), self._scalars()
        is_partial = self.episode.is_partial
        observation = self._begin(terminated | truncated, score.success, final_observation)
        return Step(
            observation,
            reward,
            terminated,
            truncated,
            final_observation,
            metrics,
            scalars,
            reward_terms=self.terms,
            is_partial=is_partial,
        )

    @property
    def target_level(self) -> float:
        """Success tolerance that the curriculum ends at, m."""
        return self.cfg.curriculum.target_tolerance_m

    def hold_level(self, level: Optional[float]) -> float:
        """Stop the curriculum at a success tolerance, m, and return it; None: the present one."""
        fixed = replace(self.cfg.curriculum, interval_steps=NEVER)
        self.cfg = replace(self.cfg, curriculum=fixed)
        if level is not None:
            tolerance = torch.full_like(self.curriculum.tolerance, level)
            self.curriculum = self.curriculum._replace(tolerance=tolerance)
        return float(self.curriculum.tolerance)

    def level_of(self, state: Dict[str, Any], agent: int) -> float:
        """Return the success tolerance of an agent in what `state_dict` gave, m."""
        tolerance = state["curriculum"]["tolerance"]  # one for all agents, or one for each
        return float(tolerance.flatten()[agent if tolerance.numel() > 1 else 0])

    def separate(self, num_agents: int) -> None:
        """Create a curriculum for every agent's block; call it before `reset`."""
        self.curriculum = curriculum.begin(self.cfg.curriculum, self.device, num_agents)

    def restart_agent(self, agent: int) -> Tensor:
        """Begin a new episode in all environments of an agent; return its observations [E, O].

        What its former policy reached there no longer counts for the curriculum.
        """
        share = self.sim.num_envs // len(self.curriculum.tolerance)
        rows = slice(agent * share, (agent + 1) * share)
        chosen = torch.zeros_like(self._all)
        chosen[rows] = True
        self.restart(rows, chosen, chosen)
        before = self.episode.previous_successes.masked_fill(chosen, 0.0)
        self.episode = replace(self.episode, previous_successes=before)
        return self._first_observation(rows)

    def agent_state(self, agent: int) -> Dict[str, Any]:
        """Return the curriculum of an agent."""
        return curriculum.at(self.curriculum, agent)

    def load_agent_state(self, agent: int, state: Dict[str, Any]) -> None:
        """Let an agent's curriculum continue where `agent_state` was taken."""
        self.curriculum = curriculum.put(self.curriculum, agent, state)

    def pool(self, across: Callable[[Tensor], Tensor]) -> None:
        """Let the curriculum follow the successes on all ranks."""
        self._across = across

    def state_dict(self) -> Dict[str, Any]:
        """Everything that changes: bookkeeping, curriculum, random numbers and physics."""
        return {
            "episode": asdict(self.episode),
            "curriculum": {name: x.clone() for name, x in self.curriculum._asdict().items()},
            **{name: getattr(self, name).clone() for name in _KEPT},
            "draws": self.draws.state_dict(),
            "disturbances": {} if self.disturbances is None else self.disturbances.state_dict(),
            "sim": self.sim.state_dict(),
        }

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        self.sim.load_state_dict(state["sim"])
        self.draws.load_state_dict(state["draws"])
        if self.disturbances is not None:
            self.disturbances.load_state_dict(state["disturbances"])
        self.episode = Episode(**self._to_device(state["episode"]))
        self.curriculum = curriculum.Curriculum(**self._to_device(state["curriculum"]))
        for name, value in self._to_device({name: state[name] for name in _KEPT}).items():
            setattr(self, name, value)
        self.sim.goal_pose.copy_(self.goal_pose)

    def close(self) -> None:
        """Free the simulator."""
        self.sim.close()

    def _act(self, action: Tensor) -> None:
        """Write joint targets and object force of this control step to the simulator."""
        sim = self.sim
        if self.disturbances is not None:
            action = self.disturbances.act(action)
        self.targets = joint_targets(
            action, self.targets, sim.joint_lower, sim.joint_upper, self._arm_step_rad
        )
        sim.ctrl.copy_(self.targets)
        hit, draw = self.draws.force(self.force_probability)
        self.force = forces.update(self.force, hit, draw, self._force_std, self._force_decay)
        sim.object_force[:, :3] = rotate(sim.object_pose[:, 3:].T, self.force.T).T

    def _count_step(self) -> Episode:
        """Count the step; the curriculum sees the episodes that ended before it."""
        successes = self.episode.previous_successes
        successes = curriculum.per_block(successes, self.curriculum.tolerance.numel())
        if self._across is not None:
            successes = self._across(successes)
        self.curriculum = curriculum.advance(self.curriculum, successes, self.cfg.curriculum)
        books = self.episode
        return replace(books, progress=books.progress + 1, steps=books.steps + 1)

    def _ends(self, fingertip_distance: Tensor) -> Tuple[Tensor, Tensor]:
        """Return which episodes are terminated [N] and which truncated [N]."""
        # The farthest fingertip of the hand that is nearest: [A, 4, N] -> [N].
        hand_distance = fingertip_distance.unflatten(0, (-1, 4)).amax(1).amin(0)
        terminated = (
            (self.sim.object_pose[:, 2] < FLOOR_M)
            | (self.episode.successes >= self.cfg.max_successes)
            | (hand_distance > self.cfg.max_hand_distance_m)
            | self.sim.bad
        )
        return terminated, (self.episode.progress >= self.time_limit) & ~terminated

    def _metrics(self) -> Dict[str, Tensor]:
        """What the episodes reached so far, per environment."""
        successes, tolerance = self.episode.successes, self._tolerance()
        metrics = {
            "fitness": curriculum.objective(successes, tolerance, self.cfg.curriculum),
            "successes": successes,
            "lifted": self.episode.was_lifted.float(),
            "held": self.episode.held_steps / self.episode.steps.clamp(min=1),
            "closest_keypoint_distance": self.episode.closest_keypoint,
        }
        if self.curriculum.tolerance.numel() > 1:
            metrics[LEVEL] = tolerance.float()
        return metrics

    def _tolerance(self) -> Tensor:
        """Return the present tolerance of every environment [N], float64, m."""
        return curriculum.per_env(self.curriculum.tolerance, self.sim.num_envs)

    def _scalars(self) -> Dict[str, Tensor]:
        """State of the task as a whole, and the mean reward terms of the step."""
        means = self.terms.mean(1).unbind()
        return {
            LEVEL: self.curriculum.tolerance.mean().float(),
            "bad_worlds": self.sim.bad.sum().float(),
            "clock_spread": clock_spread(self.episode.progress, self.time_limit),
            **{f"reward/{name}": mean for name, mean in zip(rewards.TERMS, means, strict=True)},
        }

    def _begin(self, ended: Tensor, success: Tensor, observation: Tensor) -> Tensor:
        """Begin new episodes and goals; give the observation [N, O] to act on next."""
        rows: Rows = slice(None)
        if self.device.type == "cpu":
            # Elsewhere asking which rows change would wait for the device: there it is all.
            rows = (ended | success).nonzero()[:, 0]
            if len(rows) == 0:
                return observation
        self.restart(rows, ended, success)
        observation = observation.clone()
        put(observation, rows, ended, self._first_observation(rows))
        return observation

    def restart(self, rows: Rows, ended: Tensor, success: Tensor) -> None:
        """Begin a new episode where `ended` [N], and a new goal there and where `success` [N].

        Regrasping and throwing also put the object back for a new goal, unless `replace_object`
        is off; the robot stays as it is. `rows` are the only environments to look at.
        """
        new_goal = ended | success
        stays = self.cfg.subtask == "reorientation" or not self.cfg.replace_object
        placed = ended if stays else new_goal
        start, sim = self.draws.start(rows), self.sim
        joint_pos, joint_vel = sim.joint_pos.clone(), sim.joint_vel.clone()
        object_pose = sim.object_pose.clone()
        put(self.goal_pose, rows, new_goal, self.draws.goal_pose(rows))
        put(object_pose, rows, placed, self.draws.object_pose(rows))
        put(joint_pos, rows, ended, start.joint_pos)
        put(joint_vel, rows, ended, start.joint_vel)
        put(self.targets, rows, ended, start.joint_pos)
        put(self.force_probability, rows, ended, start.force_probability)
        self.force = self.force.masked_fill(ended[:, None], 0.0)
        self.episode = episode.restart(self.episode, ended, new_goal, placed)
        if self.disturbances is not None:
            self.disturbances.restart(rows, ended)
        sim.goal_pose.copy_(self.goal_pose)
        sim.set_state(placed, joint_pos, joint_vel, object_pose)

    def _first_observation(self, rows: Rows) -> Tensor:
        """Observe `rows` [M, O] with no reward; minima unset show their present value."""
        state = read(self.sim, rows)
        geometry = measure(state, self.goal_pose[rows], self._points, self._keypoints[..., rows])
        shown = episode.with_minima(episode.at(self.episode, rows), geometry)
        reward = torch.zeros_like(shown.successes)
        return self._observe(rows, state, geometry, shown, reward)

    def _observe(
        self, rows: Rows, state: Readout, geometry: Geometry, books: Episode, reward: Tensor
    ) -> Tensor:
        """Return the observation [M, O] of `rows`: of boxes of nominal size, with its noise."""
        if self._observed_keypoints is not self._keypoints:
            keypoints = self._observed_keypoints[..., rows]
            geometry = measure(state, self.goal_pose[rows], self._points, keypoints)
        wall_pose = self.sim.wall_pose[rows] if self.cfg.observe_wall else None
        observation = observations.observe(
            state, geometry, books, self.object_scale[rows], reward, wall_pose
        )
        if self.disturbances is None:
            return observation
        return self.disturbances.observe(observation, rows)

    def _to_device(self, tensors: Dict[str, Tensor]) -> Dict[str, Tensor]:
        return {name: value.to(self.device, copy=True) for name, value in tensors.items()}


def _spec(cfg: AllegroKukaCfg, sim: Simulator, engine: str) -> EnvSpec:
    return EnvSpec(
        name=cfg.name,
        engine=engine,
        num_envs=sim.num_envs,
        observation_dim=observations.dimension(cfg.subtask, cfg.num_arms, cfg.observe_wall),
        action_dim=len(sim.joint_lower),
        control_dt_s=sim.control_dt_s,
        versions=sim.versions,
        metrics=METRICS,
        objective="successes",
        success="successes",
        headline=HEADLINE,
    )
