"""`python -m epo bench learn`: what it compares, measures and prints."""

from __future__ import annotations

import json
import tempfile
from functools import partial
from typing import Any, Dict, List

import pytest
import torch

import epo.cli.bench.learn_timing
from epo.__main__ import main as epo_main
from epo.cli import environment
from epo.cli.bench.flops import Product
from epo.cli.bench.learn import read
from epo.cli.bench.plain_products import PlainProducts
from epo.config import ConfigError
from tests.stand_in import replace_in

QUICK = (
    "device=cpu",
    "repetitions=1",
    "warm_up=1",
    "threads=1",
    "task=ProbeReach",
    "algo.network.lstm_units=8",
    "algo.network.mlp_units=[8]",
    "algo.ppo.horizon=4",
    "record.tensorboard=false",
)
SHARES = ("matmul_share", "rollout_matmul_share", "iteration_matmul_share", "overhead_share")


def bench(capsys: pytest.CaptureFixture[str], *arguments: str) -> List[Dict[str, Any]]:
    """Run the bench and give its rows, each with what its line of JSON says of all."""
    epo_main(["bench", "learn", *QUICK, *arguments])
    lines = capsys.readouterr().out.splitlines()
    found = [json.loads(line) for line in lines if line.startswith("{")]
    return [{**result, **row} for result in found for row in result["rows"]]


def test_default_is_the_published_comparison():
    options, ((variant, cfg, done_probability),) = read([])
    ppo, network = cfg.algo.ppo, cfg.algo.network
    assert (cfg.task.name, cfg.algo.name) == ("AllegroKukaRegrasping", "ppo")
    assert (cfg.num_envs, cfg.num_agents, done_probability) == (1536, 1, 0.002)
    assert (network.kind, network.lstm_units, network.mlp_units) == ("lstm", 768, [768, 512, 256])
    assert (ppo.horizon, ppo.num_epochs, ppo.num_minibatches) == (16, 2, 4)
    assert variant.settings == () and options.shares


def test_experiment_brings_its_own_numbers():
    (plain,) = environment.configurations(["experiment=laptop"])
    _, ((_, cfg, _),) = read(["experiment=laptop"])
    assert cfg.num_envs == plain.num_envs != 1536
    assert cfg.algo.name == plain.algo.name


def test_cases_are_all_combinations():
    _, cases = read(["net=lstm,mlp", "dones=0.002,0", "num_envs=64"])
    found = [(case.cfg.algo.network.kind, case.done_probability) for case in cases]
    assert found == [("lstm", 0.002), ("lstm", 0.0), ("mlp", 0.002), ("mlp", 0.0)]


def test_row_says_what_was_measured(capsys: pytest.CaptureFixture[str]):
    (row,) = bench(capsys, "algo=epo", "num_envs=16", "num_agents=4", "net=lstm")
    expected = {
        "bench": "learn",
        "device": "cpu",
        "task": "ProbeReach",
        "algo": "epo",
        "num_envs": 16,
        "agents": 4,
        "copies": 1,
        "horizon": 4,
        "net": "lstm",
        "threads": 1,
        "dones": 0.002,
    }
    assert {name: row[name] for name in expected} == expected
    assert row["peak_mem_mb"] > 0
    assert 0 < row["rollout_s"] + row["update_s"] < row["iteration_s"]
    assert row["samples_per_s"] == pytest.approx(64 / row["iteration_s"], rel=1e-3)
    # One block of 4 of the 16 sequences is relabelled.
    assert row["trained_samples_per_s"] == pytest.approx(1.25 * row["samples_per_s"], rel=1e-3)
    assert all(0 < row[name] < 1 for name in SHARES)


def test_shares_are_left_out_on_request(capsys: pytest.CaptureFixture[str]):
    (row,) = bench(capsys, "num_envs=8", "net=mlp", "shares=false", "dones=0")
    assert (row["net"], row["dones"], row["agents"]) == ("mlp", 0.0, 1)
    assert all(row[name] is None for name in SHARES)


def test_other_trainers_are_timed_without_shares(capsys: pytest.CaptureFixture[str]):
    (row,) = bench(capsys, "algo=pbt", "num_envs=16", "num_agents=4")
    assert (row["algo"], row["agents"], row["copies"]) == ("pbt", 4, 0)
    assert row["samples_per_s"] > 0 and row["matmul_share"] is None


def test_bench_leaves_no_run_behind(
    capsys: pytest.CaptureFixture[str], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    folder = partial(tempfile.TemporaryDirectory, dir=str(tmp_path))
    replace_in(epo.cli.bench.learn_timing, "tempfile.TemporaryDirectory", folder, monkeypatch)
    bench(capsys, "num_envs=8", "shares=false")
    assert list(tmp_path.iterdir()) == []


def test_rows_take_turns_and_are_compared_with_the_first(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    turns = []

    def seconds(device: torch.device, iterate: Any) -> float:
        iterate()
        turns.append(iterate.__self__.env.spec.num_envs)
        return 1.0 if turns[-1] == 8 else 2.0

    monkeypatch.setattr(epo.cli.bench.learn_timing, "elapsed_s", seconds)
    first, second = bench(capsys, "num_envs=8,4", "shares=false", "repetitions=2")
    assert turns == [8, 4, 8, 4]
    # Half the samples in twice the time.
    assert (first["ratio"], second["ratio"], second["ratio_max"]) == (1.0, 0.25, 0.25)


@pytest.mark.parametrize("kind", ["forward", "input", "weight"])
def test_products_take_time_and_are_timed_once(kind: str):
    plain = PlainProducts(torch.device("cpu"), torch.float32)
    product = Product(6, 4, 5, kind)
    first = plain.product_s(product)
    assert 0 < first == plain.product_s(product)
    assert plain.work_s({product: 3}) == pytest.approx(3 * first)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["repetitions=0"], "repetitions=0: use at least 1"),
        (["warm_up=-1"], "warm_up=-1: use at least 0"),
        (["threads=-1"], "threads=-1: use at least 0"),
        (["dones=often"], "dones=often: use a number from 0 to 1"),
        (["dones=0.1,2"], "dones=2: use a number from 0 to 1"),
        (["net=gru"], "algo.network.kind=gru: unknown"),
        (["num_envs=3"], "algo.ppo.num_minibatches=4: more than there are sequences"),
        (["num_agents=4"], "num_agents=4: algo=ppo has no population"),
    ],
)
def test_bad_input_is_one_line(arguments: List[str], message: str):
    with pytest.raises(ConfigError, match=message) as error:
        epo_main(["bench", "learn", *arguments])
    assert "\n" not in str(error.value)


def test_bench_explains_itself(capsys: pytest.CaptureFixture[str]):
    epo_main(["bench", "learn", "--help"])
    assert "usage: python -m epo bench learn" in capsys.readouterr().out
