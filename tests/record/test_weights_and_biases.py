from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Dict, List, Tuple

import pytest

from epo.config import ConfigError, RecordCfg
from epo.record.weights_and_biases import Wandb


class Service(SimpleNamespace):
    """What `Wandb` uses of the package: `init`, `Error`, a run with `step`, `log`, `finish`."""

    class Error(Exception):
        pass

    def __init__(self, step: int = 0) -> None:
        super().__init__()
        self.settings: Dict[str, Any] = {}
        self.logged: List[Tuple[int, Dict[str, float]]] = []
        self.step = step
        self.is_refusing = False

    def init(self, **settings: Any) -> Service:
        if self.is_refusing:
            raise self.Error("api_key not configured")
        self.settings = settings
        return self

    def log(self, values: Dict[str, float], step: int) -> None:
        self.logged.append((step, values))


def connect(service: Service, run: Path, monkeypatch: pytest.MonkeyPatch) -> Wandb:
    monkeypatch.setitem(sys.modules, "wandb", service)
    for name in ("WANDB__DISABLE_META", "WANDB_DISABLE_CODE"):
        monkeypatch.setenv(name, "")
    return Wandb(run, RecordCfg(wandb="offline", wandb_project="hands"), {"seed": 3})


def test_resumed_run_keeps_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first, second = Service(), Service()
    connect(first, tmp_path, monkeypatch)
    connect(second, tmp_path, monkeypatch)
    assert first.settings["id"] == second.settings["id"]
    assert first.settings["id"] == (tmp_path / "wandb_id.txt").read_text().strip() != ""
    assert first.settings["config"] == {"seed": 3}
    assert first.settings["mode"] == "offline"
    assert first.settings["project"] == "hands"
    # Neither the remote, the diff nor what is printed: secrets may be in them.
    assert first.settings["settings"] == {"disable_git": True, "console": "off"}
    assert os.environ["WANDB__DISABLE_META"] == "true"


def test_finite_metrics_and_numbers_of_generations_are_logged_over_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    service = Service()
    sink = connect(service, tmp_path, monkeypatch)
    sink.write(16, {"kl": 0.5, "leader/fitness": float("nan")})
    sink.generation({"frames": 16, "generation": 2, "operator": "average"})
    assert service.logged == [
        (16, {"kl": 0.5}),
        (16, {"generation/frames": 16, "generation/generation": 2}),
    ]


def test_rows_that_are_there_already_are_not_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    service = Service(step=32)  # the killed session got there
    sink = connect(service, tmp_path, monkeypatch)
    for frames in (16, 32, 48):
        sink.write(frames, {"kl": 0.5})
    assert [step for step, _ in service.logged] == [32, 48]


def test_refused_login_names_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    service = Service()
    service.is_refusing = True
    with pytest.raises(ConfigError, match=r"record\.wandb=offline: .*wandb login"):
        connect(service, tmp_path, monkeypatch)
