"""Checkpoints: plain types and tensors, written atomically, refused when damaged."""

from __future__ import annotations

import io
import os
import pickle
import re
import zipfile
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, List, Mapping, Union

import torch
from torch import Tensor

from epo.config import ConfigError
from epo.record.files import atomic_write
from epo.runner.finite import check_finite_state
from epo.runner.guard import NonFiniteError

FORMAT = "epo-checkpoint"
VERSION = 1
"""Raised when an older checkpoint can no longer be read as it is."""
_SCALARS = (type(None), bool, int, float, str)


class CheckpointError(ConfigError):
    """A checkpoint that cannot be written or read."""

    def __init__(self, path: Path, way_out: str) -> None:
        super().__init__("checkpoint", path, way_out)


def save(path: Path, state: Dict[str, Any], keep: int = 1) -> None:
    """Write `state` to `path`; whatever happens, a complete checkpoint stays there.

    The file is serialised in memory first: a state that cannot be saved never touches the
    disk, and a full disk is reported as such (torch's own writer hides the reason).

    Args:
        path: file in an existing folder.
        state: nested dicts, lists and tuples of None, bool, int, float, str and tensors;
            tensors are saved from any device and may be views.
        keep: checkpoints that are kept, this one included; the ones before get the names of
            `kept`.

    Raises:
        TypeError: if something else is in it; the message names where.
        NonFiniteError: if a number in it is NaN or infinite; the message names where.
        CheckpointError: if the disk is full or not writable.
    """
    state = plain(state)
    check_finite_state(state)
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, "version": VERSION, "state": state}, buffer)
    try:
        with atomic_write(path, before=lambda: _rotate(path, keep)) as file:
            file.write(buffer.getbuffer())
    except OSError as error:
        raise CheckpointError(
            path,
            f"cannot write it ({error.strerror}); the previous checkpoint is unharmed, make "
            "room or choose another run_dir",
        ) from error


def load(path: Path, device: Union[str, torch.device] = "cpu") -> Dict[str, Any]:
    """Read what `save` wrote.

    Args:
        path: the checkpoint.
        device: where its tensors go. States of random generators belong on the CPU, so a
            whole run is loaded there, and every `load_state_dict` copies to its own device.

    Raises:
        CheckpointError: if the file is missing, damaged, foreign or of another version.
    """
    try:
        _check_sums(path)
        content = torch.load(str(path), map_location=device, weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(path, "there is no such file") from error
    except pickle.UnpicklingError as error:
        raise CheckpointError(path, "written by another program; " + _WAY_OUT) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise CheckpointError(path, f"damaged or no checkpoint ({error}); " + _WAY_OUT) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(path, "written by another program; " + _WAY_OUT)
    version, state = content.get("version"), content.get("state")
    if version != VERSION:
        raise CheckpointError(
            path,
            f"has format version {version}, this epo reads version {VERSION}; "
            "use the epo that wrote it (versions.json of its run)",
        )
    if not isinstance(state, dict):
        raise CheckpointError(path, f"damaged: its state is a {type(state).__name__}; " + _WAY_OUT)
    return state


def check_run_state(path: Path, state: Mapping[str, Any]) -> None:
    """Refuse a checkpoint that no run can continue from.

    Raises:
        CheckpointError: naming what is wrong with it.
    """
    for name, kinds in (("iteration", (int,)), ("frames", (int,)), ("wall_s", (int, float))):
        if type(state.get(name)) not in kinds or state[name] < 0:
            raise CheckpointError(
                path, f"damaged: its {name} is {state.get(name)!r:.40}; {_WAY_OUT}"
            )
    try:
        check_finite_state(state)
    except NonFiniteError as error:
        raise CheckpointError(path, f"{error}; {_WAY_OUT}") from error


def kept(last: Path) -> List[Path]:
    """Return the names of a run's checkpoints, `last` first; killed saves leave gaps."""
    pattern = re.compile(re.escape(last.stem) + r"-(\d+)" + re.escape(last.suffix))
    found = (pattern.fullmatch(path.name) for path in last.parent.glob(f"{last.stem}-*"))
    numbers = sorted(int(match[1]) for match in found if match)
    return [last, *(_numbered(last, number) for number in numbers)]


def _rotate(last: Path, keep: int) -> None:
    """Let `last` be the first of the older ones as well; the caller then replaces it.

    At every moment `last` is there, or what it held is under the next name.
    """
    for path in kept(last)[1:]:
        if int(path.stem.rpartition("-")[2]) >= keep:
            path.unlink()
    if keep < 2 or not last.exists():
        return
    for number in range(keep - 1, 1, -1):
        if _numbered(last, number - 1).exists():
            os.replace(_numbered(last, number - 1), _numbered(last, number))
    previous, temporary = _numbered(last, 1), last.with_name(last.name + ".link.tmp")
    try:
        with suppress(FileNotFoundError):
            temporary.unlink()
        os.link(str(last), str(temporary))
        os.replace(temporary, previous)
        with suppress(FileNotFoundError):  # it stays where both are the same file already
            temporary.unlink()
    except OSError:  # a file system without hard links
        os.replace(last, previous)


def _numbered(last: Path, number: int) -> Path:
    return last.with_name(f"{last.stem}-{number}{last.suffix}")


def plain(value: Any, where: str = "state") -> Any:
    """Copy nested containers, with tensors that do not drag a larger storage along.

    Raises:
        TypeError: at the first thing that `torch.load(weights_only=True)` would refuse.
    """
    kind = type(value)
    if kind in _SCALARS:
        return value
    if isinstance(value, Tensor):
        return _compact(value.detach())
    if kind in (dict, OrderedDict):
        for key in value:
            if type(key) not in (str, int):
                raise TypeError(f"{where} has the key {key!r}; use str or int keys")
        return {key: plain(item, f"{where}[{key!r}]") for key, item in value.items()}
    if kind in (list, tuple):
        return kind(plain(item, f"{where}[{i}]") for i, item in enumerate(value))
    raise TypeError(
        f"{where} is a {kind.__module__}.{kind.__qualname__}; a checkpoint holds None, bool, int, "
        "float, str, tensors (torch.from_numpy for arrays) and dicts, lists, tuples of them"
    )


def _compact(tensor: Tensor) -> Tensor:
    """Copy a view: torch.save would write the whole storage behind it."""
    if tensor.untyped_storage().nbytes() > tensor.numel() * tensor.element_size():
        return tensor.clone()
    return tensor


def _check_sums(path: Path) -> None:
    """Compare the contents with their CRC-32: torch.load does not and takes flipped bits.

    Raises:
        zipfile.BadZipFile: if the file is no archive or a member is damaged.
    """
    with zipfile.ZipFile(str(path)) as archive:
        member = archive.testzip()
    if member is not None:
        raise zipfile.BadZipFile(f"wrong check sum of {member}")


_WAY_OUT = "choose another one, such as last.pt or best.pt in the checkpoints folder of a run"
