"""Warp starts silently, keeps its kernels where told and says what takes long."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

pytest.importorskip("warp")

from tasks.engines import warp_setup


def test_start_prints_nothing_and_keeps_kernels_where_told(tmp_path):
    code = (
        "import torch\nfrom tasks.engines import warp_setup\n"
        f"warp_setup.start(torch.device('cpu'), {str(tmp_path)!r})\n"
        "import warp\nassert warp.config.kernel_cache_dir.startswith("
        f"{str(tmp_path)!r}), warp.config.kernel_cache_dir"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert list(tmp_path.iterdir())


def test_first_compilation_is_announced_once(caplog, monkeypatch):
    monkeypatch.setattr(warp_setup._Messages, "is_told", False)
    messages = warp_setup._Messages()
    messages.info("Module a load on device 'cuda:0' took 3.00 ms  (cached)")
    assert not caplog.records
    for _ in range(2):
        messages.info("Module b load on device 'cuda:0' took 3000.00 ms  (compiled)")
    assert len([r for r in caplog.records if r.levelno == logging.WARNING]) == 1
