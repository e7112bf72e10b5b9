"""The cores that threads are worth starting for."""

from __future__ import annotations

from pathlib import Path
from typing import Dict

import pytest

from epo import cores


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "200000 100000\n"}, 2.0),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "150000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_quota_of_a_container_is_read(tmp_path: Path, files: Dict[str, str], quota: float):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert cores.cpu_quota(tmp_path) == quota


@pytest.mark.parametrize(
    ("quota", "expected"), [("max", 8), ("250000", 2), ("50000", 1), ("1600000", 8)]
)
def test_threads_are_no_more_than_cores_and_quota(
    tmp_path: Path, monkeypatch, quota: str, expected: int
):
    (tmp_path / "cpu.max").write_text(f"{quota} 100000")
    monkeypatch.setattr(cores, "CGROUP", tmp_path)
    monkeypatch.setattr(cores, "core_ids", lambda: [*range(8)])
    assert cores.granted_cores() == expected
