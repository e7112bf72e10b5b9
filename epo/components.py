"""What can be replaced by name: a table per kind of component, open to code outside of `epo`.

    from epo.components import advantages

    @advantages.register("mine")
    def mine(rollout, ppo): ...

A setting chooses by name, such as `algo.ppo.advantage=mine`. Modules that register something are
named by the setting `plugins` (docs/extending.md). Nothing is imported before it is asked for.
"""

from __future__ import annotations

import importlib
from typing import Any, Callable, Dict, Mapping, Tuple, Union

Target = Union[str, Any]
"""A component, or where it is: `package.module:name`."""


class Table:
    """Components of one kind by name.

    Args:
        setting: that chooses among them, a dotted name.
        targets: name -> component, those of `epo`.
    """

    def __init__(self, setting: str, targets: Mapping[str, Target]) -> None:
        self.setting = setting
        self._targets: Dict[str, Target] = dict(targets)
        self._own = frozenset(targets)

    @property
    def names(self) -> Tuple[str, ...]:
        """Names that the setting may take, ours first."""
        return tuple(self._targets)

    def register(self, name: str, target: Target = None) -> Callable[[Any], Any]:
        """Make a component known in this process; without `target` a decorator.

        Raises:
            ValueError: if the name belongs to a component of `epo`.
        """
        if name in self._own:
            raise ValueError(f"{self.setting}={name} is a component of epo; choose another name")

        def add(found: Any) -> Any:
            self._targets[name] = found
            return found

        if target is not None:
            add(target)
        return add

    def get(self, name: str) -> Any:
        """Return the component of a name that is known."""
        target = self._targets[name]
        if isinstance(target, str):
            module, _, attribute = target.partition(":")
            target = self._targets[name] = getattr(importlib.import_module(module), attribute)
        return target


advantages = Table("algo.ppo.advantage", {"gae": "epo.learner.advantage:gae_estimate"})
"""Advantage estimators, see `epo.learner.advantage.Estimator`."""
quantities = Table("algo.ppo.quantities", {})
"""What the loss reads of every sample besides our own, see `epo.rollout.storage.Quantity`."""

CHOSEN = (advantages, quantities)
"""Tables whose setting holds a name, or a list of names."""
