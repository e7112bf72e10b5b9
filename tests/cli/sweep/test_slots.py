from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from epo.cli.sweep import slots
from epo.config import ConfigError
from epo.cores import core_ids


def test_cores_and_gpus_are_dealt_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(slots, "core_ids", lambda: [0, 1, 2, 3, 4])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-7")
    dealt = slots.deal(tmp_path, 2)
    assert [slot.cores for slot in dealt] == [[0, 2, 4], [1, 3]]
    assert [slot.environment["CUDA_VISIBLE_DEVICES"] for slot in dealt] == ["3", "GPU-7"]
    assert [slot.environment["OMP_NUM_THREADS"] for slot in dealt] == ["3", "2"]
    # More runs than cores or GPUs share them.
    dealt = slots.deal(tmp_path, 7)
    assert [slot.cores for slot in dealt[4:]] == [[4], [0], [1]]
    assert [slot.gpu for slot in dealt[:3]] == ["3", "GPU-7", "3"]


@pytest.mark.parametrize("value", ["", "-1"])
def test_hidden_gpus_are_not_dealt_out(value: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert slots.gpus() == []


def test_slot_is_held_by_one_and_given_back(tmp_path: Path):
    dealt = slots.deal(tmp_path, 2)
    with slots.take(dealt) as first, slots.take(dealt) as second:
        assert first != second
        with pytest.raises(ConfigError, match="n_jobs=2: all of them are busy"), slots.take(dealt):
            pass
    with slots.take(dealt) as again:
        assert again == first


def test_process_keeps_to_its_share_and_is_known(tmp_path: Path):
    code = "import os; print(sorted(os.sched_getaffinity(0)), os.environ['OMP_NUM_THREADS'])"
    with slots.take(slots.deal(tmp_path, len(core_ids()))) as slot:
        process = subprocess.Popen(
            [sys.executable, "-c", f"input(); {code}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=slot.environment,
        )
        slot.keep(process)
        assert slots.pids(tmp_path) == [process.pid]
        printed, _ = process.communicate(b"\n", timeout=60)
    assert printed.decode().split("\n")[0] == f"{slot.cores} 1"
    assert slots.pids(tmp_path) == []
