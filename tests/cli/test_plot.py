from __future__ import annotations

import math
from pathlib import Path

import pytest

from epo.__main__ import main as epo
from epo.cli.plot import read_curves, smooth
from epo.config import ConfigError
from epo.record.csv import MetricsCsv


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of three iterations, without a fitness in the first one."""
    sink = MetricsCsv(tmp_path)
    for iteration, fitness in enumerate([math.nan, 1.0, 2.0], start=1):
        row = {"iteration": iteration, "frames": 16 * iteration, "leader/fitness": fitness}
        sink.write(16 * iteration, row)
    sink.close()
    return tmp_path


@pytest.mark.parametrize(("ending", "magic"), [("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_plot_writes_a_figure(ending: str, magic: bytes, run: Path):
    pytest.importorskip("matplotlib")
    out = run / f"curves.{ending}"
    epo(["plot", str(run), str(run / "metrics.csv"), f"out={out}", "x=iteration"])
    assert out.read_bytes().startswith(magic)


def test_read_curves_marks_empty_cells(run: Path):
    curves = read_curves(run, "frames", ["leader/fitness", "kl", "absent"], is_strict=False)
    assert curves["frames"] == [16, 32, 48]
    assert math.isnan(curves["leader/fitness"][0])
    assert curves["leader/fitness"][1:] == [1.0, 2.0]
    assert all(math.isnan(value) for value in curves["kl"])
    assert "absent" not in curves


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{run}/nowhere"], "run=.*there is no metrics.csv"),
        (["{run}", "y=leader/fitnes"], "column=leader/fitnes: .*did you mean leader/fitness"),
        (["{run}", "x=steps"], "column=steps: not in"),
        (["{run}", "y=kl"], "nothing to draw yet"),
        (["{run}", "out={run}/a.foo"], "out=.*cannot be written"),
        (["{run}", "out={run}/nowhere/a.png"], "out=.*cannot be written"),
    ],
)
def test_wrong_arguments_are_one_clear_line(arguments: list, message: str, run: Path):
    pytest.importorskip("matplotlib")
    with pytest.raises(ConfigError, match=message):
        epo(["plot", *(argument.format(run=run) for argument in arguments)])


def test_smooth_averages_neighbours_and_leaves_missing_values_out():
    # 250 points in bins of ceil(250 / 100) = 3: the first bin is (0 + 1 + 2) / 3 = 1.
    x, y = smooth(list(range(250)), [2.0 * i for i in range(250)])
    assert (x[0], y[0], len(x)) == (1.0, 2.0, 84)
    assert smooth([1.0, 2.0], [math.nan, 5.0]) == ([2.0], [5.0])


def test_verb_without_arguments_explains_itself(capsys: pytest.CaptureFixture):
    epo(["plot"])
    assert capsys.readouterr().out.startswith("usage: python -m epo plot RUN")


def test_usage_lists_the_verbs(capsys: pytest.CaptureFixture):
    epo([])
    assert "plot" in capsys.readouterr().out


def test_unknown_verb_names_the_nearest():
    with pytest.raises(ConfigError, match="verb=plto: unknown; did you mean plot"):
        epo(["plto"])
