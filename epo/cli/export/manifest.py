"""The file beside an exported policy: everything a controller needs to drive a robot with it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Dict, List, Optional

import torch

import epo
from epo.cli import environment
from epo.config import Config
from epo.envs import VecEnv
from epo.models.standalone import StandalonePolicy
from epo.runner.saved_run import SavedRun

VERSION = 1


def manifest(
    saved: SavedRun,
    cfg: Config,
    env: VecEnv,
    policy: StandalonePolicy,
    agent: Optional[int],
    file: Path,
    difference: Optional[float],
) -> Dict[str, Any]:
    """Return the content of the manifest, plain types.

    Args:
        saved: where the policy is from.
        cfg: the task.
        env: for its sizes and its control step.
        policy: what was written.
        agent: whose gene is in it; None: it is an input.
        file: what was written.
        difference: largest difference from the policy in the parity check; None: not checked.
    """
    first = policy.start(torch.zeros(1, env.spec.observation_dim))
    outputs = policy(**first)
    layout = environment.describe(cfg, env)
    return {
        "manifest_version": VERSION,
        "file": file.name,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "checkpoint": str(saved.file),
        "frames": saved.state["frames"],
        "task": env.spec.name,
        "trained_on": saved.settings["engine"]["name"],
        "agent": agent,
        "num_agents": int(saved.settings["num_agents"]),
        "control_rate_hz": 1.0 / env.spec.control_dt_s,
        "inputs": [_tensor(name, x, _INPUTS[name]) for name, x in first.items()],
        "outputs": [
            _tensor(name, x, _OUTPUTS[name]) for name, x in zip(output_names(policy), outputs)
        ],
        "observation": [part._asdict() for part in layout.observation],
        "action": [part._asdict() for part in layout.action],
        "notes": layout.notes,
        "parity": {"largest_difference": difference},
        "versions": {"epo": epo.__version__, "torch": torch.__version__, **env.spec.versions},
    }


def output_names(policy: StandalonePolicy) -> List[str]:
    """Name the outputs of a policy in their order."""
    return ["action", *(["next_hidden", "next_cell"] if policy.memory_dim else [])]


_INPUTS = {
    "observation": "raw: the normaliser is part of the policy",
    "hidden": "next_hidden of the step before; zeros where an episode begins",
    "cell": "next_cell of the step before; zeros where an episode begins",
    "gene": "a row of the gene bank: who acts",
}
_OUTPUTS = {
    "action": "without noise, clamped to [-1, 1] if real",
    "next_hidden": "hidden of the next step",
    "next_cell": "cell of the next step",
}


def _tensor(name: str, x: torch.Tensor, meaning: str) -> Dict[str, Any]:
    shape = ["batch", *x.shape[1:]]
    return {"name": name, "shape": shape, "dtype": str(x.dtype)[6:], "meaning": meaning}
