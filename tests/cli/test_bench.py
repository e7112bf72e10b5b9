"""`python -m epo bench sim`: what it compares, measures and prints."""

from __future__ import annotations

import json
from typing import Any, Dict, List

import pytest
import torch

import epo.cli.bench.sim_timing
from epo.__main__ import main as epo_main
from epo.cli.bench.variants import differing, variants
from epo.config import ConfigError

QUICK = ("device=cpu", "seconds=0.01", "steps=2", "repetitions=3")


def bench(capsys: pytest.CaptureFixture[str], *arguments: str) -> List[Dict[str, Any]]:
    """Run the bench and give its lines of JSON."""
    epo_main(["bench", "sim", *QUICK, *arguments])
    lines = capsys.readouterr().out.splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def test_variants_are_all_combinations():
    compared = variants(["num_envs=2,3", "task=ProbeReach", "task.episode_length=5,7"])
    found = [(v.cfg.num_envs, v.cfg.task.episode_length) for v in compared]
    assert found == [(2, 5), (2, 7), (3, 5), (3, 7)]
    assert compared[3].settings == ("num_envs=3", "task=ProbeReach", "task.episode_length=7")


def test_variants_have_no_population_unless_told():
    (plain,), (population,) = variants([]), variants(["algo=sapg", "num_agents=6"])
    assert (plain.cfg.algo.name, plain.cfg.num_agents) == ("ppo", 1)
    assert (population.cfg.algo.name, population.cfg.num_agents) == ("sapg", 6)


def test_any_number_of_environments_is_a_variant_of_a_published_run():
    # The run's minibatches do not fit the batch of one environment; nothing is learned here.
    (variant,) = variants(["experiment=paper/AllegroKukaReorientation", "num_envs=1"])
    assert (variant.cfg.num_envs, variant.cfg.task.name) == (1, "AllegroKukaReorientation")


def test_differing_leaves_out_what_all_share():
    assert differing([["a=1", "b=2"], ["a=1", "b=3"]]) == [["b=2"], ["b=3"]]


def test_task_without_physics_has_no_physics_columns(capsys: pytest.CaptureFixture[str]):
    (content,) = bench(capsys, "task=ProbeReach", "num_envs=2,4")
    assert (content["bench"], content["task"], content["device"]) == ("sim", "ProbeReach", "cpu")
    assert [row["num_envs"] for row in content["rows"]] == [2, 4]
    for row in content["rows"]:
        assert row["env_steps_per_s_min"] <= row["env_steps_per_s"] <= row["env_steps_per_s_max"]
        assert row["env_steps_per_s_min"] > 0 and row["peak_mem_mb"] > 0
        for name in ("physics_steps_per_s", "physics_share", "reset_share", "bad_worlds"):
            assert row[name] is None


def test_table_has_a_line_for_each_variant(capsys: pytest.CaptureFixture[str]):
    epo_main(["bench", "sim", *QUICK, "task=ProbeReach", "task.episode_length=5,7", "num_envs=3"])
    out = capsys.readouterr().out
    for length in (5, 7):
        (line,) = (line for line in out.splitlines() if f"  task.episode_length={length} " in line)
        assert line.split()[1] == "3" and "–" not in line.split()


def test_physics_and_task_are_measured_on_mujoco(capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("mujoco.batch")
    # Episodes of two steps: in every step some of them end.
    size = ("num_envs=4", "task.episode_length=2")
    contents = bench(capsys, *size, "engine=mujoco", "engine.num_threads=1,2")
    assert [content["settings"][-1] for content in contents] == [
        "engine.num_threads=1",
        "engine.num_threads=2",
    ]
    for content in contents:
        (row,) = content["rows"]
        assert (content["engine"], content["task"]) == ("mujoco", "AllegroKukaRegrasping")
        assert "mujoco" in content["versions"]["simulators"]
        shares = [row[f"{part}_share"] for part in ("physics", "task", "reset")]
        assert sum(shares) == pytest.approx(1.0, abs=1e-4) and min(shares) > 0
        assert row["physics_steps_per_s"] > 0 and row["construct_s"] > 0
        assert (row["bad_worlds"], row["overflow"]) == (0, None)
        for name in ("contacts", "rows"):
            assert 0 < row[f"{name}_mean"] <= row[f"{name}_max"]


def test_physics_of_any_mujoco_task_is_measured(capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("mujoco")
    (content,) = bench(capsys, "task=ArmReach", "task.episode_length=2", "num_envs=8")
    (row,) = content["rows"]
    shares = [row[f"{part}_share"] for part in ("physics", "task", "reset")]
    assert sum(shares) == pytest.approx(1.0, abs=1e-4) and min(shares) > 0
    assert row["physics_steps_per_s"] > row["env_steps_per_s"] > 0 and row["bad_worlds"] == 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_physics_and_task_are_measured_on_the_gpu(capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("mujoco_warp")
    engine = ("engine=mujoco_warp", "engine.graph=true,false")
    for content in bench(capsys, *engine, "device=cuda", "num_envs=64"):
        (row,) = content["rows"]
        assert content["device"] == "cuda" and row["peak_mem_mb"] > 0
        shares = [row[f"{part}_share"] for part in ("physics", "task", "reset")]
        assert sum(shares) == pytest.approx(1.0, abs=1e-4) and min(shares) > 0
        assert row["physics_steps_per_s"] > 0 and row["overflow"] == 0


def test_what_was_measured_is_printed_if_a_later_variant_fails(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    real = epo.cli.bench.sim_timing.measure

    def fail_at_four(cfg: Any, *arguments: Any) -> Any:
        if cfg.num_envs == 4:
            raise RuntimeError("out of memory")
        return real(cfg, *arguments)

    monkeypatch.setattr(epo.cli.bench.sim_timing, "measure", fail_at_four)
    with pytest.raises(RuntimeError, match="out of memory"):
        epo_main(["bench", "sim", *QUICK, "task=ProbeReach", "num_envs=2,4,8"])
    content = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [row["num_envs"] for row in content["rows"]] == [2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["simm"], r"bench=simm: unknown; did you mean sim\? \(benches: .*sim\)"),
        (["sim", "num_envs=64,many"], "num_envs=many: use a whole number of at least 1"),
        (["sim", "num_envs=0"], "num_envs=0: use a whole number of at least 1"),
        (["sim", "num_envs=interval(1,2)"], r"num_envs=interval\(1,2\): list the values"),
        (["sim", "seconds=0"], r"seconds=0\.0: use a positive number"),
        (["sim", "seconds=nan"], "seconds=nan: use a positive number"),
        (["sim", "seconds=long"], "seconds=long: .*could not be converted to Float"),
        (["sim", "steps=0"], "steps=0: use at least 1"),
        (["sim", "repetitions=0"], "repetitions=0: use at least 1"),
        (["sim", "task=ProbeReach,Foo"], "task=Foo: there is no such task"),
        (["sim", "engine=mujoco", "device=cuda"], "device=cuda: engine=mujoco runs on cpu"),
        (["sim", "--cfg", "job"], "flag=--cfg: unknown; settings are written name=value"),
        (["sim", "1024"], "argument=1024: write name=value"),
    ],
)
def test_bad_input_is_one_line(arguments: List[str], message: str):
    with pytest.raises(ConfigError, match=message) as error:
        epo_main(["bench", *arguments])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [([], "usage: python -m epo bench <what>"), (["sim", "--help"], "engine.graph=true,false")],
)
def test_bench_explains_itself(arguments: List[str], text: str, capsys: pytest.CaptureFixture[str]):
    epo_main(["bench", *arguments])
    assert text in capsys.readouterr().out
