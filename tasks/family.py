"""What a family of tasks answers for itself: everything that the rest of the project knows of it.

A family is registered by name, `tasks.registry.register("kind", "package.module:FAMILY")`, or by an
installed package through an entry point of the group `epo.tasks`. Its module is imported with every
command, so it imports nothing heavy: torch and simulators are for the methods that need them.
"""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    List,
    Mapping,
    Optional,
    Protocol,
    Tuple,
    runtime_checkable,
)

from tasks.errors import refuse

if TYPE_CHECKING:
    import torch

    from epo.envs import VecEnv
    from epo.viewer.scene import Scene
    from tasks.clock import Clock
    from tasks.description import Description
    from tasks.interface import Interface
    from tasks.ranges import Range
    from tasks.rendering import Renderer


@runtime_checkable
class Family(Protocol):
    """Tasks of one kind. A subclass gives `schemas` and `make`; the rest has a usual answer.

    `cfg` is always a filled schema of the family, `engine_cfg` one of the group `engine`, which
    tasks without physics ignore. Every method may raise a `ValueError` that names the setting, its
    value and the way out.

    Attributes:
        ranges: setting, such as `task.length`, -> what its numbers may be.
        is_drawn: whether its worlds can be drawn, given what drawing needs.
    """

    ranges: Mapping[str, Range] = {}
    is_drawn: bool = False

    def schemas(self) -> Dict[str, Any]:
        """Return name -> dataclass, or node of OmegaConf, for the group `task`.

        A schema has the fields `kind` and `name`. `base_<...>` is for yaml files to build on, with
        `defaults: [base_<...>, _self_]`; any other name is a task in itself, `task=<name>`.
        """
        ...

    def make(
        self,
        cfg: Any,
        engine_cfg: Any,
        num_envs: int,
        device: torch.device,
        seed: int,
        num_agents: int,
    ) -> VecEnv:
        """Build the environments of a run.

        Args:
            cfg: checked settings.
            engine_cfg: checked, its engine chosen.
            num_envs: N.
            device: where all tensors live.
            seed: of everything random in the task.
            num_agents: K; env i belongs to agent i // (N / K).
        """
        ...

    def preload(self, cfg: Any, engine_cfg: Any) -> None:
        """Import what must come before torch."""

    def check(self, cfg: Any, engine_cfg: Any) -> None:
        """Refuse impossible settings; ranges of single numbers stand in `ranges`."""

    def imported_module(self, settings: Mapping[str, Any]) -> Optional[str]:
        """Return the module that saved plain settings ask to import; None: only installed code."""
        return None

    def interface(self, cfg: Any) -> Optional[Interface]:
        """Return what a task shows and takes; None: vectors and real actions in any case."""
        return None

    def clock(self, cfg: Any, engine_cfg: Any) -> Optional[Clock]:
        """Return how the time of episodes is measured; None: the clock cannot be set."""
        return None

    def episode_length(self, cfg: Any) -> Optional[int]:
        """Return the time limit of an episode, control steps; None: there is none, or unknown."""
        return getattr(cfg, "episode_length", None)

    def longest_episode(self, cfg: Any) -> Optional[int]:
        """Return the most control steps of an episode; None: there is no limit, or it is unknown.

        They are more than its time limit where that begins again on the way, as after a success.
        """
        return self.episode_length(cfg)

    def devices(self, cfg: Any, engine_cfg: Any) -> Tuple[str, ...]:
        """Return the kinds of device that a task runs on, the preferred one first."""
        return ("cuda", "cpu")

    def choose_engine(self, cfg: Any, engine_cfg: Any, device: str) -> List[str]:
        """Replace the engine `auto` by the one that fits the device, in place.

        Returns:
            A line such as `engine=mujoco (auto: device=cpu)` if there was a choice, and what else
            is good to know before the run.
        """
        return []

    def prepare_drawing(self, cfg: Any, engine_cfg: Any) -> None:
        """Refuse what cannot be drawn, and set what drawing needs before a task is built."""
        refuse("task", cfg.name, "it has no picture; use a task that can be drawn")

    def make_renderer(self, env: Any, width: int, height: int) -> Renderer:
        """Get ready to draw single worlds of an environment of this family.

        Args:
            env: built after `prepare_drawing`.
            width: of the picture, pixels; some environments have their own.
            height: of the picture, pixels.
        """
        return refuse("task", env.spec.name, "it has no picture; use a task that can be drawn")

    def prepare_viewing(self, cfg: Any, engine_cfg: Any, is_training: bool) -> None:
        """Refuse what has no live view, before a task is built; as pictures unless it says more."""
        self.prepare_drawing(cfg, engine_cfg)

    def make_scene(self, env: Any) -> Scene:
        """Return what a live viewer shows of an environment of this family; its pictures at least.

        Args:
            env: built after `prepare_viewing`.
        """
        from tasks.viewing import picture_scene

        return picture_scene(self, env)

    def describe(self, cfg: Any, observation_dim: int, action_dim: int) -> Description:
        """Describe the numbers of a task's vectors; one part each where nothing more is known."""
        from tasks.description import plain

        return plain(observation_dim, action_dim)
