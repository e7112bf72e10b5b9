"""Configurations of tests are those of the command."""

from __future__ import annotations

from typing import List

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from epo.cli.environment import CONFIG_DIR, register
from tests.composed import quick_compose

COMMANDS = [
    [],
    ["task=ProbeReach", "seed=3", "run_dir='a b'", "algo.network.mlp_units=[8,4]"],
    ["experiment=laptop_ppo", "algo=pql", "algo.pql.n_step=2", "record.tensorboard=false"],
    ["task=Gymnasium", "task.env_id=CartPole-v1", "task.kwargs={a: 1, b: {c: x}}", "algo=ppo"],
]


@pytest.mark.parametrize("overrides", COMMANDS)
def test_quick_composition_equals_hydras(overrides: List[str]):
    register()
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        expected = compose("config", overrides=overrides)
    for _ in range(2):  # new, and from groups that were put together before
        found = quick_compose("config", overrides)
        assert OmegaConf.to_object(found) == OmegaConf.to_object(expected)


def test_one_composition_does_not_change_the_next():
    quick_compose("config", ["task=ProbeReach", "algo.network.mlp_units=[8]"])
    assert quick_compose("config", ["task=ProbeReach"]).algo.network.mlp_units != [8]
