"""A run of a sweep: its end decides how the sweep goes on."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra.errors import CompactHydraException

import epo.cli.multirun
from epo.cli.multirun import run_in_process

JOB = SimpleNamespace(
    overrides=SimpleNamespace(task=["seed=1", "algo=ppo"]), job=SimpleNamespace(num=0)
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run a script in the place of train.py."""
    monkeypatch.setattr(epo.cli.multirun, "HydraConfig", SimpleNamespace(get=lambda: JOB))

    def write_and_run(code: str) -> None:
        script = tmp_path / "script.py"
        script.write_text(code)
        run_in_process(str(script))

    return write_and_run


def test_run_gets_the_overrides_of_its_job(run, tmp_path: Path):
    run(f"import sys; open({str(tmp_path / 'out')!r}, 'w').write(' '.join(sys.argv[1:]))")
    assert (tmp_path / "out").read_text() == "seed=1 algo=ppo"


def test_failed_run_is_reported_with_its_overrides(run):
    with pytest.raises(CompactHydraException, match="seed=1 algo=ppo ended with code 3"):
        run("raise SystemExit(3)")


@pytest.mark.parametrize("code", [130, 143])
def test_interrupted_run_ends_the_sweep_with_its_code(run, code: int):
    with pytest.raises(SystemExit) as end:
        run(f"raise SystemExit({code})")
    assert end.value.code == code


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
