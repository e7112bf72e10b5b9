"""Whether a checkpoint fits a run: load it, or say in one line what does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Mapping

from torch import Tensor

from epo.envs import EnvError, EnvSpec
from epo.runner.checkpoint import CheckpointError
from epo.runner.loop import Loop, sizes

_MISFITS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What loading a state of other shapes or types raises."""


def restore(trainer: Loop, state: Dict[str, Any], path: Path) -> None:
    """Continue where `state` was taken.

    Raises:
        CheckpointError: if it is of another task, network or size; the message has both sizes.
    """
    _check_spec(trainer.env.spec, state, path)
    try:
        trainer.load_state_dict(state)
    except EnvError:
        raise
    except _MISFITS as error:
        reason = misfit(trainer.policy_state(), state) or _first_line(error)
        raise CheckpointError(path, f"does not fit this run ({reason})") from error


def load_weights(trainer: Loop, state: Dict[str, Any], path: Path) -> None:
    """Start from the networks and normalisers of a checkpoint.

    Raises:
        CheckpointError: if they have other shapes; the message has both.
    """
    _check_spec(trainer.env.spec, state, path)
    try:
        trainer.load_policy(state)
    except _MISFITS as error:
        reason = misfit(trainer.policy_state(), state) or _first_line(error)
        raise CheckpointError(
            path,
            f"its network does not fit ({reason}); use the task, num_agents and algo.network it "
            "was trained with (config.yaml of its run)",
        ) from error


def misfit(own: Mapping[str, Any], saved: Any, where: str = "") -> str:
    """Name the first tensor of `own` that `saved` has not, or in another shape; empty: none.

    Args:
        own: nested dicts of tensors, as they are here.
        saved: the same from a checkpoint.
        where: path of `own` in the whole state.
    """
    for name, value in own.items():
        path = f"{where}{name}"
        if not isinstance(saved, Mapping) or name not in saved:
            return f"it has no {path}"
        found = saved[name]
        if isinstance(value, Mapping):
            reason = misfit(value, found, f"{path}.")
            if reason:
                return reason
        elif isinstance(value, Tensor):
            if not isinstance(found, Tensor):
                return f"its {path} is a {type(found).__name__}, not a tensor"
            if found.shape != value.shape:
                return f"its {path} is {list(found.shape)}, here it is {list(value.shape)}"
    extra = [name for name in saved if name not in own] if where else []
    return f"its {where}{extra[0]} has no place here" if extra else ""


def _check_spec(spec: EnvSpec, state: Mapping[str, Any], path: Path) -> None:
    """Refuse a checkpoint of a task with other observations or actions."""
    saved = state.get("sizes")
    if not isinstance(saved, Mapping):  # of an earlier epo
        return
    for name, size in sizes(spec).items():
        if saved.get(name, size) != size:
            raise CheckpointError(
                path,
                f"it was trained on {saved[name]} {name} numbers, {spec.name} has {size}; use the "
                "task of its run (config.yaml)",
            )


def _first_line(error: BaseException) -> str:
    text = str(error).partition("\n")[0]
    if isinstance(error, KeyError):
        return f"it has no {text}"
    return text or type(error).__name__
