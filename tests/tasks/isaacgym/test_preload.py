from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any, List, Tuple

import pytest

from tasks.isaacgym import preload
from tests.stand_in import replace_in


@pytest.fixture
def suitable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this Python and this NumPy be the ones that Isaac Gym wants."""
    monkeypatch.setattr(preload, "PYTHON", sys.version_info[:2])
    monkeypatch.setattr(preload, "NUMPY_BELOW", (99,))


@pytest.mark.parametrize("version", [(3, 7), (3, 9), (3, 11)])
def test_another_python_is_named(version: Tuple[int, int]) -> None:
    found = ".".join(map(str, version))
    with pytest.raises(ValueError, match=f"engine=isaacgym .*Python {found}.*needs 3.8"):
        preload.check_python(version)


def test_python_of_the_binaries_passes() -> None:
    preload.check_python((3, 8))


@pytest.mark.parametrize("version", ["1.24.0", "1.26.4", "2.0.1"])
def test_too_new_a_numpy_is_named(version: str) -> None:
    with pytest.raises(ValueError, match=f"below 1.24, this is {version}.*'numpy<1.24'"):
        preload.check_numpy(version)


@pytest.mark.parametrize("version", ["1.21.6", "1.23.5", None])
def test_old_numpy_passes(version: Any) -> None:
    preload.check_numpy(version)


@pytest.mark.parametrize("missing", ["isaacgym", "isaacgymenvs"])
def test_missing_package_is_named_with_the_way_out(
    suitable: None, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    find_spec = {"isaacgym": "here", "isaacgymenvs": "here", missing: None}.get
    replace_in(preload, "importlib.util.find_spec", find_spec, monkeypatch)
    with pytest.raises(ValueError, match=f"{missing} is not installed; .*engine=mujoco_warp"):
        preload.preload()


def test_torch_imported_before_it_is_said_plainly(
    suitable: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_in(preload, "importlib.util.find_spec", lambda name: name, monkeypatch)
    with pytest.raises(ValueError, match=r"torch was imported before it; begin with python train"):
        preload.preload()


@pytest.mark.parametrize(
    ("reason", "hint"),
    [
        ("libpython3.8.so.1.0: cannot open shared object file", "lib folder to LD_LIBRARY_PATH"),
        ("libmem_filesys.so: cannot open shared object file", "linux-x86_64 to LD_LIBRARY_PATH"),
        ("No module named 'scipy'", "install it"),
        ("No gym module found for the active version of Python (3.8)", "see docs/isaacgym.md"),
    ],
)
def test_failed_import_gives_reason_and_remedy_in_one_line(
    suitable: None, monkeypatch: pytest.MonkeyPatch, reason: str, hint: str
) -> None:
    def fail(name: str) -> None:
        raise ImportError(f"{reason}\nmore lines")

    replace_in(preload, "importlib.util.find_spec", lambda name: name, monkeypatch)
    monkeypatch.delitem(sys.modules, "torch")
    replace_in(preload, "importlib.import_module", fail, monkeypatch)
    with pytest.raises(ValueError, match="engine=isaacgym") as error:
        preload.preload()
    assert reason in str(error.value) and hint in str(error.value)
    assert "\n" not in str(error.value)


def test_second_call_imports_nothing(isaacgym: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Torch is there by now, and Python may be another: the first call judged that.
    monkeypatch.setattr(preload, "PYTHON", (2, 7))
    imported: List[str] = []
    replace_in(preload, "importlib.import_module", imported.append, monkeypatch)
    preload.preload()
    assert imported == [] and "torch" in sys.modules
    del sys.modules["isaacgym"]  # for good: monkeypatch would put it back after the fixture is over
    with pytest.raises(ValueError, match=r"engine=isaacgym .*needs 2\.7"):
        preload.preload()


def test_dependency_that_isaacgymenvs_lacks_is_named(
    isaacgym: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tests.tasks.isaacgym.double", None)
    with pytest.raises(ValueError, match=r"engine=isaacgym .*isaacgymenvs: .*double"):
        preload.import_isaacgymenvs()


@pytest.mark.parametrize(
    "line",
    [
        "from rl_games.algos_torch.torch_ext import safe_symlink",
        "import rl_games.common.custom_utils",
    ],
)
def test_fork_without_its_own_rl_games_is_told_how_to_install_it(
    isaacgym: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str
) -> None:
    checkout = tmp_path / "a fork"
    shutil.copytree(str(isaacgym / "isaacgymenvs"), str(checkout / "isaacgymenvs"))
    (checkout / "isaacgymenvs/utils/rlgames_utils.py").write_text(line)
    for package in ("rl_games", "rl_games/algos_torch", "rl_games/common"):
        (tmp_path / "released" / package).mkdir(parents=True)
        (tmp_path / "released" / package / "__init__.py").touch()
    (tmp_path / "released/rl_games/algos_torch/torch_ext.py").write_text("safe_save = None")
    for folder in (tmp_path / "released", checkout):
        monkeypatch.syspath_prepend(str(folder))
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if "rl_games" in name}
    try:
        with pytest.raises(
            ValueError, match=r"^engine=isaacgym .*isaacgymenvs: .*rl_games"
        ) as error:
            preload.import_isaacgymenvs()
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "rl_games"]:
            del sys.modules[name]
        sys.modules.update(before)
    assert f"their own rl_games: pip install -e '{checkout}/rl_games'" in str(error.value)


@pytest.mark.parametrize(
    ("capability", "is_fine"), [((8, 6), True), ((9, 0), False), ((10, 0), False)]
)
def test_gpu_on_which_physx_crashes_is_named(
    monkeypatch: pytest.MonkeyPatch, capability: Tuple[int, int], is_fine: bool
) -> None:
    monkeypatch.setattr(preload, "_gpu", lambda device: ("GPU of tomorrow", capability))
    if is_fine:
        preload.check_device("cuda:0")
        return
    with pytest.raises(ValueError, match=r"device=cuda:1 .*GPU of tomorrow .*engine=mujoco_warp"):
        preload.check_device("cuda:1")


def test_cpu_needs_no_gpu() -> None:
    preload.check_device("cpu")
