from __future__ import annotations

from pathlib import Path

import pytest

from epo.__main__ import main as epo
from epo.cli.diagnose import USAGE, diagnose
from epo.config import ConfigError
from epo.record.csv import MetricsCsv
from epo.record.files import write_text
from tests.record.test_health import healthy


def record(folder: Path, ess: float, num: int = 100) -> Path:
    folder.mkdir(exist_ok=True)
    sink = MetricsCsv(folder)
    for i in range(1, num + 1):
        sink.write(16 * i, {**healthy(i), "health/ess": ess})
    sink.close()
    return folder


def test_healthy_run_is_said_to_be_so(tmp_path: Path, capsys: pytest.CaptureFixture):
    epo(["diagnose", str(record(tmp_path / "run", 0.5))])
    assert capsys.readouterr().out == f"{tmp_path}/run: 100 updates, no rule fired\n"


def test_sick_run_is_shown_with_when_why_and_what_to_try(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "200")
    sick, well = record(tmp_path / "sick", 0.01), record(tmp_path / "well", 0.5)
    epo(["diagnose", str(sick), str(well / "metrics.csv")])
    out = capsys.readouterr().out
    assert "H9 off-policy data useless (2×)" in out
    for text in ("21", "336", "effective share 1.0% of a source", "lower algo.aggregation.ratio"):
        assert text in out
    assert out.endswith("well: 100 updates, no rule fired\n")


def test_thresholds_are_those_of_the_run_unless_others_are_given(tmp_path: Path):
    run = record(tmp_path / "run", 0.05)
    assert len(diagnose(run / "metrics.csv").findings) == 2
    write_text(run / "config.yaml", "record: {health: {low_ess: 0.02, of_another_version: 1}}\n")
    assert diagnose(run / "metrics.csv").findings == []
    assert len(diagnose(run / "metrics.csv", ["low_ess=0.06"]).findings) == 2


def test_run_without_health_columns_says_how_little_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture
):
    sink = MetricsCsv(tmp_path)
    sink.write(16, {"iteration": 1, "frames": 16, "kl": 0.01})
    sink.close()
    epo(["diagnose", str(tmp_path)])
    assert "algo.diagnostics was off" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{run}/nowhere"], "run=.*there is no metrics.csv"),
        (["{run}", "low_es=1"], "low_es=1: is not a threshold; choose from .*low_ess"),
        (["{run}", "low_ess=little"], "low_ess=little: "),
    ],
)
def test_mistake_is_one_line(arguments, message: str, tmp_path: Path):
    run = record(tmp_path / "run", 0.5, num=3)
    with pytest.raises(ConfigError, match=message) as caught:
        epo(["diagnose", *(argument.format(run=run) for argument in arguments)])
    assert "\n" not in str(caught.value)


def test_without_arguments_it_explains_itself(capsys: pytest.CaptureFixture):
    epo(["diagnose"])
    assert capsys.readouterr().out == USAGE
