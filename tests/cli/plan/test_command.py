from __future__ import annotations

import json
from typing import List

import pytest

from epo.__main__ import main as epo
from epo.config import ConfigError

SMALL = ["task=ProbeReach", "algo=epo", "num_agents=4", "num_envs=16", "device=cpu"]
SMALL += ["algo.network.kind=mlp", "algo.network.mlp_units=[8]"]


def test_plan_measures_what_a_run_takes(capsys: pytest.CaptureFixture):
    epo(["plan", *SMALL, "max_frames=3600000", "probe_s=0.2", "json=true"])
    plan = json.loads(capsys.readouterr().out)
    assert plan["num_iterations"] >= 1 and plan["fps"] > 0.0
    assert plan["hours"] == pytest.approx(1000.0 / plan["fps"])
    assert sum(plan["shares"].values()) == pytest.approx(1.0, abs=0.02)
    assert plan["buffers"]["collector.rollout.observation"] > 0
    # What would fit is less than the free memory, and a whole number of environments per agent.
    each = (plan["simulator_bytes"] + plan["learner_bytes"] - plan["fixed_bytes"]) / 16
    taken = plan["fixed_bytes"] + plan["fitting_envs"] * max(each, 1 / 16)
    assert taken <= 0.9 * plan["free_bytes"] and plan["fitting_envs"] % 4 == 0


def test_plan_is_a_table_for_people(capsys: pytest.CaptureFixture):
    epo(["plan", *SMALL, "probe_s=0.1"])
    printed = capsys.readouterr().out
    assert "collector.rollout.observation" in printed
    for name in ("buffers", "memory", "speed", "time", "room"):
        assert f"\n{name} " in printed
    assert "h to 1 G frames (no max_frames)" in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["probe_s=0"], "probe_s=0.0: use a positive number"),
        (["task=ProbeRech"], "task=ProbeRech: there is no such task; did you mean ProbeReach"),
        (["--verbose"], "flag=--verbose: unknown"),
        (["num_envs=10"], "num_envs=10"),
    ],
)
def test_wrong_arguments_are_one_clear_line(words: List[str], message: str):
    with pytest.raises(ConfigError, match=message):
        epo(["plan", *SMALL, *words])
