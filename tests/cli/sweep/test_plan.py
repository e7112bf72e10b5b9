from __future__ import annotations

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from epo.cli.sweep import plan
from epo.config import ConfigError


def test_runs_are_those_of_hydra_in_its_order():
    words = ["algo=ppo,epo", "task.reward=[1,2],[3]", "seed=range(1,4)", "device=cpu", "seed=7,8"]
    (hydra,) = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(words), None)
    assert plan.make(["-m", *words]).overrides == hydra


def test_runs_are_named_by_what_varies():
    made = plan.make(["-m", "algo=ppo,epo", "algo.ppo.gamma=0.9,0.95", "device=cpu"])
    assert made.names == [
        "algo-ppo_gamma-0.9",
        "algo-ppo_gamma-0.95",
        "algo-epo_gamma-0.9",
        "algo-epo_gamma-0.95",
    ]
    assert made.folder.parent == plan.ROOT and made.folder.name.startswith("algo_gamma_")


def test_equal_names_are_numbered():
    made = plan.make(["-m", "algo.network.mlp_units=[8,8],[8],8-8"])
    assert made.names == ["mlp_units-8-8", "mlp_units-8", "mlp_units-8-8.2"]


def test_same_runs_have_the_same_folder_whatever_is_free():
    same = [
        plan.make(["-m", "seed=1,2", *others]).folder
        for others in ([], ["max_frames=100"], ["device=cpu", "hydra/launcher=joblib"])
    ]
    assert len(set(same)) == 1
    assert plan.make(["-m", "seed=1,3"]).folder != same[0]
    assert plan.make(["-m", "seed=1,2", "algo=ppo"]).folder != same[0]


def test_folder_can_be_named():
    made = plan.make(["-m", "seed=1,2", "hydra.sweep.dir=a/b", "hydra/launcher=joblib"])
    assert str(made.folder) == "a/b"
    assert made.hydra == {"hydra.sweep.dir": "a/b", "hydra/launcher": "joblib"}


@pytest.mark.parametrize("setting", ["run_dir=x", "resume=auto"])
def test_settings_of_the_sweep_are_refused(setting: str):
    with pytest.raises(ConfigError, match=f"{setting}: a sweep .*hydra.sweep.dir="):
        plan.make(["-m", "seed=1,2", setting])
