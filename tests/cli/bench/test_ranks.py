"""`bench ranks`: what it refuses, and one measurement of ranks beside one process."""

from __future__ import annotations

import json

import pytest

from epo.__main__ import main as epo_main
from epo.cli.bench.ranks import worlds
from epo.config import ConfigError
from epo.world import find_world

TINY = (
    *("task=ProbeReach", "device=cpu", "num_envs=8", "algo.network.kind=mlp"),
    *("algo.network.mlp_units=[8]", "algo.ppo.num_minibatches=1"),
)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ranks=1"], "use at least 2"),
        (["repetitions=0"], "use at least 1"),
        (["ranks=1000"], "use fewer"),
        (["num_envs=8,16"], "give one value"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    arguments: list, words: str, capsys: pytest.CaptureFixture
):
    with pytest.raises((ConfigError, SystemExit)) as caught:
        epo_main(["bench", "ranks", *TINY, *arguments])
    assert words in str(caught.value) + capsys.readouterr().err


def test_every_worker_is_a_rank_of_one_run():
    found = [find_world(variables) for variables in worlds(3)]
    assert [world and (world.rank, world.size, world.local_size) for world in found] == [
        (0, 3, 3),
        (1, 3, 3),
        (2, 3, 3),
    ]
    assert len({variables["MASTER_PORT"] for variables in worlds(3)}) == 1


@pytest.mark.slow
def test_efficiency_is_that_of_the_turns(capfd: pytest.CaptureFixture):
    epo_main(["bench", "ranks", *TINY, "repetitions=3", "warm_up=1"])
    (line,) = [line for line in capfd.readouterr().out.splitlines() if line.startswith("{")]
    alone, ranks = json.loads(line)["rows"]
    assert (alone["ranks"], ranks["ranks"]) == (1, 2)
    assert alone["efficiency"] == 1.0 and ranks["efficiency"] > 0.0
    assert ranks["efficiency_min"] <= ranks["efficiency"] <= ranks["efficiency_max"]
    assert alone["samples"] == ranks["samples"] == 8 * 16
    assert ranks["exchange_s"] > 0.0 == alone["exchange_s"]
