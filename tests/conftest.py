"""Set-up of every test process, and what every test must leave as it was."""

from __future__ import annotations

import os
import random
import signal
from typing import Any, Iterator, List

import pytest

# Before torch is imported. Parallel test processes share the cores: one thread each; alone two
# are enough for tensors of this size.
os.environ.setdefault("OMP_NUM_THREADS", "1" if "PYTEST_XDIST_WORKER" in os.environ else "2")

# A shell lets what it starts in the background ignore Ctrl-C, and commands under test inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import numpy as np
import torch

import epo.cli.compose
from tests.composed import quick_compose

TOGETHER = "tests/tasks/engines/"
"""Files that share compiled kernels: one process runs all of them."""
APART = "tests/tasks/engines/test_warp_compile.py"
"""Minutes for every test, and nothing that they share."""


def pytest_collection_modifyitems(items: List[pytest.Item]) -> None:
    """Begin with the folders of the long tests, which are the last ones by name."""
    items.sort(key=lambda item: item.nodeid.partition("::")[0], reverse=True)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give every file to one process, whose fixtures and kernels its tests share."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            if path == APART:
                return nodeid
            return TOGETHER if path.startswith(TOGETHER) else path

    config.option.loadscopereorder = False
    return ByFile(config, log)


@pytest.fixture(scope="session", autouse=True)
def _quick_commands() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    """Let commands that run in this process compose each choice of groups once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(epo.cli.compose, "compose", quick_compose)
        yield


@pytest.fixture(autouse=True)
def _same_process() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    """Begin every test alike, whatever ran before it, and refuse those that change the process.

    Torch's threads are put back: a command may choose them.
    """
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    threads, dtype, folder = torch.get_num_threads(), torch.get_default_dtype(), os.getcwd()
    yield
    torch.set_num_threads(threads)
    assert torch.get_default_dtype() == dtype, "the test changed torch's default dtype"
    assert os.getcwd() == folder, "the test changed the working directory"
