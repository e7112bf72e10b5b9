"""The vectorised environment contract: everything the learner knows of a task."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    NamedTuple,
    Optional,
    Protocol,
    Tuple,
    runtime_checkable,
)

if TYPE_CHECKING:  # workers of environments take three seconds less to start without torch
    import torch
    from torch import Tensor

LARGEST_VALUE = 1e18
"""Largest size of a number that can be learned from: its square is finite in float32 (3.4e38)."""


class EnvError(RuntimeError):
    """Environments that cannot continue; the message is one line, with the way out if there is one.

    Attributes:
        values: name -> [N, ...] what the environments gave in that step, if that is what is wrong
            with them; empty otherwise.
    """

    def __init__(self, message: str, values: Optional[Dict[str, Tensor]] = None) -> None:
        super().__init__(message)
        self.values = values or {}


@dataclass(frozen=True)
class EnvSpec:
    """What a task is, fixed for the life of a run.

    Attributes:
        name: task name, as in `task=<name>`.
        engine: engine name, as in `engine=<name>`.
        num_envs: N, parallel environments.
        observation_dim: O, length of the actor's observation.
        action_dim: A, length of the action; every component is in [-1, 1]. A discrete action
            has an index of a choice per component.
        control_dt_s: duration of one control step, s.
        versions: simulator packages and their versions, for `versions.json`.
        choices: of every component of a discrete action; empty: actions are continuous.
        image_shape: channels, height and width of an observation that is an image of values in
            [0, 255], flattened to O; None: it is a vector.
        has_invalid_steps: `Step.valid` is given.
        metrics: names that `Step.metrics` may have, so that a setting that names one is refused
            before the run begins; empty: they are known after the first step only.
        objective: the metric that selection goes by unless a setting names another.
        success: the metric that counts successes: 1 or more is a successful episode; empty: none.
        state_parts: what the critic alone may see, name -> width, in the order of `Step.state`; the
            environment is a `StateEnv` then. Empty: nothing.
        headline: metrics of `Step.metrics`, or scalars of `Step.scalars`, that tell best how the
            task goes, the most telling first: what console, plots, videos and summaries show.
    """

    name: str
    engine: str
    num_envs: int
    observation_dim: int
    action_dim: int
    control_dt_s: float
    versions: Dict[str, str] = field(default_factory=dict)
    choices: Tuple[int, ...] = ()
    image_shape: Optional[Tuple[int, int, int]] = None
    has_invalid_steps: bool = False
    metrics: Tuple[str, ...] = ()
    objective: str = "fitness"
    success: str = ""
    headline: Tuple[str, ...] = ()
    state_parts: Dict[str, int] = field(default_factory=dict)

    @property
    def state_dim(self) -> int:
        """S, width of the critic's state; 0: there is none."""
        return sum(self.state_parts.values())

    @property
    def policy_dim(self) -> int:
        """Width of what a policy puts out: a mean per component, or a logit per choice."""
        return sum(self.choices) or self.action_dim


class Step(NamedTuple):
    """Result of one control step of all environments.

    Attributes:
        observation: [N, O] observation to act on next; where an episode ended it is
            the first one of the next episode (the reset happens inside the step).
        reward: [N] task units.
        terminated: [N] bool, the episode ended for good (no bootstrap).
        truncated: [N] bool, the episode was cut by its time limit; never together
            with `terminated`.
        final_observation: [N, O] last observation of the ended episode, valid only
            where `terminated | truncated`.
        metrics: name -> [N] float, read where an episode ended: what the episode
            reached. `fitness` (the task objective, higher is better) is always there.
        scalars: name -> [] float, the state of the whole task after this step, such
            as the level of a curriculum.
        valid: [N] bool, False where the step is not experience, because its action was chosen
            on something else than the state it acted in; nobody learns from such a step, and
            `observation` begins an episode after it. None: all steps are valid.
        reward_terms: [R, N] terms that add up to the reward, in the order of the environment's
            `reward_names`; None: the task does not tell them apart.
        is_partial: [N] bool, the episode of this step began late (`ClockedEnv`): its end is no
            result. None: no episode did.
        state: [N, S] what the critic alone may see beside `observation` (`EnvSpec.state_parts`);
            None: nothing.
        final_state: [N, S] the same beside `final_observation`.
    """

    observation: Tensor
    reward: Tensor
    terminated: Tensor
    truncated: Tensor
    final_observation: Tensor
    metrics: Dict[str, Tensor]
    scalars: Dict[str, Tensor]
    valid: Optional[Tensor] = None
    reward_terms: Optional[Tensor] = None
    is_partial: Optional[Tensor] = None
    state: Optional[Tensor] = None
    final_state: Optional[Tensor] = None


