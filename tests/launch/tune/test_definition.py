from __future__ import annotations

from pathlib import Path
from typing import Dict

import pytest

from epo.cli import environment
from epo.config import ConfigError
from launch.tune import definition
from launch.tune.definition import RangeCfg, TuneCfg


def tune(space: Dict[str, RangeCfg]) -> TuneCfg:
    return TuneCfg("t", ["task=ProbeValue", "algo=ppo"], 100, 2, space)


@pytest.mark.parametrize("name", definition.names())
def test_shipped_searches_compose_at_both_ends(name: str):
    definition.configuration(definition.load(name), [])


def test_unknown_search_is_one_line():
    with pytest.raises(ConfigError, match=r"tune=pendulm: unknown; did you mean pendulum\?"):
        definition.load("pendulm")


def test_setting_that_does_not_exist_is_named_with_the_nearest():
    wrong = tune({"algo.ppo.gama": RangeCfg(0.9, 0.99)})
    with pytest.raises(ConfigError, match=r"algo\.ppo\.gama=0\.9: .*did you mean algo\.ppo\.gamma"):
        definition.configuration(wrong, [])


def test_value_that_is_impossible_is_named():
    with pytest.raises(ConfigError, match=r"algo\.ppo\.gamma=1\.5"):
        definition.configuration(tune({"algo.ppo.gamma": RangeCfg(0.9, 1.5)}), [])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{low: 1, high: 0}", r"space\.x=1\.0\.\.0\.0: give choices, or low below high"),
        ("{low: 0, high: 1, log: true}", r"space\.x\.low=0\.0: log needs a positive one"),
        ("{low: 0, choices: [1]}", r"space\.x=both: give choices, or low and high"),
        ("{lo: 1}", "lo"),
    ],
)
def test_ranges_are_checked(line: str, message: str, tmp_path: Path):
    path = tmp_path / "s.yaml"
    path.write_text(f"title: t\nsettings: []\nmax_frames: 1\nnum_trials: 1\nspace:\n  x: {line}\n")
    with pytest.raises(ConfigError, match=message):
        definition.load(str(path))


def test_first_trial_has_the_present_values_that_the_space_has():
    space = {
        "algo.ppo.gamma": RangeCfg(0.9, 0.999),
        "algo.ppo.num_epochs": RangeCfg(3, 9, whole=True),  # the default is 2
        "algo.ppo.schedule": RangeCfg(choices=["adaptive", "fixed"]),
    }
    (cfg,) = environment.configurations(["task=ProbeValue", "algo=ppo"])
    found = definition.defaults(tune(space), cfg)
    assert found == {"algo.ppo.gamma": cfg.algo.ppo.gamma, "algo.ppo.schedule": "adaptive"}
