from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from epo.record import files
from epo.runner import checkpoint
from epo.runner.checkpoint import CheckpointError, load, save

ROOT = Path(__file__).resolve().parents[2]
STATE = {
    "iteration": 7,
    "frames": 2**40,
    "lr": 1e-4,
    "name": "epo",
    "nothing": None,
    "flag": True,
    "nested": [1, (2.5, {"a": [None]})],
    0: "integer key",
    "large": 2**127 + 1,  # states of numpy's generators
}


def test_load_gives_what_was_saved(tmp_path: Path):
    generator = torch.Generator().manual_seed(3)
    tensors = {
        "weight": torch.nn.Parameter(torch.randn(3, 2)),
        "half": torch.ones(2, dtype=torch.bfloat16),
        "flags": torch.tensor([True, False]),
        "generator": generator.get_state(),
        "empty": torch.zeros(0, 4),
    }
    save(tmp_path / "last.pt", {**STATE, "tensors": tensors})
    loaded = load(tmp_path / "last.pt")
    for name, tensor in tensors.items():
        assert torch.equal(loaded["tensors"][name], tensor)
        assert loaded["tensors"][name].dtype == tensor.dtype
    assert {key: loaded[key] for key in STATE} == STATE


def test_module_and_optimizer_states_survive(tmp_path: Path):
    model, other = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    adam = {  # the shape of Adam's state_dict
        "state": {0: {"step": torch.tensor(1.0), "exp_avg": torch.ones(2, 3)}},
        "param_groups": [{"lr": 1e-4, "betas": (0.9, 0.999), "fused": None, "params": [0, 1]}],
    }
    save(tmp_path / "a.pt", {"model": model.state_dict(), "adam": adam})
    loaded = load(tmp_path / "a.pt")
    other.load_state_dict(loaded["model"])
    assert torch.equal(other.weight, model.weight)
    assert loaded["adam"]["param_groups"] == adam["param_groups"]
    assert torch.equal(loaded["adam"]["state"][0]["exp_avg"], torch.ones(2, 3))


@pytest.mark.parametrize(
    ("state", "where"),
    [
        ({"rng": {"numpy": np.zeros(3)}}, r"state\['rng'\]\['numpy'\] is a numpy\.ndarray"),
        ({"fitness": [0.5, np.float32(1.0)]}, r"state\['fitness'\]\[1\] is a numpy\.float32"),
        ({"path": Path("x")}, r"state\['path'\] is a pathlib"),
        ({"set": {1, 2}}, r"state\['set'\] is a builtins\.set"),
        ({"stop": signal.SIGINT}, r"state\['stop'\] is a signal\.Signals"),
        ({"table": {(1, 2): 3}}, r"state\['table'\] has the key \(1, 2\)"),
    ],
)
def test_anything_but_plain_types_is_refused_by_its_place(state: Any, where: str, tmp_path: Path):
    save(tmp_path / "last.pt", {"a": 1})
    with pytest.raises(TypeError, match=where):
        save(tmp_path / "last.pt", state)
    assert load(tmp_path / "last.pt") == {"a": 1}


def test_ordered_dict_is_plain():
    assert type(checkpoint.plain(OrderedDict(a=1))) is dict


def test_view_is_saved_without_the_tensor_behind_it(tmp_path: Path):
    buffer = torch.randn(1000, 1000)  # 4 MB
    save(tmp_path / "view.pt", {"row": buffer[5]})
    assert (tmp_path / "view.pt").stat().st_size < 20_000  # 4 kB and torch's own records
    assert torch.equal(load(tmp_path / "view.pt")["row"], buffer[5])


class TinyDisk(io.FileIO):
    """A file on a disk with room for 1000 bytes."""

    def write(self, content: Any) -> int:
        if self.tell() + len(content) > 1000:
            super().write(bytes(content[:1000]))
            raise OSError(28, os.strerror(28))
        return super().write(content)


def test_full_disk_keeps_the_previous_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "last.pt"
    save(path, {"iteration": 1})
    monkeypatch.setattr(files, "open", TinyDisk, raising=False)
    with pytest.raises(CheckpointError, match=r"checkpoint=.*last\.pt: .*No space left.*room"):
        save(path, {"iteration": 2, "weight": torch.zeros(1000)})
    assert load(path) == {"iteration": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_missing_folder_is_a_checkpoint_error(tmp_path: Path):
    with pytest.raises(CheckpointError, match="cannot write it"):
        save(tmp_path / "nowhere" / "last.pt", {"iteration": 1})


SAVE_FOREVER = """
import sys, torch
from pathlib import Path
from epo.runner.checkpoint import save
iteration = 0
while True:
    iteration += 1
    save(Path(sys.argv[1]), {"iteration": iteration, "weight": torch.full((250_000,), iteration)})
    print(iteration, flush=True)
"""


def test_kill_while_saving_leaves_a_complete_checkpoint(tmp_path: Path):
    path = tmp_path / "last.pt"
    with subprocess.Popen(
        [sys.executable, "-c", SAVE_FOREVER, str(path)], cwd=str(ROOT), stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        done = 0
        for _ in range(5):
            done = int(process.stdout.readline())
        process.kill()  # most likely inside of a save: the loop does nothing else
    loaded = load(path)
    assert loaded["iteration"] >= done
    assert bool((loaded["weight"] == loaded["iteration"]).all())


def damaged(content: bytes, kind: str) -> bytes:
    if kind == "truncated":
        return content[: len(content) // 2]
    if kind == "one bit flipped":  # in the middle of the tensor, where torch.load takes it
        middle = len(content) // 2
        return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    return {"empty": b"", "text": b"no checkpoint at all\n"}[kind]


@pytest.mark.parametrize("kind", ["truncated", "one bit flipped", "empty", "text"])
def test_damaged_file_is_one_clear_line(kind: str, tmp_path: Path):
    path = tmp_path / "last.pt"
    save(path, {"weight": torch.zeros(10_000)})
    path.write_bytes(damaged(path.read_bytes(), kind))
    with pytest.raises(
        CheckpointError, match=r"checkpoint=.*damaged or no.*choose another"
    ) as caught:
        load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        {"model": {"weight": torch.zeros(2)}},  # plain, but of somebody else
        [1, 2],
        {"epoch": np.zeros(3)},  # rl_games saves numpy objects
        {"config": Path("x")},
    ],
)
def test_foreign_file_is_one_clear_line(content: Any, tmp_path: Path):
    torch.save(content, str(tmp_path / "foreign.pth"))
    with pytest.raises(CheckpointError, match="written by another program") as caught:
        load(tmp_path / "foreign.pth")
    assert "\n" not in str(caught.value)


def test_archive_of_another_kind_is_refused(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(CheckpointError) as caught:
        load(tmp_path / "data.zip")
    assert "\n" not in str(caught.value)


def test_missing_file_is_a_checkpoint_error(tmp_path: Path):
    with pytest.raises(CheckpointError, match="there is no such file"):
        load(tmp_path / "last.pt")


def test_other_format_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    save(tmp_path / "last.pt", {"iteration": 1})
    monkeypatch.setattr(checkpoint, "VERSION", checkpoint.VERSION + 1)
    with pytest.raises(CheckpointError, match="format version 1, this epo reads version 2"):
        load(tmp_path / "last.pt")
