"""Does an environment keep the `VecEnv` contract? One line says what does not."""

from __future__ import annotations

from typing import Any, List, NoReturn, Optional, Tuple

import torch
from torch import Tensor

from epo.envs import EnvSpec, StateEnv, Step, VecEnv

METHODS = ("reset", "step", "state_dict", "load_state_dict", "close")
NUM_STEPS = 3


class ContractError(ValueError):
    """An environment that breaks the contract of `epo.envs.VecEnv`; the message is one line."""


def check_env(env: VecEnv, num_steps: int = NUM_STEPS) -> None:
    """Reset and step an environment with random actions, and refuse what breaks the contract.

    It is reset again afterwards, so a run begins with new episodes.

    Args:
        env: the environment.
        num_steps: control steps.

    Raises:
        ContractError: naming what is wrong and what it must be.
    """
    spec = getattr(env, "spec", None)
    if not isinstance(spec, EnvSpec):
        _break("spec", f"is {_kind(spec)}", "an epo.envs.EnvSpec")
    if not isinstance(getattr(env, "device", None), torch.device):
        _break("device", f"is {_kind(getattr(env, 'device', None))}", "a torch.device")
    missing = [name for name in METHODS if not callable(getattr(env, name, None))]
    if missing:
        _break(", ".join(missing), "missing", "methods, see epo.envs.VecEnv")
    _check_spec(spec)
    _check_tensor("reset()", env.reset(), _rows(spec), [torch.float32], env.device)
    if spec.state_dim:
        if not isinstance(env, StateEnv):
            _break("present_state", "missing", "a method, see epo.envs.StateEnv")
        rows = [spec.num_envs, spec.state_dim]
        _check_tensor("present_state()", env.present_state(), rows, [torch.float32], env.device)
    generator = torch.Generator().manual_seed(0)
    for _ in range(num_steps):
        action = _random_action(spec, generator).to(env.device)
        _check_step(env.step(action), spec, env.device)
    if not isinstance(env.state_dict(), dict):
        _break("state_dict()", f"gives {_kind(env.state_dict())}", "a dict")
    env.reset()


def _check_spec(spec: EnvSpec) -> None:
    for name in ("num_envs", "observation_dim", "action_dim"):
        value = getattr(spec, name)
        if not isinstance(value, int) or value < 1:
            _break(f"spec.{name}", f"is {value!r}", "a whole number of at least 1")
    if not spec.control_dt_s > 0:
        _break("spec.control_dt_s", f"is {spec.control_dt_s!r}", "a duration above 0, s")
    if spec.choices and len(spec.choices) != spec.action_dim:
        way_out = f"one number for each of the {spec.action_dim} components of an action"
        _break("spec.choices", f"has {len(spec.choices)} entries", way_out)
    unknown = {spec.objective, *filter(None, [spec.success])} - {*spec.metrics, "episode_return"}
    if spec.metrics and unknown:
        name = sorted(unknown)[0]
        _break("spec.metrics", f"lacks {name!r}", "the names of all metrics, the objective too")


def _check_step(step: Any, spec: EnvSpec, device: torch.device) -> None:
    if not isinstance(step, Step):
        _break("step()", f"gives {_kind(step)}", "an epo.envs.Step")
    n = [spec.num_envs]
    _check_tensor("step().observation", step.observation, _rows(spec), [torch.float32], device)
    _check_tensor("step().reward", step.reward, n, [torch.float32], device)
    for name in ("terminated", "truncated"):
        _check_tensor(f"step().{name}", getattr(step, name), n, [torch.bool], device)
    if bool((step.terminated & step.truncated).any()):
        _break("step().truncated", "is set where terminated is", "False there")
    _check_tensor(
        "step().final_observation", step.final_observation, _rows(spec), [torch.float32], device
    )
    for name in ("state", "final_state") if spec.state_dim else ():
        rows = [spec.num_envs, spec.state_dim]
        _check_tensor(f"step().{name}", getattr(step, name), rows, [torch.float32], device)
    if spec.has_invalid_steps != (step.valid is not None):
        given = "is missing" if step.valid is None else "is given"
        _break("step().valid", given, "as spec.has_invalid_steps says")
    for name in ("valid", "is_partial"):
        if getattr(step, name) is not None:
            _check_tensor(f"step().{name}", getattr(step, name), n, [torch.bool], device)
    _check_numbers(step, spec, device)


def _check_numbers(step: Step, spec: EnvSpec, device: torch.device) -> None:
    if spec.objective not in (*step.metrics, "episode_return") or "fitness" not in step.metrics:
        have = ", ".join(step.metrics) or "none"
        _break("step().metrics", f"has {have}", f"fitness and {spec.objective}")
    unnamed = [name for name in step.metrics if spec.metrics and name not in spec.metrics]
    if unnamed:
        _break("step().metrics", f"has {unnamed[0]!r}", "named in spec.metrics")
    for name, value in step.metrics.items():
        _check_tensor(f"step().metrics[{name!r}]", value, [spec.num_envs], None, device)
    for name, value in step.scalars.items():
        _check_tensor(f"step().scalars[{name!r}]", value, [], None, device)


def _check_tensor(
    what: str,
    value: Any,
    shape: List[int],
    dtypes: Optional[List[torch.dtype]],
    device: torch.device,
) -> None:
    if not isinstance(value, Tensor):
        _break(what, f"is {_kind(value)}", f"a tensor {shape}")
    if list(value.shape) != shape:
        _break(what, f"has the shape {list(value.shape)}", str(shape))
    if dtypes is not None and value.dtype not in dtypes:
        _break(what, f"is {value.dtype}", " or ".join(map(str, dtypes)))
    same_index = device.index is None or value.device.index == device.index
    if value.device.type != device.type or not same_index:
        _break(what, f"is on {value.device}", f"on {device}, the device of the environment")
    if value.is_floating_point() and not bool(torch.isfinite(value).all()) and dtypes is not None:
        _break(what, "holds numbers that are not finite", "finite everywhere")


def _random_action(spec: EnvSpec, generator: torch.Generator) -> Tensor:
    shape: Tuple[int, int] = (spec.num_envs, spec.action_dim)
    uniform = torch.rand(shape, generator=generator)
    if not spec.choices:
        return 2.0 * uniform - 1.0
    return (uniform * torch.tensor(spec.choices)).floor()


def _rows(spec: EnvSpec) -> List[int]:
    return [spec.num_envs, spec.observation_dim]


def _kind(value: Any) -> str:
    return "missing" if value is None else f"a {type(value).__module__}.{type(value).__qualname__}"


def _break(what: str, found: str, wanted: str) -> NoReturn:
    """Return what is wrong.

    Raises:
        ContractError: always.
    """
    raise ContractError(f"the environment's {what} {found}; it must be {wanted}")
