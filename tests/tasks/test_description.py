from __future__ import annotations

import pytest

from tasks import registry
from tests.composed import composed


@pytest.mark.parametrize(
    ("task", "observation_dim", "action_dim", "meaning"),
    [
        ("AllegroKukaReorientation", 117, 23, "1 = 10 rad/s"),
        ("AllegroKukaTwoArmsRegrasping", 169, 46, "within the joint's limits"),
        ("ProbeReach", 3, 1, "[-1, 1]"),
    ],
)
def test_parts_fill_the_vectors(task: str, observation_dim: int, action_dim: int, meaning: str):
    cfg = composed(f"task={task}").task
    layout = registry.of(cfg).describe(cfg, observation_dim, action_dim)
    for parts, size in ((layout.observation, observation_dim), (layout.action, action_dim)):
        stops = [0, *(part.stop for part in parts)]
        assert [part.start for part in parts] == stops[:-1]
        assert stops[-1] == size
    assert meaning in layout.action[0].meaning
