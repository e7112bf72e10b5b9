"""Settings of batched environments of others, and what is refused before one is built."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, Dict, List, Mapping, Optional

from omegaconf import OmegaConf

from tasks.errors import check_choice, refuse

APIS = ("auto", "vecenv", "gymnasium", "manager")
AUTORESETS = ("auto", "next_step", "same_step", "disabled")


@dataclass
class VectorCfg:
    """N environments that a function of yours builds and that step together."""

    hides_clock: ClassVar[bool] = True
    """The observation does not tell how much of an episode is left, as far as is known."""
    kind: str = "vector"
    """Family of the task, as the registry knows it."""
    name: str = "Vector"
    """Task name, as in `task=<name>`."""
    make: str = ""
    """`package.module:function` that builds the environments. It is called with those of
    `num_envs`, `device`, `seed` and `id` that it takes, and with `kwargs`."""
    id: Optional[str] = None
    """Name of the environment, for functions that know several, such as those of the presets."""
    kwargs: Dict[str, Any] = field(default_factory=dict)
    """More arguments of the function, such as `task.kwargs.gravity=1.6`."""
    api: str = "auto"
    """How the environments are spoken to: `vecenv` (ours, `epo.envs.VecEnv`), `gymnasium` (its
    `VectorEnv`, and ManiSkill's), `manager` (Isaac Lab, mjlab); `auto`: by what they offer."""
    autoreset: str = "auto"
    """When a `gymnasium` environment begins the next episode: in the `next_step`, in the
    `same_step`, or `disabled`; `auto`: what its metadata say."""
    observation_groups: List[str] = field(default_factory=list)
    """Parts of an observation that the policy sees, in this order; empty: `policy` or `actor` of
    the manager-based API, everything otherwise."""
    critic_groups: List[str] = field(default_factory=list)
    """Parts of an observation that the critic sees with `algo.network.critic=asymmetric`, in this
    order; empty: `critic` of the manager-based API, if it is there, and nothing otherwise."""
    success: str = "success"
    """Entry of `info` that tells where an episode is successful; the metric `success` is 1 if it
    was so in any step. Without such an entry there is no such metric."""
    action_range: float = 1.0
    """Where an action has no bounds: what [-1, 1] of the policy is scaled to, in its own units."""


def schema() -> Any:
    """Return the schema; `task.kwargs` takes any name."""
    node = OmegaConf.structured(VectorCfg)
    OmegaConf.set_struct(node.kwargs, False)
    return node


def check(cfg: VectorCfg) -> None:
    """Refuse impossible settings; whether the function exists is seen when it is called.

    Raises:
        ValueError: naming the setting, its value and the way out.
    """
    check_choice("task.api", cfg.api, APIS)
    check_choice("task.autoreset", cfg.autoreset, AUTORESETS)
    module, _, name = cfg.make.partition(":")
    if not (module and name):
        refuse("task.make", cfg.make or "(nothing)", "name a function: task.make=module:function")
    if not 0.0 < cfg.action_range < math.inf:
        refuse("task.action_range", cfg.action_range, "use a positive number")


def imported_module(settings: Mapping[str, Any]) -> Optional[str]:
    """Return the module that plain settings ask to import; None: one of ours."""
    module = str(settings.get("make") or "").partition(":")[0]
    return None if module.startswith("tasks.") or not module else module
