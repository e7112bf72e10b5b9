"""`python -m epo bench compare`, and the one form of all results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List

import pytest

from epo.__main__ import main as epo_main
from epo.cli.bench.compare import FASTER, SAME, SLOWER, verdict
from epo.cli.bench.result import SCHEMA, Measure, measures, print_result, read
from epo.config import ConfigError


def result(**changes: Any) -> Dict[str, Any]:
    row = {"num_envs": 8, "fps": 100.0, "fps_min": 95.0, "fps_max": 105.0, "memory": 3.0}
    content: Dict[str, Any] = {
        "schema": SCHEMA,
        "bench": "sim",
        "device_name": "cpu: x",
        "cores": 2,
        "load": 0.1,
        "settings": ["b=2", "a=1"],
        "keys": ["num_envs"],
        "rows": [row],
    }
    row.update({name: changes.pop(name) for name in list(changes) if name in row})
    return {**content, **changes}


def write(path: Path, *results: Dict[str, Any]) -> str:
    text = "a table\n{not json\n" + "".join(f"{json.dumps(each)}\n" for each in results)
    path.write_text(text)
    return str(path)


def test_results_say_where_they_are_from(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    row = {"num_envs": 8, "fps": 2.0, "fps_min": 1.0, "fps_max": 3.0, "ratio": 1.0}
    print_result("sim", "cpu", ["seed=1"], ["num_envs"], [row], {"engine": "1.0"}, task="Some")
    path = tmp_path / "out.txt"
    path.write_text(capsys.readouterr().out)
    (found,) = read(path)
    assert (found["schema"], found["bench"], found["task"]) == (SCHEMA, "sim", "Some")
    assert {"commit", "is_changed", "time", "device_name", "cores", "load"} <= set(found)
    assert found["versions"]["simulators"]["engine"] == "1.0"
    assert list(measures([found]).values()) == [Measure(2.0, 1.0, 3.0)]


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (Measure(120.0, 110.0, 130.0), FASTER),
        (Measure(120.0, 104.0, 130.0), SAME),  # the ranges touch
        (Measure(80.0, 70.0, 90.0), SLOWER),
        (Measure(106.0, 105.5, 107.0), SAME),  # apart, but by less than a tenth
    ],
)
def test_a_change_is_beyond_the_ranges_and_not_small(after: Measure, expected: str):
    assert verdict(Measure(100.0, 95.0, 105.0), after, least=0.1) == expected


def test_repeated_measurements_have_the_range_of_them_all():
    slow = result(fps=80.0, fps_min=70.0, fps_max=90.0, settings=["a=1", "b=2"])
    (merged,) = measures([result(), slow]).values()
    assert merged == Measure(90.0, 70.0, 105.0)


def test_compare_says_what_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    other = result(settings=["c=1"])
    before = write(tmp_path / "a", result(), other)
    slower = write(tmp_path / "b", result(fps=80.0, fps_min=70.0, fps_max=90.0, cores=4, load=3.0))
    with pytest.raises(SystemExit) as end:
        epo_main(["bench", "compare", before, slower])
    printed = capsys.readouterr()
    assert end.value.code == 1
    assert "-20.0%" in printed.out and "0 faster, 1 slower, 0 within noise" in printed.out
    assert "in one file only: 1 rates before, 0 after" in printed.out
    assert (
        "cores differs: 2 before, 4" in printed.err and "load 3.0 on 4 cores after" in printed.err
    )
    epo_main(["bench", "compare", slower, before])
    assert "1 faster" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{a}"], "name two files"),
        (["{a}", "nowhere"], "results=nowhere: cannot be read"),
        (["{a}", "{empty}"], "holds no line of JSON"),
        (["{a}", "{newer}"], "schema 99 is of a newer epo"),
        (["{a}", "{other}"], "no rate is in both"),
        (["{a}", "{a}", "least=2"], "least=2.0: use a share"),
    ],
)
def test_bad_input_is_one_line(words: List[str], message: str, tmp_path: Path):
    names = {
        "a": write(tmp_path / "a", result()),
        "empty": write(tmp_path / "empty"),
        "newer": write(tmp_path / "newer", result(schema=99)),
        "other": write(tmp_path / "other", result(bench="learn")),
    }
    with pytest.raises(ConfigError, match=message) as error:
        epo_main(["bench", "compare", *(word.format(**names) for word in words)])
    assert "\n" not in str(error.value)
