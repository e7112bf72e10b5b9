"""A task of isaacgymenvs as its documentation and code describe it, without Isaac Gym.

It keeps the contract, not the physics: lazy resets, zeros from `reset()`, reused tensors, tensors
that reach the simulator only through its own calls, bodies that move only when it simulates. The
joints follow their targets, the object flies at constant speed; successes are scripted.
"""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Dict, List

import torch
from torch import Tensor

from tasks.allegro_kuka import curriculum, episode, goals, observations, resets
from tasks.allegro_kuka.config import AllegroKukaCfg, CurriculumCfg
from tasks.allegro_kuka.geometry import keypoint_points, measure, random_quaternion, site_points
from tasks.allegro_kuka.objects import half_size
from tasks.allegro_kuka.robot import ARM, HAND
from tasks.isaacgym.readout import IsaacGymReadout, wxyz
from tests.tasks.isaacgym.gym_double import BASES, GymDouble


class TaskDouble:
    """An Allegro-Kuka `VecTask`.

    Attributes:
        script_success: [N] bool, goals that the next step reaches.
        is_fork: report `successes` per environment, as the forks do, instead of their mean.
        palm_sign: sign of the palm quaternions in the observation.
    """

    is_fork = False
    palm_sign = 1.0

    def __init__(
        self,
        cfg: Dict[str, Any],
        rl_device: str,
        sim_device: str,
        graphics_device_id: int,
        headless: bool,
        virtual_screen_capture: bool,
        force_render: bool,
    ) -> None:
        int(sim_device.split(":")[1])  # Plain `cpu` raises, as in the original.
        assert headless and not force_render
        self.cfg, self.rl_device, self.device = cfg, rl_device, "cpu"
        env = cfg["env"]
        self.num_envs, self.subtask = env["numEnvs"], env["subtask"]
        self.num_arms = env.get("numArms", 1)
        self.num_obs = observations.dimension(self.subtask, self.num_arms)
        self.num_actions = 23 * self.num_arms + 3 * env["privilegedActions"]
        self.clamp_abs_observations = env["clampAbsObservations"]
        self.success_steps, self.keypoint_scale = env["successSteps"], env["keypointScale"]
        if env["observationType"] != "full_state":
            raise Exception("Unknown type of observations!")
        self.max_episode_length = env["episodeLength"]
        self.max_successes = env["maxConsecutiveSuccesses"]
        self.curriculum_cfg = CurriculumCfg(
            env["successTolerance"],
            env["targetSuccessTolerance"],
            env["toleranceCurriculumIncrement"],
            env["toleranceCurriculumInterval"],
        )
        self.dt, self.control_freq_inv = cfg["sim"]["dt"], 1
        self.gym, self.sim = GymDouble(), object()
        self._allocate()
        self._create_envs()

    def _allocate(self) -> None:
        num, joints = self.num_envs, 23 * self.num_arms
        zeros = torch.zeros(num)
        lower, upper = zip(*(link.limit for link in ARM + HAND))
        self.arm_hand_dof_lower_limits = torch.tensor(lower * self.num_arms)
        self.arm_hand_dof_upper_limits = torch.tensor(upper * self.num_arms)
        self.obs_buf, self.obs_dict = torch.zeros(num, self.num_obs), {}
        self.rew_buf, self.extras = zeros.clone(), {}
        self.reset_buf = torch.ones(num, dtype=torch.long)
        self.reset_goal_buf = self.reset_buf.clone()
        self.progress_buf = torch.zeros(num, dtype=torch.long)
        self.dof_state = torch.zeros(num * joints, 2)
        state = self.dof_state.view(num, joints, 2)
        self.arm_hand_dof_pos, self.arm_hand_dof_vel = state[..., 0], state[..., 1]
        self.prev_targets, self.cur_targets = torch.zeros(num, joints), torch.zeros(num, joints)
        self.rb_forces, self.random_force_prob = torch.zeros(num, 2, 3), zeros.clone()
        self.goal_states = torch.zeros(num, 13)
        self.successes, self.prev_episode_successes = zeros.clone(), zeros.clone()
        self.true_objective, self.prev_episode_true_objective = zeros.clone(), zeros.clone()
        self.near_goal_steps = torch.zeros(num, dtype=torch.int)
        self.lifted_object = torch.zeros(num, dtype=torch.bool)
        self.closest_keypoint_max_dist = -torch.ones(num)
        self.closest_fingertip_dist = -torch.ones(num, 4 * self.num_arms)
        self.object_scales = 1.0 + torch.arange(num)[:, None] * torch.tensor([0.1, 0.2, 0.0])
        self.script_success = torch.zeros(num, dtype=torch.bool)
        self.success_tolerance = self.curriculum_cfg.initial_tolerance_m
        self.frame_since_restart = self.last_curriculum_update = self.control_steps = 0
        self.set_actor_root_state_object_indices: List[Tensor] = []

    def _create_envs(self) -> None:
        self.object_indices = torch.zeros(self.num_envs, dtype=torch.long)
        self.goal_object_indices: Any = []
        self.added_bodies = self._load_additional_assets("assets", 0.0)
        for env in range(self.num_envs):
            for base in BASES[self.num_arms]:
                self._create_actor(env, "robot", base[:3].tolist())
            handle = self._create_actor(env, "object", [0.0, 0.0, 0.63])
            self.object_indices[env] = self.gym.get_actor_index(env, handle, 2)
            self._create_actor(env, "table", [0.0, 0.0, 0.38])
            self._create_additional_objects(env, env, 0)
        self._after_envs_created()
        self.root_state_tensor = torch.zeros(len(self.gym.actors), 13)
        self.root_state_tensor[:, 6] = 1.0
        for row, actor in zip(self.root_state_tensor, self.gym.actors):
            row[:3] = torch.tensor(actor["xyz"])
        actors = self.root_state_tensor.view(self.num_envs, -1, 13)
        actors[:, : self.num_arms, 3:7] = BASES[self.num_arms][:, 3:].roll(-1, dims=-1)
        self.gym.root, self.gym.dof = self.root_state_tensor.clone(), self.dof_state.clone()
        scale = self.cfg["env"]["keypointScale"]
        self._points = site_points(self.num_arms, torch.device("cpu"))
        self._keypoints = keypoint_points(self.subtask, half_size(self.object_scales), scale)
        cfg = AllegroKukaCfg(subtask=self.subtask, num_arms=self.num_arms, keypoint_scale=scale)
        self._readout = IsaacGymReadout(self, cfg)

    def _create_actor(self, env: int, name: str, xyz: List[float]) -> int:
        pose = SimpleNamespace(p=SimpleNamespace(x=xyz[0], y=xyz[1], z=xyz[2]))
        return self.gym.create_actor(env, None, pose, name, env, 0, 0)

    def _load_additional_assets(self, object_asset_root, arm_pose):
        return 1, 1

    def _create_additional_objects(self, env_ptr, env_idx, object_asset_idx):
        handle = self._create_actor(env_ptr, "goal_object", [0.0, 0.0, 0.7])
        self.goal_object_indices.append(self.gym.get_actor_index(env_ptr, handle, 2))

    def _after_envs_created(self):
        self.goal_object_indices = torch.tensor(self.goal_object_indices)

    def _extra_object_indices(self, env_ids):
        return [self.goal_object_indices[env_ids]]

    def reset(self) -> Dict[str, Tensor]:
        """Return the observation as it is, zeros at first, without simulating."""
        self.obs_dict["obs"] = self.obs_buf
        return self.obs_dict

    def reset_done(self):
        """Reset what is done now; the observation stays that of the last step."""
        ids = self.reset_buf.nonzero(as_tuple=False).flatten()
        if len(ids) > 0:
            self.reset_idx(ids)
        return self.obs_dict, ids

    def zero_actions(self) -> Tensor:
        """Return actions that are zero."""
        return torch.zeros(self.num_envs, self.num_actions, device=self.rl_device)

    def step(self, actions: Tensor):
        """Reset lazily, act, simulate, observe; the returned tensors are the buffers."""
        assert actions.dtype == torch.float32 and actions.abs().max() <= 1.0
        self.pre_physics_step(actions)
        self.simulate()
        self.post_physics_step()
        self.control_steps += 1
        is_timed_out = self.progress_buf >= self.max_episode_length - 1
        self.extras["time_outs"] = is_timed_out & (self.reset_buf != 0)
        self.obs_dict["obs"] = self.obs_buf
        return self.obs_dict, self.rew_buf, self.reset_buf, self.extras

    def reset_target_pose(self, env_ids: Tensor) -> None:
        """Draw new goals."""
        num = len(env_ids)
        side = torch.where(torch.rand(num) < 0.5, -1.0, 1.0)
        u, spin = torch.rand(num, 3), random_quaternion(torch.rand(num, 3))
        corner = torch.tensor(goals.VOLUMES[self.num_arms].lower)
        self.goal_states[env_ids, :3] = corner + u * 0.1
        self.goal_states[env_ids, 0] += 0.75 * side * (self.num_arms - 1)
        self.goal_states[env_ids, 3:7] = spin.roll(-1, dims=-1)
        rows = self.goal_object_indices[env_ids]
        self.root_state_tensor[rows] = self.goal_states[env_ids]
        self.set_actor_root_state_object_indices.append(rows)
        self.reset_goal_buf[env_ids] = 0
        self.near_goal_steps[env_ids] = 0
        self.closest_keypoint_max_dist[env_ids] = -1

    def reset_idx(self, env_ids: Tensor) -> None:
        """Begin new episodes: joints reach the simulator now, actors with the next step."""
        self.reset_target_pose(env_ids)
        num, joints = len(env_ids), 23 * self.num_arms
        lower, upper = self.arm_hand_dof_lower_limits, self.arm_hand_dof_upper_limits
        default = resets.default_posture(self.num_arms, lower.device)
        target = 0.9 * default + 0.1 * (lower + torch.rand(num, joints) * (upper - lower))
        self.arm_hand_dof_pos[env_ids] = target
        self.arm_hand_dof_vel[env_ids] = torch.rand(num, joints) - 0.5
        self.prev_targets[env_ids] = self.cur_targets[env_ids] = target
        rows = self.dof_state.view(self.num_envs, joints, 2)
        self.gym.dof.view(self.num_envs, joints, 2)[env_ids] = rows[env_ids]
        state = torch.zeros(num, 13)
        state[:, :3] = torch.rand(num, 3) * 0.1 + torch.tensor([0.0, 0.0, 0.6])
        state[:, 3:7] = random_quaternion(torch.rand(num, 3))
        self.root_state_tensor[self.object_indices[env_ids]] = state
        moved = [self.object_indices[env_ids], *self._extra_object_indices(env_ids)]
        self.set_actor_root_state_object_indices += moved
        self.random_force_prob[env_ids] = torch.rand(num)
        self.progress_buf[env_ids] = self.reset_buf[env_ids] = 0
        self.prev_episode_successes[env_ids] = self.successes[env_ids]
        self.prev_episode_true_objective[env_ids] = self.true_objective[env_ids]
        self.successes[env_ids] = self.true_objective[env_ids] = 0
        self.lifted_object[env_ids] = False
        self.closest_fingertip_dist[env_ids] = -1
        self.extras["scalars"] = {"success_tolerance": self.success_tolerance}

    def pre_physics_step(self, actions: Tensor) -> None:
        """Reset what the last step left to be reset, then set the targets."""
        self.reset_target_pose(self.reset_goal_buf.nonzero(as_tuple=False).squeeze(-1))
        env_ids = self.reset_buf.nonzero(as_tuple=False).squeeze(-1)
        if len(env_ids) > 0:
            self.reset_idx(env_ids)
        rows = torch.cat([*self.set_actor_root_state_object_indices, torch.zeros(0).long()])
        self.gym.root[rows] = self.root_state_tensor[rows]
        self.set_actor_root_state_object_indices = []
        if self.cfg["env"]["useRelativeControl"]:
            raise NotImplementedError("Use relative control False for now")
        self.cur_targets[:] = self.prev_targets + 0.1 * actions
        self.prev_targets[:] = self.cur_targets

    def simulate(self) -> None:
        """Move joints half way to their targets, and objects along their velocity."""
        dof = self.gym.dof.view(self.num_envs, -1, 2)
        step = 0.5 * (self.cur_targets - dof[..., 0])
        dof[..., 0] += step
        dof[..., 1] = step
        thing = self.gym.root[self.object_indices]
        thing[:, :3] += self.dt * thing[:, 7:10]
        self.gym.root[self.object_indices] = thing

    def post_physics_step(self) -> None:
        """Read the simulator, observe, reward, and say what ended."""
        self.frame_since_restart += 1
        self.progress_buf += 1
        self._tighten()
        self.dof_state.copy_(self.gym.dof)
        self.root_state_tensor.copy_(self.gym.root)
        geometry = self._compute_observations()
        height = self.root_state_tensor[self.object_indices, 2]
        # New tensors, not changed ones: the original rebinds these members too.
        self.lifted_object = self.lifted_object | (height > 0.73)
        self.closest_keypoint_max_dist = torch.minimum(
            self.closest_keypoint_max_dist, geometry.keypoint_distance
        )
        tolerance = self.success_tolerance * self.keypoint_scale
        self.near_goal_steps += geometry.keypoint_distance <= tolerance
        success = self.script_success | (self.near_goal_steps >= self.success_steps)
        self.successes += success
        self.reset_goal_buf[:] = success
        self.rew_buf[:] = self.arm_hand_dof_pos.sum(1) + 1000.0 * success
        self.obs_buf[:, -1] = 0.01 * self.rew_buf
        self.obs_buf.clamp_(-self.clamp_abs_observations, self.clamp_abs_observations)
        self.progress_buf = torch.where(
            success, torch.zeros_like(self.progress_buf), self.progress_buf
        )
        self.curr_fingertip_distances = geometry.fingertip_distance.T.view(
            *((self.num_envs, 4) if self.num_arms == 1 else (self.num_envs, 2, 4))
        )
        done = (height < 0.1) | (self.successes >= self.max_successes)
        done |= self.progress_buf >= self.max_episode_length - 1
        if self.num_arms == 1 and self.subtask == "reorientation":
            done |= self.curr_fingertip_distances.amax(1) > 1.5
        self.reset_buf[:] = done
        tolerance = torch.tensor(self.success_tolerance, dtype=torch.float64)
        self.true_objective = curriculum.objective(
            self.successes, tolerance, self.curriculum_cfg
        ).float()
        self.extras["true_objective"] = self.true_objective
        previous = self.prev_episode_successes
        self.extras["successes"] = previous if self.is_fork else previous.mean()
        self.extras["episode_cumulative"] = {"lifting_rew": height, "unknown_rew": height}

    def _tighten(self) -> None:
        cfg = self.curriculum_cfg
        is_due = self.frame_since_restart - self.last_curriculum_update >= cfg.interval_steps
        if is_due and self.prev_episode_successes.mean() >= cfg.min_successes:
            tighter = self.success_tolerance * cfg.factor
            self.success_tolerance = max(tighter, cfg.target_tolerance_m)
            self.last_curriculum_update = self.frame_since_restart

    def observe_now(self) -> Tensor:
        """Return the observation of this very state, with the books as they are."""
        return self._observe(self.progress_buf, self.rew_buf * 0)[0]

    def _compute_observations(self):
        observation, geometry = self._observe(self.progress_buf, self.rew_buf)
        self.obs_buf.copy_(observation)
        books = geometry.keypoint_distance, geometry.fingertip_distance.T
        for name, now in zip(("closest_keypoint_max_dist", "closest_fingertip_dist"), books):
            kept = getattr(self, name)
            setattr(self, name, torch.where(kept < 0, now, kept))
        return geometry

    def _observe(self, progress: Tensor, reward: Tensor):
        state = self._readout.read(slice(None))
        state.site_quat[:, 1 : 1 + self.num_arms] *= self.palm_sign
        goal_pose = wxyz(self.goal_states[:, :7])
        geometry = measure(state, goal_pose, self._points, self._keypoints)
        books = replace(
            episode.begin(self.num_envs, 4 * self.num_arms, goal_pose.device),
            progress=progress,
            successes=self.successes,
            lifted=self.lifted_object,
            closest_keypoint=self.closest_keypoint_max_dist,
            closest_fingertip=self.closest_fingertip_dist.T,
        )
        books = episode.with_minima(books, geometry)
        return observations.observe(state, geometry, books, self.object_scales, reward), geometry
