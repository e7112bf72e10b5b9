from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Dict, List, Sequence

import pytest

from epo.__main__ import main as epo
from epo.cli.environment import CONFIG_DIR
from epo.cli.plot import drawing
from epo.cli.plot.groups import read_curves, smooth
from epo.cli.plot.published import PUBLISHED
from epo.config import ConfigError
from epo.record.csv import MetricsCsv
from epo.runner.run_folder import RunFolder


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
        (["{run}", "out={run}/numbers.csv"], "out=.*end it in .png"),
        (["{run}", "--bads"], "flag=--bads: unknown"),
        (["{run}", "--bands", "x=wall_s"], "x=wall_s: published curves are over frames"),
        (["{run}", "--bands"], "bands=true: nothing is published of an unknown task"),
        (["{run}", "watch=true", "every_s=0"], "every_s=0.0: use a positive number"),
        (["watch=true"], "run=.none.: name a run folder"),
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


def make_run(folder: Path, task: str, seed: int, values: Sequence[float]) -> Path:
    """Write a run of one number per iteration."""
    folder.mkdir()
    text = f"task: {{name: {task}}}\nalgo: {{name: epo}}\nengine: {{name: mujoco}}\nseed: {seed}\n"
    (folder / "config.yaml").write_text(text)
    sink = MetricsCsv(folder)
    for iteration, value in enumerate(values, start=1):
        frames = 1000 * iteration
        row = {"iteration": iteration, "frames": frames, "leader/successes": value}
        sink.write(frames, row)
    sink.close()
    return folder


def numbers(path: Path) -> List[Dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_figure_and_numbers_go_beside_the_run(run: Path, tmp_path: Path):
    epo(["plot", str(run)])
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"metrics.csv", "curves.png", "curves.svg", "curves.csv"}
    drawn = numbers(run / "curves.csv")
    assert {row["column"] for row in drawn} == {"leader/fitness"}
    assert [(row["x"], row["value"], row["low"]) for row in drawn] == [
        ("32", "1", ""),
        ("48", "2", ""),
    ]


def test_runs_that_differ_in_their_seed_become_one_line(tmp_path: Path):
    flat = [make_run(tmp_path / f"run{i}", "Own", i, [float(i)] * 3) for i in range(3)]
    other = make_run(tmp_path / "other", "Other", 0, [9.0] * 3)
    epo(["plot", *map(str, [*flat, other]), "y=leader/successes"])
    drawn = numbers(tmp_path / "curves.csv")
    own = [row for row in drawn if row["group"] == "Own epo (3 seeds)"]
    # The interquartile mean of 3 seeds cuts none: (0 + 1 + 2) / 3. A bootstrap may draw one
    # seed three times, and 1 in 27 is more than the 2.5 % beyond either end.
    assert {(row["value"], row["low"], row["high"]) for row in own} == {("1", "0", "2")}
    assert {row["value"] for row in drawn if row["group"] == "Other epo"} == {"9"}
    epo(["plot", *map(str, flat), "y=leader/successes", "group=false"])
    names = {row["group"] for row in numbers(tmp_path / "curves.csv")}
    assert names == {"run0", "run1", "run2"}


def test_published_curves_are_drawn_beside_the_run(tmp_path: Path):
    run = make_run(tmp_path / "run", "AllegroKukaReorientation", 0, [1.0, 2.0])
    epo(["plot", str(run), "--bands"])
    drawn = numbers(run / "curves.csv")
    of_paper = [row for row in drawn if row["group"] == "EPO-64 (EPO repo)"]
    assert [row["x"] for row in of_paper] == [f"{i}e+09" for i in range(1, 6)]
    assert (of_paper[-1]["value"], of_paper[-1]["low"]) == ("30.3", "29.5")


def test_published_results_name_tasks_that_exist():
    for task, curves in PUBLISHED.items():
        assert (CONFIG_DIR / "task" / f"{task}.yaml").is_file(), task
        for curve in curves:
            assert len(curve.mean) == len(curve.error) == max(1, len(curve.frames))


def test_watch_ends_with_the_last_run(run: Path, capsys: pytest.CaptureFixture):
    epo(["plot", str(run), "watch=true", f"out={run}/a.svg"])
    assert "at 48 frames" in capsys.readouterr().out


def test_watch_draws_again_when_the_table_has_grown(
    run: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    looks = []

    def goes_on(folder: RunFolder) -> bool:
        looks.append(folder)
        sink = MetricsCsv(run)
        row = {"iteration": 3 + len(looks), "frames": 100 * len(looks), "leader/fitness": 3.0}
        sink.write(0, row)
        sink.close()
        return len(looks) < 3

    monkeypatch.setattr(drawing, "is_running", goes_on)
    epo(["plot", str(run), "watch=true", "every_s=0.001", f"out={run}/a.svg"])
    printed = capsys.readouterr().out
    assert all(f"at {frames} frames" in printed for frames in (100, 200, 300))


def test_verb_without_arguments_explains_itself(capsys: pytest.CaptureFixture):
    epo(["plot"])
    assert capsys.readouterr().out.startswith("usage: python -m epo plot RUN")


def test_usage_lists_the_verbs(capsys: pytest.CaptureFixture):
    epo([])
    assert "plot" in capsys.readouterr().out


def test_unknown_verb_names_the_nearest():
    with pytest.raises(ConfigError, match="verb=plto: unknown; did you mean plot"):
        epo(["plto"])
