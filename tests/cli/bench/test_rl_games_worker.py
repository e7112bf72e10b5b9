"""The script that measures rl_games, in this interpreter where it has rl_games."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Dict

import pytest
import torch

from epo.cli.bench.peer_job import Comparison, Plan, comparisons, rl_games_job
from epo.cli.bench.peer_process import Setup, rl_games
from epo.cli.bench.synthetic import SyntheticEnv
from tests.cli.bench.test_peer_job import SMALL

pytest.importorskip("rl_games")
CPU = torch.device("cpu")


def small(net: str) -> Comparison:
    (one,) = comparisons([*SMALL, f"net={net}"], 0.1)
    return one


def small_job(one: Comparison) -> Dict[str, Any]:
    plan = Plan(warm_up=1, turns=2, threads=torch.get_num_threads(), dones=0.1)
    return rl_games_job(one, plan, is_compiled=False)


def test_environments_show_the_numbers_of_our_bench():
    from epo.cli.bench import rl_games_worker

    one = small("mlp")
    ours = SyntheticEnv(one.spec, CPU, seed=one.cfg.seed, done_probability=0.1)
    theirs = rl_games_worker.SyntheticEnv(small_job(one), CPU)
    assert torch.equal(ours.reset(), theirs.reset())
    num_done = 0
    for _ in range(20):
        step = ours.step(torch.zeros(8, one.spec.action_dim))
        observation, reward, done, infos = theirs.step(torch.zeros(8, one.spec.action_dim))
        assert torch.equal(step.observation, observation) and torch.equal(step.reward, reward)
        assert torch.equal(step.terminated | step.truncated, done)
        assert torch.equal(step.truncated, infos["time_outs"])
        num_done += int(done.sum())
    assert num_done > 0


@pytest.mark.slow
@pytest.mark.parametrize("net", ["lstm", "mlp"])
def test_rl_games_does_the_work_that_ours_does(net: str):
    setup = Setup(Plan(warm_up=0, turns=2, threads=1, dones=0.1), Path(sys.executable))
    one = small(net)
    with rl_games("rl_games", one, setup) as peer:
        rows = [peer.turn() for _ in range(2)]  # The work is checked by it,
        told = {*peer._ready["work"], "gradient_steps"}
    assert told == set(one.work)  # and all of it is told.
    for row in rows:
        assert row["samples_per_s"] == pytest.approx(128 / (row["rollout_s"] + row["update_s"]))
    assert rows[0]["precision"] == "fp32" and rows[0]["peak_mem_mb"] > 0
    assert rows[0]["versions"]["torch"] == torch.__version__
