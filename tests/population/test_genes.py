"""Gene diversity and lineage."""

from __future__ import annotations

import pytest
import torch

from epo.population.genes import Lineage, gene_distance


def test_gene_distance_of_a_right_triangle() -> None:
    distance = gene_distance(torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]]))
    # Sides 3, 4 and 5: mean 4, minimum 3.
    assert float(distance.mean) == pytest.approx(4.0)
    assert float(distance.minimum) == pytest.approx(3.0)


def test_gene_distance_of_one_agent_is_zero() -> None:
    distance = gene_distance(torch.ones(1, 4))
    assert float(distance.mean) == 0.0
    assert float(distance.minimum) == 0.0


def test_lineage_follows_children_of_children() -> None:
    lineage = Lineage(4)
    assert lineage.record(1, [0], [(2, 1)]) == ([4], [(2, 1)])
    # Agent 0 now holds gene 4; it is replaced again and is its own child's parent.
    assert lineage.record(2, [1, 0], [(0, 3), (0, 1)]) == ([5, 6], [(4, 3), (4, 1)])
    assert lineage.ids == [6, 5, 2, 3]
    assert lineage.parents == [(4, 1), (4, 3), None, None]
    assert lineage.ages(3) == [1, 1, 3, 3]


def test_lineage_resumes_from_its_state() -> None:
    lineage, resumed = Lineage(3), Lineage(3)
    lineage.record(1, [0], [(1, 2)])
    resumed.load_state_dict(lineage.state_dict())
    assert resumed.record(2, [1], [(0, 2)]) == lineage.record(2, [1], [(0, 2)])
    assert resumed.state_dict() == lineage.state_dict()
