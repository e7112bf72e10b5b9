from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, List, Mapping

import pytest

from epo.config import ConfigError, RecordCfg
from epo.record.names import agent_fitness
from epo.record.progress import RunPlan
from epo.record.recorder import Recorder, build_recorder


class Notebook:
    """A sink that keeps what it gets."""

    def __init__(self, is_broken: bool = False) -> None:
        self.rows: List[Mapping[str, Any]] = []
        self.generations: List[Mapping[str, Any]] = []
        self.is_closed = False
        self.is_broken = is_broken

    def write(self, frames: int, metrics: Mapping[str, float]) -> None:
        assert metrics["frames"] == frames
        self.rows.append(metrics)

    def generation(self, row: Mapping[str, Any]) -> None:
        self.generations.append(row)

    def close(self) -> None:
        self.is_closed = True
        if self.is_broken:
            raise OSError("upload failed")


def test_recorder_hands_every_row_to_every_sink():
    sinks = [Notebook(), Notebook()]
    with Recorder(sinks) as recorder:
        recorder.write(3, 48, {"kl": 0.5})
        recorder.generation({"iteration": 3, "frames": 48})
    for sink in sinks:
        assert sink.rows == [{"iteration": 3, "frames": 48, "kl": 0.5}]
        assert sink.generations == [{"iteration": 3, "frames": 48}]
        assert sink.is_closed


def test_recorder_closes_all_sinks_although_one_fails(capsys):
    sinks = [Notebook(), Notebook(is_broken=True), Notebook()]
    Recorder(sinks).close()
    assert all(sink.is_closed for sink in sinks)
    assert "Notebook is switched off (OSError: upload failed)" in capsys.readouterr().err


def test_sink_that_fails_does_not_keep_rows_from_the_others(capsys):
    class Dead(Notebook):
        def write(self, frames: int, metrics: Mapping[str, float]) -> None:
            raise RuntimeError("service\nis dead")

    before, after = Notebook(), Notebook()
    with Recorder([before, Dead(), after]) as recorder:
        for iteration in (1, 2):
            recorder.write(iteration, 16 * iteration, {})
    assert len(before.rows) == len(after.rows) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "warning: Dead is switched off (RuntimeError: service is dead); training continues"
    )


@pytest.mark.parametrize("broken", ["tensorboard", "metrics.csv", "warnings.csv"])
def test_place_that_cannot_be_written_does_not_end_a_run(broken: str, tmp_path: Path, capsys):
    block = tmp_path / broken
    block.write_text("a file") if broken == "tensorboard" else block.mkdir()
    plan = RunPlan("task", "details", "x")
    with build_recorder(tmp_path, RecordCfg(console="plain"), plan, {}) as recorder:
        for iteration in (1, 2):
            recorder.write(iteration, 16 * iteration, {"kl": 0.5})
    printed = capsys.readouterr()
    assert "iteration 2" in printed.out
    if broken != "warnings.csv":  # there is no warning to write
        assert f"{broken}".lower() in printed.err.lower()
        assert printed.err.count("training continues") <= 2


@pytest.mark.parametrize(("num_agents", "last"), [(7, "06"), (100, "99"), (101, "100")])
def test_agent_fitness_sorts_by_agent(num_agents: int, last: str):
    metrics = agent_fitness([float(agent) for agent in range(num_agents)])
    assert sorted(metrics) == list(metrics)
    assert metrics[f"agent_fitness/{last}"] == num_agents - 1


@pytest.mark.parametrize(
    ("cfg", "package", "way_out"),
    [
        (RecordCfg(wandb="online", tensorboard=False), "wandb", "pip install 'epo[wandb]'"),
        (RecordCfg(), "torch.utils.tensorboard", "pip install tensorboard"),
    ],
)
def test_missing_package_is_one_clear_line_before_training(
    cfg: RecordCfg, package: str, way_out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, package, None)  # its import fails
    with pytest.raises(ConfigError) as caught:
        build_recorder(tmp_path, cfg, RunPlan("task", "details", str(tmp_path)), {})
    assert way_out in str(caught.value)
    assert "\n" not in str(caught.value)
