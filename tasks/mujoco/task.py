"""What a task over a MuJoCo model must say: the model, starts, controls, observation, reward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tasks.engines.model import Model
from tasks.engines.simulator import Fields, Simulator


class Start(NamedTuple):
    """First states of all worlds, of the type of `sim.home_qpos`.

    Attributes:
        qpos: [N, nq].
        qvel: [N, nv].
        mocap: [N, M, 7] float32, m and wxyz: goals, for instance.
    """

    qpos: Tensor
    qvel: Tensor
    mocap: Tensor


class MujocoTask:
    """A task. It owns no state: that is the simulator's, goals (mocap bodies) included.

    A subclass gives `model`, `observation`, `observe` and `terms`; the rest has a usual answer.
    Everything works on all N worlds at once, without a Python loop and without reading a value.

    Attributes:
        cfg: its settings.
        model: what is simulated.
        observation: parts of the observation: name, width, what it is with its unit.
        reward: terms of the reward: name, what it pays.
        action: what an action in [-1, 1] does.
        success_metric: what the metric is called that tells whether an episode ended well; empty:
            there is none.
        camera: of the model, from where pictures are taken; it moves until all is in view.
        shown: [P, 3] what must be in view beside the model's shapes, m.
        goal_geom: what a faint ball of `goal_radius_m` is drawn around.
    """

    model: Model
    observation: Sequence[tuple[str, int, str]]
    reward: Sequence[tuple[str, str]] = (("reward", "task units"),)
    action: str = "[-1, 1] of the range of each actuator"
    success_metric: str = ""
    camera: str = "front"
    shown: Sequence[tuple[float, ...]] = ()
    goal_geom: str = "goal"
    goal_radius_m: float = 0.0

    def __init__(self, cfg: Any) -> None:
        """Set up for a filled schema."""
        self.cfg = cfg

    @property
    def observation_dim(self) -> int:
        """Return O."""
        return sum(width for _, width, _ in self.observation)

    @property
    def action_dim(self) -> int:
        """Return A: one component in [-1, 1] per actuator."""
        return self.model.mj.nu

    def fields(self, num_envs: int, generator: torch.Generator) -> Fields:
        """Draw what differs between the worlds, once per run; `generator` is on the CPU."""
        return {}

    def start(self, sim: Simulator, generator: torch.Generator) -> Start:
        """Draw first states for all worlds; those of new episodes are taken."""
        rest = torch.zeros(sim.qvel.shape, dtype=sim.home_qpos.dtype, device=sim.device)
        return Start(sim.home_qpos.repeat(sim.num_envs, 1), rest, sim.mocap)

    def control(self, sim: Simulator, action: Tensor) -> Tensor:
        """Return the controls [N, nu] for actions [N, A] in [-1, 1]: scaled to their range."""
        low, high = self._control_range(sim.device)
        return low + 0.5 * (action + 1.0) * (high - low)

    def observe(self, sim: Simulator) -> Tensor:
        """Return the observations [N, O]."""
        raise NotImplementedError

    def terms(self, sim: Simulator, action: Tensor) -> Tensor:
        """Return the terms [R, N] of the reward of the step that was just made."""
        raise NotImplementedError

    def failed(self, sim: Simulator) -> Tensor:
        """Return which episodes [N] are lost; a state that is not finite always is."""
        return sim.bad

    def succeeded(self, sim: Simulator) -> Tensor:
        """Return in which worlds [N] an episode that ends now has ended well."""
        return torch.zeros_like(sim.bad)

    def _control_range(self, device: torch.device) -> tuple[Tensor, Tensor]:
        if not hasattr(self, "_range"):
            limits = self.model.mj.actuator_ctrlrange.T
            self._range: Any = torch.tensor(limits, dtype=torch.float32, device=device).unbind()
        return self._range
