"""One member of population based training: an agent with networks and settings of its own."""

from __future__ import annotations

import copy
from typing import Any, Dict, Sequence

from epo.config import AlgoCfg, ConfigError
from epo.config.pbt import REWARD, RULES
from epo.envs import MemberEnv, VecEnv
from epo.learner.ppo import PPO
from epo.population.pbt import Bookkeeping, Settings
from epo.runner.seeds import derive_seed
from epo.runner.trainer import build_model


def member_seed(seed: int, index: int) -> int:
    """Return the seed of a member; the first has that of the run, so that one alone is PPO."""
    return derive_seed(seed, f"member {index}") if index else seed


def choose_rules(mutable: Sequence[str], env: VecEnv) -> Dict[str, str]:
    """Return the rule of every setting that is mutated, by its name.

    Raises:
        ConfigError: if one is a reward term that the task does not have.
    """
    has_terms = isinstance(env, MemberEnv)
    own = [*env.reward_names, *env.reward_parameters] if has_terms else []
    rules: Dict[str, str] = {}
    for name in mutable:
        family, _, term = name.partition(".")
        if family != REWARD:
            rules[name] = RULES[name]
        elif term and term not in own:
            choices = f"choices: {', '.join(own)}" if own else f"{env.spec.name} has none"
            raise ConfigError("algo.pbt.mutable", name, f"no reward term of the task; {choices}")
        else:
            rules.update({f"{REWARD}.{one}": "factor" for one in ([term] if term else own)})
    return rules


class Member:
    """One agent with its own networks, optimiser and statistics.

    Args:
        index: in the whole population.
        cfg: of the algorithm; the member gets a copy.
        env: for the spaces.
        num_envs: E, its environments.
        seed: of the run.
        books: what is remembered of it, its mutable settings among them.
        precision: of its network's products, `fp32` or `bf16`.

    Attributes:
        cfg: its own settings, changed in place by `Member.apply`.
    """

    def __init__(
        self,
        index: int,
        cfg: AlgoCfg,
        env: VecEnv,
        num_envs: int,
        seed: int,
        books: Bookkeeping,
        *,
        precision: str = "fp32",
    ) -> None:
        own_seed = member_seed(seed, index)
        self.index = index
        self.cfg = copy.deepcopy(cfg)
        self.books = books
        self.model = build_model(self.cfg, env, 1, own_seed, precision)
        self.learner = PPO(self.model, self.cfg, num_envs, derive_seed(own_seed, "learner"))
        self.apply(books.settings)

    def apply(self, settings: Settings) -> None:
        """Train with other settings from now on; the loop changes the reward."""
        for name, value in settings.items():
            family, _, field = name.partition(".")
            if family != REWARD:
                setattr(getattr(self.cfg, family), field, value)

    def trained(self) -> Dict[str, Any]:
        """Return what training made: networks, statistics, optimiser."""
        return {"model": self.model.state_dict(), "learner": self.learner.state_dict()}

    def take_over(self, trained: Dict[str, Any]) -> None:
        """Become a copy of another member's `trained`; frames and random numbers stay its own.

        Raises:
            KeyError, RuntimeError, ValueError: if it is of another network; nothing is changed.
        """
        own = copy.deepcopy(self.trained())
        # Optimisers keep the tensors that they are given.
        learner = copy.deepcopy(trained["learner"])
        learner.update({name: own["learner"][name] for name in ("generator", "frames")})
        try:
            self._load(trained["model"], learner)
        except (KeyError, RuntimeError, ValueError):
            self._load(own["model"], own["learner"])
            raise

    def state_dict(self) -> Dict[str, Any]:
        """Everything that changes."""
        return {**self.trained(), "books": self.books.state_dict()}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue where `state_dict` was taken, with the settings that the books hold now."""
        self._load(state["model"], state["learner"])
        self.apply(self.books.settings)

    def _load(self, model: Dict[str, Any], learner: Dict[str, Any]) -> None:
        self.model.load_state_dict(model)
        self.learner.load_state_dict(learner)
