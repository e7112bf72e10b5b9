from __future__ import annotations

import pytest

from epo.cli.sweep import launcher
from epo.config import ConfigError


def test_known_launchers_pass():
    launcher.check(["-m", "seed=1,2"])
    launcher.check(["-m", "seed=1,2", "hydra/launcher=basic"])


def test_unknown_launcher_is_one_line_with_the_nearest_name():
    with pytest.raises(ConfigError, match=r"hydra/launcher=jobib: unknown; did you mean joblib\?"):
        launcher.check(["-m", "hydra/launcher=jobib"])


def test_other_sweeper_is_refused():
    with pytest.raises(ConfigError, match=r"hydra/sweeper=ax: unknown; .*launch\.tune"):
        launcher.check(["-m", "hydra/sweeper=ax"])


@pytest.mark.parametrize(("name", "extra"), [("joblib", "joblib"), ("slurm", "slurm")])
def test_missing_package_is_named(name: str, extra: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(launcher, "PACKAGES", {**launcher.PACKAGES, name: "no.such_package"})
    with pytest.raises(ConfigError, match=rf"its package is missing: .*'\.\[{extra}\]'"):
        launcher.check([f"hydra/launcher={name}"])


def test_slurm_needs_sbatch(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(launcher, "_is_installed", lambda name: True)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError, match="hydra/launcher=slurm: there is no sbatch here"):
        launcher.check(["hydra/launcher=slurm"])


@pytest.mark.parametrize("number", ["0", "many"])
def test_number_of_jobs_is_checked(number: str):
    with pytest.raises(ConfigError, match=f"hydra.launcher.n_jobs={number}: give the number"):
        launcher.check([f"hydra.launcher.n_jobs={number}"])


def test_joblib_gets_as_many_jobs_as_there_is_room_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(launcher, "core_ids", lambda: [0, 1, 2])
    hydra = {"hydra/launcher": "joblib"}
    monkeypatch.setattr(launcher.slots, "gpus", list)
    assert launcher.arguments(hydra, 9) == ["hydra.launcher.n_jobs=3"]
    assert launcher.arguments(hydra, 2) == ["hydra.launcher.n_jobs=2"]
    monkeypatch.setattr(launcher.slots, "gpus", lambda: ["0", "1"])
    assert launcher.arguments(hydra, 9) == ["hydra.launcher.n_jobs=2"]
    assert launcher.arguments({**hydra, "hydra.launcher.n_jobs": "1"}, 9) == []
    assert launcher.arguments({}, 9) == []
    assert launcher.num_slots({"n_jobs": -1}) == 3
