"""Nothing non-finite is saved; the few numbers that mean unknown are named and seen."""

from __future__ import annotations

import math
from typing import Any, Dict, Set

import pytest
import torch

from epo.record.recorder import Recorder
from epo.runner import checkpoint
from epo.runner.finite import UNKNOWN, check_finite_state
from epo.runner.guard import NonFiniteError
from epo.runner.run import make_loop
from tasks import registry
from tests.composed import composed

SMALL = [
    *("task=ProbeReach", "device=cpu", "num_envs=16", "algo.network.kind=mlp"),
    *("algo.network.mlp_units=[8]", "algo.ppo.num_minibatches=1", "algo.ppo.horizon=4"),
]
PBT = ["algo.pbt.interval_frames=16", "algo.pbt.start_after_frames=0"]


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a": {"b": [1.0, math.inf]}}, r"a\.b\[1\] is inf"),
        ({"a": torch.tensor([[0.0, math.nan], [1.0, 2.0]])}, r"a is nan at 1 of 4"),
        ({"a": torch.tensor(-math.inf, dtype=torch.bfloat16)}, "a is -inf at 1 of 1"),
        ({"best_fitness": math.inf}, "best_fitness is inf"),
        ({"best_fitness": math.nan}, "best_fitness is nan"),
        ({"clip": {"values": torch.tensor([math.nan, math.inf])}}, r"values is inf at 1 of 2"),
        ({"values": torch.tensor([math.nan])}, "values is nan"),
    ],
)
def test_place_of_what_is_not_finite_is_named(state: Dict[str, Any], message: str, tmp_path):
    with pytest.raises(NonFiniteError, match=message):
        check_finite_state(state)
    checkpoint.save(tmp_path / "last.pt", {"a": 1})
    with pytest.raises(NonFiniteError):
        checkpoint.save(tmp_path / "last.pt", state, keep=2)
    assert checkpoint.load(tmp_path / "last.pt") == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]


def test_finite_and_empty_states_pass():
    check_finite_state({"a": torch.zeros(0), "b": torch.tensor([1, 2]), "c": 1e308, "d": {}})


def test_states_of_every_way_of_training_can_be_saved_and_use_every_exemption():
    seen: Set[str] = set()
    for lines in (
        ["algo=ppo"],
        ["algo=epo", "num_agents=4", "algo.clip.kind=br"],
        ["algo=poem"],
        ["algo=cpo", "num_agents=4"],
        ["algo=pbt", "num_agents=4", *PBT],
        ["algo=pql"],
    ):
        cfg = composed(*SMALL[:-2] if "pql" in lines[0] else SMALL, *lines)
        cpu = torch.device("cpu")
        cfg.num_agents = cfg.algo.num_agents if cfg.num_agents == "auto" else cfg.num_agents
        env = registry.make(cfg.task, cfg.engine, cfg.num_envs, cpu, 0, cfg.num_agents)
        loop = make_loop(cfg, env, Recorder([]))
        for _ in range(2):
            state = loop.state_dict()
            check_finite_state(state)
            seen |= {name for name in UNKNOWN if uses(state, name)}
            loop.iterate()
        check_finite_state(loop.state_dict())
    assert seen == {*UNKNOWN} - {"best_known"}  # of members in a folder


def uses(node: Any, name: str, path: str = "") -> bool:
    """Tell whether a state holds something under a path that ends with `name`."""
    if f".{path}".endswith(f".{name}"):
        return True
    if isinstance(node, dict):
        return any(uses(item, name, f"{path}.{key}") for key, item in node.items())
    return isinstance(node, list) and any(uses(item, name, path) for item in node)
