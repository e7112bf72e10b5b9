"""Which tasks an algorithm can learn, by what they show and take."""

from __future__ import annotations

from typing import Optional, Protocol, Tuple

from epo.components import load, trainers
from epo.config import AlgoCfg, ConfigError


class Interface(Protocol):
    """What matters of an `EnvSpec`, which is known before there are environments."""

    @property
    def name(self) -> str:
        """Name of the task."""
        ...

    @property
    def choices(self) -> Tuple[int, ...]:
        """Choices of every component of a discrete action; empty: actions are continuous."""
        ...

    @property
    def image_shape(self) -> Optional[Tuple[int, int, int]]:
        """Channels, height and width of an observation; None: it is a vector."""
        ...

    @property
    def state_dim(self) -> int:
        """Width of what the critic alone may see; 0: nothing."""
        ...


def check_interface(algo: AlgoCfg, task: Interface) -> None:
    """Refuse tasks whose observations or actions the algorithm has no network for.

    Raises:
        ConfigError: naming what does not fit.
    """
    fits = trainers.get(algo.trainer).fits
    if fits is not None:
        load(fits)(algo, task)
        return
    encoder = "none" if task.image_shape is None else "cnn"
    if algo.network.encoder != encoder:
        shown = "a vector" if task.image_shape is None else f"an image {list(task.image_shape)}"
        way_out = f"{task.name} shows {shown}; use algo.network.encoder={encoder}"
        raise ConfigError("algo.network.encoder", algo.network.encoder, way_out)
    if algo.network.critic == "asymmetric" and not task.state_dim:
        way_out = f"{task.name} shows the critic no more than the actor; use separate or shared"
        raise ConfigError("algo.network.critic", "asymmetric", way_out)


def check_continuous(algo: AlgoCfg, task: Interface) -> None:
    """Refuse tasks that Q-learning has no network for."""
    if task.choices:
        way_out = f"{task.name} has discrete actions, it needs continuous ones; use algo=ppo"
        raise ConfigError("algo.trainer", algo.trainer, way_out)
    _check_vector(algo, task)


def check_rl_games_task(algo: AlgoCfg, task: Interface) -> None:
    """Refuse tasks that the adapter of rl_games does not take."""
    if len(task.choices) > 1:
        way_out = f"{task.name} has actions of {len(task.choices)} choices at once, its adapter "
        raise ConfigError("algo.trainer", algo.trainer, way_out + "takes one; use algo=ppo")
    _check_vector(algo, task)


def _check_vector(algo: AlgoCfg, task: Interface) -> None:
    if task.image_shape is not None:
        way_out = f"{task.name} shows images, its networks take vectors; use algo=ppo "
        way_out += "algo.network.encoder=cnn"
        raise ConfigError("algo.trainer", algo.trainer, way_out)
