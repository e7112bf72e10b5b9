from __future__ import annotations

import math

import numpy as np

from epo.cli.report.charts import principal_components
from epo.cli.report.family import children_summary, lives
from epo.cli.report.record import Generation
from epo.cli.report.selection import judge, summary


def generation(number: int, fitness, replaced, parents, child_ids, error: float = 0.1):
    errors = np.full(len(fitness), error)
    values = np.asarray(fitness, dtype=np.float64)
    return Generation(number, 10.0 * number, "", values, errors, replaced, parents, child_ids)


def test_lives_follow_genes_through_agents():
    first = generation(1, [0.0, 1.0, 2.0], [0], [(1, 2)], [3])
    second = generation(2, [1.5, 1.0, 2.0], [1], [(0, 1)], [4])
    family = lives([first, second])
    assert [(life.gene_id, life.agent, life.birth, life.death) for life in family] == [
        (0, 0, 0, 1), (1, 1, 0, 2), (2, 2, 0, None), (3, 0, 1, None), (4, 1, 2, None),
    ]  # fmt: skip
    child, last = family[3], family[4]
    assert child.parents == (1, 2) and child.predecessor == 0.0
    # A gene that is replaced in that very generation may be a parent.
    assert last.parents == (3, 1)
    assert child.fitness == {2: 1.5} and last.fitness == {} and math.isnan(last.last_fitness)
    assert family[1].fate == "replaced in generation 2, 2 children"
    assert "2 children were born; 2 of them live, 1 became parents. 1 of the 1 " in (
        children_summary(family)
    )


def test_selection_is_a_coin_flip_where_equal_agents_vary_as_much():
    # Equal agents: the expected range of 2 normal numbers is 2 / sqrt(pi) = 1.128 errors.
    told = judge(generation(1, [0.0, 0.2], [0], [(1, 1)], [2], error=0.1))
    flip = judge(generation(2, [0.0, 0.1], [0], [(1, 1)], [3], error=0.1))
    assert told is not None and flip is not None
    assert math.isclose(flip.chance, 0.1128, rel_tol=1e-3)
    assert (told.is_coin_flip, flip.is_coin_flip) == (False, True)
    # Both parents are agent 1: their mean has the error sqrt(0.25 + 0.25) * 0.1, with the other
    # one sqrt(0.005 + 0.01) = 0.1225; Phi(0.2 / 0.1225) = Phi(1.633) = 0.9488.
    assert math.isclose(told.certainty, 0.9488, abs_tol=1e-4)
    assert summary([told, flip], 3).startswith("In 1 of 2 generations")
    assert judge(generation(1, [0.0, 0.2], [0], [(1, 1)], [2], error=math.nan)) is None


def test_principal_components_keep_distances_in_a_plane():
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(3, 4, 2)) * [3.0, 1.0]
    rotation, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    points, shares = principal_components(plane @ rotation[:2])
    flat, own = plane.reshape(-1, 2), points.reshape(-1, 2)
    distances = [np.linalg.norm(p[:, None] - p[None], axis=-1) for p in (flat, own)]
    np.testing.assert_allclose(distances[0], distances[1], atol=1e-12)
    assert shares[0] > shares[1] and math.isclose(shares.sum(), 1.0)
