"""A run of a sweep: its end decides how the sweep goes on."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from epo.cli import child
from epo.cli.sweep import job
from epo.cli.sweep.table import Table
from tests.composed import composed

BASIC = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
JOBLIB = "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run a script in the place of train.py, as the second run of a sweep."""
    table = Table(tmp_path)
    table.begin(["a", "b"], [["seed=1"], ["seed=2"]])

    def write_and_run(code: str, launcher: str = BASIC) -> str:
        script = tmp_path / "script.py"
        script.write_text(code)
        hydra = SimpleNamespace(
            sweep=SimpleNamespace(dir=str(tmp_path)),
            overrides=SimpleNamespace(task=["seed=2", "algo=ppo"]),
            job=SimpleNamespace(num=1),
            launcher=OmegaConf.create({"_target_": launcher, "n_jobs": 1}),
        )
        monkeypatch.setattr(job, "HydraConfig", SimpleNamespace(get=lambda: hydra))
        monkeypatch.setattr(child, "TRAIN", [sys.executable, str(script)])
        before = signal.getsignal(signal.SIGINT)
        try:
            job.run_in_process(composed("algo=ppo", "max_iterations=2"))
        finally:
            signal.signal(signal.SIGINT, before)
        return table.rows()[1]["state"]

    return write_and_run


def test_run_gets_the_overrides_of_its_job_and_a_folder(run, tmp_path: Path):
    out = tmp_path / "out"
    run(f"import sys; open({str(out)!r}, 'w').write(' '.join(sys.argv[1:]))")
    assert out.read_text() == f"seed=2 algo=ppo run_dir={tmp_path / 'b'} resume=auto"


@pytest.mark.parametrize("launcher", [BASIC, JOBLIB], ids=["basic", "joblib"])
def test_failed_run_is_noted_and_the_sweep_goes_on(run, launcher: str, tmp_path: Path):
    assert run("print('error: no room'); raise SystemExit(3)", launcher) == "failed"
    error = Table(tmp_path).rows()[1]["error"]
    assert error == ("code 3" if launcher == BASIC else "no room")


@pytest.mark.parametrize("code", [130, 143])
def test_interrupted_run_ends_the_sweep_with_its_code(run, code: int):
    with pytest.raises(SystemExit) as end:
        run(f"raise SystemExit({code})")
    assert end.value.code == code


def test_interrupted_run_beside_others_lets_no_other_begin(run, tmp_path: Path):
    run("raise SystemExit(143)", JOBLIB)
    assert (tmp_path / job.STOP).read_text() == "143"
    assert run("raise SystemExit(3)", JOBLIB) == "waiting"  # not failed: it never began


def test_finished_run_is_not_run_again(run, tmp_path: Path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "config.yaml").write_text("seed: 2\n")
    summary = {"status": "finished", "iteration": 2, "frames": 8, "wall_s": 1.0, "metrics": {}}
    (tmp_path / "b" / "summary.json").write_text(json.dumps(summary))
    run(f"open({str(tmp_path / 'ran')!r}, 'w')")
    assert not (tmp_path / "ran").exists()


def test_sigterm_is_left_to_the_run_which_saves_and_ends(run, tmp_path: Path):
    before = signal.getsignal(signal.SIGTERM)
    saved = tmp_path / "saved"
    with pytest.raises(SystemExit) as end:
        run(
            "import os, signal, sys\n"
            "def save(number, frame):\n"
            f"    open({str(saved)!r}, 'w').close()\n"
            "    sys.exit(143)\n"
            "signal.signal(signal.SIGTERM, save)\n"
            f"os.kill({os.getpid()}, signal.SIGTERM)\n"
            "signal.pause()\n"
        )
    assert end.value.code == 143 and saved.exists()
    assert signal.getsignal(signal.SIGTERM) is before
