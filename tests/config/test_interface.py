"""Which tasks an algorithm can learn: one line for each that it cannot."""

from __future__ import annotations

from typing import NamedTuple, Optional, Tuple

import pytest

from epo.config import ConfigError
from epo.config.interface import check_interface
from tests.composed import composed

IMAGE = (4, 84, 84)


class Task(NamedTuple):
    name: str = "Toy-v0"
    choices: Tuple[int, ...] = ()
    image_shape: Optional[Tuple[int, int, int]] = None
    state_dim: int = 0


@pytest.mark.parametrize("algo", ["pql", "pql_d"])
def test_q_learning_refuses_discrete_actions(algo: str):
    with pytest.raises(
        ConfigError, match=r"algo\.trainer=pql: Toy-v0 has discrete .*use algo=ppo$"
    ):
        check_interface(composed(f"algo={algo}").algo, Task(choices=(2,)))


@pytest.mark.parametrize("algo", ["pql", "rl_games_ppo"])
def test_networks_of_vectors_refuse_images(algo: str):
    cfg = composed(f"algo={algo}").algo
    message = rf"algo\.trainer={cfg.trainer}: Toy-v0 shows images.*use algo=ppo .*encoder=cnn$"
    with pytest.raises(ConfigError, match=message):
        check_interface(cfg, Task(image_shape=IMAGE))


@pytest.mark.parametrize("algo", ["ppo", "sapg", "epo", "pbt", "poem"])
def test_encoder_must_fit_what_is_shown(algo: str):
    none = composed(f"algo={algo}").algo
    with pytest.raises(
        ConfigError, match=r"encoder=none: Toy-v0 shows an image \[4, 84, 84\]; use"
    ):
        check_interface(none, Task(image_shape=IMAGE))
    cnn = composed(f"algo={algo}", "algo.network.encoder=cnn").algo
    with pytest.raises(ConfigError, match=r"encoder=cnn: Toy-v0 shows a vector; use .*=none$"):
        check_interface(cnn, Task())
    check_interface(cnn, Task(image_shape=IMAGE))


@pytest.mark.parametrize("algo", ["ppo", "sapg", "epo", "pbt", "poem", "rl_games_ppo"])
def test_discrete_actions_and_vectors_fit_the_rest(algo: str):
    check_interface(composed(f"algo={algo}").algo, Task(choices=(2,)))


def test_rl_games_refuses_several_choices_at_once():
    with pytest.raises(ConfigError, match=r"actions of 3 choices at once, .*use algo=ppo$"):
        check_interface(composed("algo=rl_games_ppo").algo, Task(choices=(2, 2, 2)))


def test_vectors_and_real_actions_fit_q_learning():
    check_interface(composed("algo=pql").algo, Task())