class VecEnv(Protocol):
    """N environments that step together; every tensor is on `device`.

    Returned tensors are valid until the next call of `reset` or `step`: who keeps one
    copies it. Actions outside [-1, 1] are clamped by the environment.
    """

    spec: EnvSpec
    device: torch.device

    def reset(self) -> Tensor:
        """Begin a new episode everywhere and return the observation [N, O]."""
        ...

    def step(self, action: Tensor) -> Step:
        """Apply `action` [N, A] for one control step."""
        ...

    def state_dict(self) -> Dict[str, Any]:
        """Everything that changes (physics, curriculum, random numbers), plain types."""
        ...

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        ...

    def close(self) -> None:
        """Free threads and device memory."""
        ...


@runtime_checkable
class StateEnv(Protocol):
    """What a task offers that shows the critic more than the actor (`EnvSpec.state_parts`)."""

    def present_state(self) -> Tensor:
        """Return the state [N, S] beside the observation that `reset` or `step` gave last."""
        ...


@runtime_checkable
class ClockedEnv(Protocol):
    """What a task may offer whose episodes end at a time limit: a late first episode."""

    @property
    def time_limit(self) -> int:
        """H, control steps of an episode that nothing else ends."""
        ...

    def start_late(self, elapsed: Tensor) -> None:
        """Let the next `reset` begin episodes whose clocks show `elapsed` [N] int64, below H.

        The state is fresh and the clock late, the observed one too. Such an episode is partial
        (`Step.is_partial`) up to its end: it is no result, and no curriculum counts it.
        `state_dict` holds the clock and which episodes are partial.
        """
        ...


@runtime_checkable
class CurriculumEnv(Protocol):
    """What a task may offer that asks for more as its agents learn: a level that can be held.

    Attributes:
        level_name: of the level, its name in `Step.scalars`.
        target_level: where the curriculum ends.
    """

    level_name: str

    @property
    def target_level(self) -> float:
        """Level that the curriculum ends at."""
        ...

    def hold_level(self, level: Optional[float]) -> float:
        """Stop the curriculum at a level and return it; None: the present one.

        The objective continues measuring the curriculum's progress at that level, so fitness is the
        training's.
        """
        ...

    def level_of(self, state: Dict[str, Any], agent: int) -> float:
        """Return the level of an agent in what `state_dict` gave."""
        ...


@runtime_checkable
class PooledEnv(Protocol):
    """What a task offers that decides by a mean over all environments, such as a curriculum."""

    def pool(self, across: Callable[[Tensor], Tensor]) -> None:
        """Decide by the environments of all ranks from now on.

        Args:
            across: gives the mean of a tensor over the ranks; all ranks call it together.
        """
        ...


@runtime_checkable
class MemberEnv(Protocol):
    """What a task may offer, besides `VecEnv`, to agents that learn apart from each other.

    The N environments are K blocks of equal size, one per agent, after `separate`; before, one.
    Population based training works without, see `docs/algorithms/pbt.md`.

    Attributes:
        reward_names: names of `Step.reward_terms`.
        reward_parameters: name -> [N] parameter of the reward that is no factor of a term, such
            as a threshold; in-place changes take effect at the next update.
    """

    reward_names: Tuple[str, ...]
    reward_parameters: Dict[str, Tensor]

    def separate(self, num_agents: int) -> None:
        """Split what the task otherwise shares between the agents' blocks; call before `reset`."""
        ...

    def restart_agent(self, agent: int) -> Tensor:
        """Begin a new episode in all environments of an agent; return its observations [E, O]."""
        ...

    def agent_state(self, agent: int) -> Dict[str, Any]:
        """Return what a block has learned to ask for, such as its curriculum; plain types."""
        ...

    def load_agent_state(self, agent: int, state: Dict[str, Any]) -> None:
        """Let a block ask what another one did when `agent_state` was taken."""
        ...
