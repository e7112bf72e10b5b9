"""N environments of your own as tensors on one device: a point that is driven to a goal.

python train.py task=Vector task.make=gpu_environment:PointEnv algo=ppo num_envs=4096
"""

import torch

from epo.envs import EnvSpec, Step

LENGTH, DT_S = 100, 0.05


class PointEnv:
    """Steps all environments at once; `task.make` names this, the host never waits."""

    def __init__(self, num_envs, device, seed):
        self.device = torch.device(device)
        self.spec = EnvSpec(
            name="Point",
            engine="torch",
            num_envs=num_envs,
            observation_dim=4,
            action_dim=2,
            control_dt_s=DT_S,
            headline=("distance_m",),
        )
        self._generator = torch.Generator(self.device).manual_seed(seed)
        self._clock = torch.zeros(num_envs, dtype=torch.int64, device=self.device)
        self._return = torch.zeros(num_envs, device=self.device)
        self._state = self._draw()

    def _draw(self):
        """Return fresh positions and goals [N, 4], m."""
        shape = (self.spec.num_envs, 4)
        return 2.0 * torch.rand(shape, generator=self._generator, device=self.device) - 1.0

    def reset(self):
        """Begin episodes everywhere; return the observation [N, 4]."""
        self._state = self._draw()
        self._clock.zero_()
        self._return.zero_()
        return self._state

    def step(self, action):
        """Move by the action [N, 2]; an episode that ends begins anew in the same step."""
        position = self._state[:, :2] + DT_S * action.clamp(-1.0, 1.0)
        final = torch.cat([position, self._state[:, 2:]], dim=1)
        distance = (position - self._state[:, 2:]).norm(dim=1)
        self._clock += 1
        fitness = self._return - distance
        truncated = self._clock >= LENGTH
        self._state = torch.where(truncated[:, None], self._draw(), final)
        self._clock = self._clock.masked_fill(truncated, 0)
        self._return = fitness.masked_fill(truncated, 0.0)
        return Step(
            observation=self._state,
            reward=-distance,
            terminated=torch.zeros_like(truncated),
            truncated=truncated,
            final_observation=final,
            metrics={"fitness": fitness, "distance_m": distance},  # read where one ended
            scalars={},
        )

    def state_dict(self):
        """Return everything that changes: a resumed run is exact."""
        state = {name: getattr(self, name).clone() for name in ("_clock", "_return", "_state")}
        return {**state, "generator": self._generator.get_state()}

    def load_state_dict(self, state):
        """Continue where `state_dict` was taken."""
        for name in ("_clock", "_return", "_state"):
            setattr(self, name, state[name].to(self.device))
        self._generator.set_state(state["generator"].cpu())

    def close(self):
        """Hold nothing."""
