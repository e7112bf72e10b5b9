"""What can be replaced by name: a table per kind of component, open to code outside of `epo`.

    from epo.components import advantages

    @advantages.register("mine")
    def mine(rollout, ppo): ...

A setting chooses by name, such as `algo.ppo.advantage=mine`. Modules that register something are
named by the setting `plugins` (docs/extending.md). A component may have settings of its own: the
fields of a dataclass, `register("mine", settings=MineCfg)`, are the settings `algo.own.mine.*`, and
the component gets them as the argument `settings`. Nothing is imported before it is asked for.
"""

from __future__ import annotations

import difflib
import importlib
from dataclasses import dataclass, is_dataclass
from functools import partial
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Union

from omegaconf import OmegaConf

Target = Union[str, Any]
"""A component, or where it is: `package.module:name`."""


def load(target: Target) -> Any:
    """Return what `package.module:name` names; anything but text is returned as it is."""
    if not isinstance(target, str):
        return target
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


class Table:
    """Components of one kind by name.

    Args:
        setting: that chooses among them, a dotted name.
        targets: name -> component, those of `epo`.

    Attributes:
        settings: name -> dataclass of a component's own settings.
    """

    def __init__(self, setting: str, targets: Mapping[str, Target]) -> None:
        self.setting = setting
        self.settings: Dict[str, type] = {}
        self._targets: Dict[str, Target] = dict(targets)
        self._ours = frozenset(targets)

    @property
    def names(self) -> Tuple[str, ...]:
        """Names that the setting may take, ours first."""
        return tuple(self._targets)

    def register(
        self, name: str, target: Target = None, *, settings: Optional[type] = None
    ) -> Callable[[Any], Any]:
        """Make a component known in this process; without `target` a decorator.

        Args:
            name: by which the setting chooses it.
            target: the component, or `package.module:name`.
            settings: dataclass of its own settings, every field with a default.

        Raises:
            ValueError: if the name belongs to a component of `epo`, or `settings` is no dataclass.
        """
        if name in self._ours:
            raise ValueError(f"{self.setting}={name} is a component of epo; choose another name")
        if settings is not None:
            if not is_dataclass(settings):
                raise ValueError(f"{self.setting}={name}: settings={settings!r} is no dataclass")
            self.settings[name] = settings

        def add(found: Any) -> Any:
            self._targets[name] = found
            return found

        if target is not None:
            add(target)
        return add

    def check(self, name: str) -> None:
        """Refuse a component that nobody has registered.

        Raises:
            ConfigError: naming the nearest one, or how to bring one's own.
        """
        if name in self._targets:
            return
        from epo.config import ConfigError  # whose package imports this module

        near = difflib.get_close_matches(name, self.names, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        known = f"choices: {', '.join(self.names)}; " if self.names else ""
        way_out = f"unknown{hint} ({known}one of your own: plugins=[<its module>], which registers "
        raise ConfigError(self.setting, name, f"{way_out}it, docs/extending.md)")

    def get(self, name: str, own: Mapping[str, Any] = {}) -> Any:
        """Return a component, bound to its own settings if it has some.

        Args:
            name: of the component.
            own: name -> settings, the content of `algo.own`.

        Raises:
            ConfigError: if nobody has registered it.
        """
        self.check(name)
        found = self._targets[name] = load(self._targets[name])
        if name not in self.settings or not callable(found):
            return found
        node = OmegaConf.merge(OmegaConf.structured(self.settings[name]), own.get(name, {}))
        return partial(found, settings=OmegaConf.to_object(node))


SLICES, MEMBERS = "slices", "members"


@dataclass(frozen=True)
class Training:
    """A way of training; `algo.trainer` chooses it.

    Attributes:
        loop: `(cfg, env, recorder) -> epo.runner.loop.Loop`; with `dealt` also the ranks.
        checks: each `(cfg) -> None`, raises a `ConfigError` at settings that do not fit.
        fits: `(algo, task) -> None`, refuses a task (`epo.config.interface.Interface`); None: what
            `ActorCritic` can do.
        policy: `(algo, state, path, env) -> epo.runner.evaluator.Policy`, acts as a checkpoint
            says; None: the checkpoint holds an `ActorCritic` as `model`.
        schema: of its settings, a subclass of `epo.config.AlgoCfg`; its own group is `algo.<name>`.
        dealt: what a rank gets: `SLICES` of every agent's environments, or whole `MEMBERS`; None:
            it trains in one process.
        has_population: more than one agent makes sense, whatever the other settings.
        saves_one: a checkpoint holds one of the agents, the leader.
        skips: it can leave minibatches out that are not finite (`guard.on_nonfinite=skip`).
    """

    loop: Target
    checks: Tuple[Target, ...] = ()
    fits: Optional[Target] = None
    policy: Optional[Target] = None
    schema: Target = "epo.config:AlgoCfg"
    dealt: Optional[str] = None
    has_population: bool = False
    saves_one: bool = False
    skips: bool = False


_BATCH = "epo.config.batch:check_minibatches"
trainers = Table(
    "algo.trainer",
    {
        "ppo": Training("epo.runner.trainer:Trainer", (_BATCH,), dealt=SLICES, skips=True),
        "pbt": Training(
            "epo.runner.pbt.process:make_pbt",
            (_BATCH, "epo.config.pbt:check_pbt"),
            schema="epo.config:PbtAlgoCfg",
            dealt=MEMBERS,
            has_population=True,
            saves_one=True,
        ),
        "pql": Training(
            "epo.runner.pql:PQLLoop",
            ("epo.config.pql:check_pql",),
            fits="epo.config.interface:check_continuous",
            policy="epo.runner.pql:load_policy",
            schema="epo.config:PqlAlgoCfg",
        ),
        "rl_games": Training(
            "epo.runner.rl_games:RlGamesLoop",
            (_BATCH, "epo.config.rl_games:check_rl_games"),
            fits="epo.config.interface:check_rl_games_task",
            policy="epo.runner.rl_games:load_policy",
            schema="epo.config:RlGamesAlgoCfg",
        ),
    },
)
"""Ways of training, each a `Training`."""
advantages = Table("algo.ppo.advantage", {"gae": "epo.learner.advantage:gae_estimate"})
"""Advantage estimators, see `epo.learner.advantage.Estimator`."""
quantities = Table("algo.ppo.quantities", {})
"""What the loss reads of every sample besides our own, see `epo.rollout.storage.Quantity`."""
reward_terms = Table("algo.ppo.reward_terms", {})
"""What is added to the task's reward: `(step: Step, action [N, A]) -> [N]`, task units."""
hooks = Table("algo.hooks", {})
"""What else happens in an update: `(parts: HookParts) -> UpdateHook`, see `epo.learner.hooks`."""
clip_ranges = Table(
    "algo.clip.kind",
    {
        "constant": "epo.learner.parts:constant_clip",
        "br": "epo.learner.parts:dual_signal_clip",
        "none": "epo.learner.parts:no_clip",
    },
)
"""Schedules of the clip range: `(cfg: AlgoCfg, model) -> ClipSchedule`, see `epo.learner.clip`."""
networks = Table("algo.network.model", {"actor_critic": "epo.models.actor_critic:ActorCritic"})
"""Networks of the population: subclasses of `epo.models.actor_critic.ActorCritic`."""
triggers = Table(
    "algo.evolution.trigger",
    {
        "fitness_gap": "epo.population.triggers:fitness_gap",
        "confident_gap": "epo.population.triggers:confident_gap",
        "interval": "epo.population.triggers:interval",
    },
)
"""When a judged population evolves: `(fitness: Fitness, cfg) -> (whether, why)`."""
rankings = Table(
    "algo.evolution.ranking",
    {
        "fitness": "epo.population.operators:by_fitness",
        "lot": "epo.population.operators:by_lot",
    },
)
"""Who counts as better: `(fitness [K], generator) -> standing [K]`, higher is better."""
selections = Table(
    "algo.evolution.parents",
    {
        "elite_x_survivor": "epo.population.operators:elite_x_survivor",
        "top2": "epo.population.operators:top2",
        "tournament": "epo.population.operators:tournament",
        "proportional": "epo.population.operators:proportional",
    },
)
"""Whose children replace the weak: `(selection, fitness [K], cfg, generator) -> R pairs`."""
crossovers = Table(
    "algo.evolution.crossover",
    {
        "average": "epo.population.operators:average",
        "uniform": "epo.population.operators:uniform",
        "k_point": "epo.population.operators:k_point",
        "none": "epo.population.operators:first_parent",
    },
)
"""The first parent's share of every component: `(R, G, cfg, generator) -> [R, G]`."""
mutations = Table("algo.evolution.mutation", {"gaussian": "epo.population.operators:gaussian"})
"""How children change: `(children [R, G], noise [R, G] of N(0, 1), sigma) -> [R, G]`."""
metrics = Table("record.metrics", {})
"""Further columns: `(loop: Loop) -> name -> [] tensor on the device`, after every iteration."""

TABLES = (
    *(trainers, advantages, quantities, reward_terms, hooks, clip_ranges, networks),
    *(triggers, rankings, selections, crossovers, mutations, metrics),
)
"""Every table whose setting holds a name, or a list of names."""


def own_settings() -> Dict[str, Any]:
    """Return name -> schema of the settings of every registered component that has some.

    Raises:
        ValueError: if two components of one name have settings.
    """
    found: Dict[str, Any] = {}
    for table in TABLES:
        for name, settings in table.settings.items():
            if found.get(name, settings) is not settings:
                raise ValueError(f"two components {name!r} have settings; rename one")
            found[name] = settings
    return found


def chosen(value: Any) -> List[str]:
    """Return the names in the value of a table's setting: one, or a list."""
    return [value] if isinstance(value, str) else list(value)
