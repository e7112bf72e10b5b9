"""What was not finite first in an iteration, and where: looked for after a failure only."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Tuple

import torch
from torch import Tensor

from epo.envs import LARGEST_VALUE

Finding = Dict[str, Any]
"""`quantity`, and what is known of its place: `step`, `env`, `agent`, `parameter`, `epoch`, ..."""
OF_TASK = ("observation", "state", "reward")
"""Quantities that the task gives; the others are the learner's."""
_ORDER = ("observation", "state", "mean", "value", "action", "reward")
"""Quantities of a rollout in the order in which a step makes them."""
NUM_COMPONENTS = 8
"""Components of a vector that are named, at most."""


def first_in_rollout(rollout: Mapping[str, Tensor], num_steps: int) -> Optional[Finding]:
    """Find the first number of a rollout that is not finite.

    Args:
        rollout: fields of `epo.rollout.storage.Rollout`, by name.
        num_steps: control steps that were collected, at most T.

    Returns:
        `step` counts from 0 within the rollout; None if all numbers are finite.
    """
    found: List[Tuple[int, int, str]] = []
    for rank, name in enumerate(_ORDER):
        if name not in rollout:
            continue
        # Of a rollout that broke off, the estimates after the last step are old ones.
        is_of_last = name in ("observation", "state") or num_steps == len(rollout["action"])
        values = rollout[name][: num_steps + is_of_last]
        is_wrong = ~torch.isfinite(values.flatten(1)).all(1)  # [T]
        if bool(is_wrong.any()):
            found.append((int(is_wrong.nonzero()[0]), rank, name))
    if not found:
        return None
    step, _, name = min(found)
    values = rollout[name][step]  # [N, ...]
    return _finding(name, values, ~torch.isfinite(values), rollout["agent"], step)


def _finding(name: str, values: Tensor, is_wrong: Tensor, agent: Tensor, step: int) -> Finding:
    """Describe the first environment [N] whose values [N, ...] are wrong."""
    flat, is_wrong = values.reshape(len(values), -1), is_wrong.reshape(len(values), -1)
    envs = is_wrong.any(1).nonzero().flatten()
    env = int(envs[0])
    finding = {
        "quantity": name,
        "value": str(float(flat[env][is_wrong[env]][0])),
        "env": env,
        "num_envs": len(envs),
        "agent": int(agent[env]),
        "step": step,
    }
    if values.dim() > 1:
        finding["components"] = is_wrong[env].nonzero().flatten()[:NUM_COMPONENTS].tolist()
    return finding


def first_refused(values: Mapping[str, Tensor], agent: Tensor, step: int) -> Optional[Finding]:
    """Find the first number among refused `values` that nothing can be learned from.

    Args:
        values: name -> [N, ...], as in `EnvError.values`.
        agent: [N] agent of each environment.
        step: of the rollout.
    """
    for name, value in values.items():
        is_wrong = ~(value.abs() <= LARGEST_VALUE)  # NaN among them
        if bool(is_wrong.any()):
            return _finding(name, value, is_wrong, agent, step)
    return None


def describe(finding: Finding) -> str:
    """Return what was found and where, in half a sentence."""
    words = [f"{finding['quantity']} is {finding.get('value', 'not finite')}"]
    if "parameter" in finding:
        words = [f"{finding['quantity']} of {finding['parameter']} is not finite"]
    if "env" in finding:
        agent = f" (agent {finding['agent']})" if "agent" in finding else ""
        words.append(f"in environment {finding['env']}{agent}")
    if finding.get("num_envs", 1) > 1:
        words.append(f"and {finding['num_envs'] - 1} others")
    if "components" in finding:
        words.append(f"component {', '.join(map(str, finding['components']))}")
    for name in ("step", "epoch", "minibatch"):
        if name in finding:
            words.append(f"{name} {finding[name]}")
    return ", ".join(words).replace(", in ", " in ").replace(", and ", " and ")
