"""Every kernel that the tasks launch on a GPU compiles for GPUs, though none is here.

About 60 modules, two and a half minutes of CPU time for each architecture.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Set, Tuple

import pytest

pytest.importorskip("mujoco_warp", minversion="4.0")

import warp as wp

from tests.tasks.allegro_kuka.doubles import CFG
from tests.tasks.engines.launches import launches_of

TASKS = sorted(path.stem for path in (CFG / "task").glob("AllegroKuka*.yaml"))
ARCHITECTURES = (80, 90, 100)
"""A100; H100 and H200; B200."""
OURS = {"judge", "overwrite"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def blocks() -> Dict[Tuple[Any, int], Set[str]]:
    """All modules with their threads per block and kernels; tasks share most of them."""
    found: Dict[Tuple[Any, int], Set[str]] = {}
    for task in TASKS:
        with pytest.MonkeyPatch.context() as patch:
            launched = launches_of(task, patch).blocks
        names = set().union(*launched.values())
        assert len(names) > 50 and names >= OURS, task
        for key, kernels in launched.items():
            found.setdefault(key, set()).update(kernels)
    return found


@pytest.fixture(autouse=True)
def without_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wp.config, "cache_kernels", False)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_kernels_of_all_eight_tasks_compile(blocks: Any, arch: int, tmp_path: Path):
    assert len(TASKS) == 8
    for number, ((module, block_dim), kernels) in enumerate(blocks.items()):
        code = _compile(module, block_dim, arch, tmp_path / str(number))
        assert f".target sm_{arch}" in code
        entries = [line for line in code.splitlines() if ".entry" in line]
        missing = {name for name in kernels if not any(name in line for line in entries)}
        assert not missing, f"{module.name} lacks {missing}"


def test_broken_kernel_does_not_compile(tmp_path: Path):
    @wp.func_native("this is no C++;")
    def broken(x: float) -> float: ...

    @wp.kernel(module="unique", enable_backward=False)
    def uses_it(x: wp.array(dtype=float)):  # pyright: ignore[reportInvalidTypeForm]
        x[0] = broken(x[0])  # pyright: ignore[reportIndexIssue]

    with pytest.raises(Exception, match="CUDA kernel build failed"):
        _compile(uses_it.module, 256, 90, tmp_path)


def _compile(module: Any, block_dim: int, arch: int, folder: Path) -> str:
    """Compile a module as for launches with `block_dim` threads; give its PTX."""
    own = module.options["block_dim"]
    module.options["block_dim"] = block_dim
    try:
        (path,) = wp.compile_aot_module(module, arch=arch, module_dir=folder, use_ptx=True)
    finally:
        module.options["block_dim"] = own
    return path.read_text()
