"""What is freed stays with the process, where the C library can do that."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from epo import memory
from epo.memory import keep_freed_memory
from tests.stand_in import replace_in

FAULTS = """
import resource, sys
import torch
from epo.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
for i in range(50):
    if i == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(16_000_000)  # 64 MB
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(how: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="needs glibc")
def test_large_tensors_are_not_handed_out_anew():
    # 40 tensors of 15,625 pages. Some are still new: the heap grows until every hole fits.
    assert _faults("keep") < 0.5 * _faults("no")


def test_other_c_libraries_are_left_alone(monkeypatch):
    replace_in(memory, "ctypes.CDLL", lambda name: object(), monkeypatch)
    assert keep_freed_memory() is False
