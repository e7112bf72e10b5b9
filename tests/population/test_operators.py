"""The genetic operators against the released rule and hand-computed numbers."""

from __future__ import annotations

import math

import pytest
import torch

from epo.population.operators import (
    crossover,
    gaussian,
    promotion,
    rank,
    replace,
    select,
    survival_weights,
)
from tests.golden import golden
from tests.population.drawing import draw_parents, draw_shares


def test_rank_sends_ties_to_the_higher_index_and_unknown_to_the_end() -> None:
    fitness = torch.tensor([1.0, float("nan"), 3.0, 1.0, float("-inf")])
    assert rank(fitness) == [2, 3, 0, 4, 1]


@pytest.mark.parametrize("case", range(7))
def test_operators_reproduce_released_generation(case: int) -> None:
    data = golden("learner_ga.npz")
    scores = torch.from_numpy(data[f"generation{case}/scores"])
    gene = torch.nn.Parameter(torch.from_numpy(data[f"generation{case}/genes"]))
    selection = select(
        scores,
        leader_id=3,
        num_elites=2,
        num_replaced=1,
        protect_leader=False,
        leader_is_parent=True,
    )
    parents = draw_parents(selection, scores, "top2", torch.Generator())
    half = gene.detach().new_full((1, 1), 0.5)
    replace(gene, selection.replaced, crossover(gene, parents, half))

    assert parents == [tuple(data[f"generation{case}/parents"])]
    assert selection.replaced == [int(data[f"generation{case}/replaced"])]
    expected = torch.from_numpy(data[f"generation{case}/new_genes"])
    # float64 tolerance of LEARNER.md; a mean of two numbers is exact to the last bit or two.
    torch.testing.assert_close(gene.detach(), expected, atol=1e-12, rtol=0.0)


@pytest.mark.parametrize(
    ("fitness", "errors", "expected"),
    [
        ([1.0, 5.0, 2.0, 3.0], [0.5, 0.5, 0.5, 0.5], 1),  # 2.8 standard errors
        ([1.0, 4.0, 2.0, 3.0], [0.5, 0.5, 0.5, 0.5], None),  # 1.4
        ([1.0, 5.0, 2.0, 3.0], [0.5, 2.0, 0.5, 0.5], None),
        ([1.0, 2.0, 2.0, 3.0], [0.0, 0.0, 0.0, 0.0], None),  # the leader is the fittest
        ([3.0, 3.0, 3.0, 3.0], [0.0, 0.0, 0.0, 0.0], None),
        ([1.0, math.nan, 5.0, 3.0], [0.1, math.inf, 0.1, 0.1], 2),
        ([1.0, 5.0, 2.0, math.nan], [0.1, 0.1, 0.1, math.inf], None),
        ([math.nan] * 4, [math.inf] * 4, None),
    ],
)
def test_only_a_follower_beyond_chance_is_promoted(fitness, errors, expected) -> None:
    found = promotion(torch.tensor(fitness), torch.tensor(errors), leader_id=3, margin=2.0)
    assert found == expected


def test_select_gives_roles_and_protects_the_worst_leader() -> None:
    # Best to worst: 1 (9), 4 (7), 0 (5), 2 (3), 3 (1), leader 5 (0).
    fitness = torch.tensor([5.0, 9.0, 3.0, 1.0, 7.0, 0.0])
    selection = select(fitness, leader_id=5, num_elites=2, num_replaced=1)
    assert selection.elites == [1, 4]
    assert selection.survivors == [0, 2]
    assert selection.replaced == [3]
    assert selection.candidates == [1, 4, 0, 2, 3]


def test_select_never_makes_the_leader_an_elite_but_may_make_it_a_parent() -> None:
    fitness = torch.tensor([1.0, 2.0, 3.0, 4.0])
    selection = select(fitness, leader_id=3, num_elites=1, num_replaced=1, leader_is_parent=True)
    assert selection.elites == [2]
    assert selection.survivors == [3, 1]
    assert selection.candidates[:2] == [3, 2]


def test_select_takes_outgoing_generation_as_survivors_when_all_are_replaced() -> None:
    fitness = torch.tensor([1.0, 4.0, 3.0, 2.0, 0.0])
    selection = select(fitness, leader_id=4, num_elites=1, num_replaced=3)
    assert selection.replaced == [2, 3, 0]
    assert selection.survivors == [2, 3, 0]


def test_survival_weights_count_from_the_worst() -> None:
    # -3 is the worst: weights 0 and 2, and an unknown one never survives.
    weights = survival_weights(torch.tensor([-3.0, -1.0, float("nan")]))
    assert weights.tolist() == [0.0, 2.0, 0.0]


@pytest.mark.parametrize("value", [2.0, float("nan")])
def test_survival_weights_are_uniform_where_nothing_differs(value: float) -> None:
    assert survival_weights(torch.full((3,), value)).tolist() == [1.0, 1.0, 1.0]


def test_elite_x_survivor_draws_survivors_in_proportion_to_fitness() -> None:
    # Survivors 2, 1, 0 stand 3, 1 and 0 above the worst of them: shares 3/4, 1/4 and 0.
    num_children = 4000
    fitness = torch.tensor([1.0, 2.0, 4.0, 8.0, 9.0, 0.0])
    selection = select(fitness, leader_id=5, num_elites=2, num_replaced=1)._replace(
        survivors=[2, 1, 0], replaced=[0] * num_children
    )
    parents = draw_parents(selection, fitness, "elite_x_survivor", torch.Generator().manual_seed(0))
    elites = torch.tensor([first for first, _ in parents])
    survivors = torch.tensor([second for _, second in parents])
    assert set(elites.tolist()) == {3, 4}
    assert set(survivors.tolist()) == {1, 2}
    # 5 standard errors of a share: 5 * sqrt(p q / n) < 5 * 0.5 / sqrt(4000) = 0.040.
    assert float((elites == 4).float().mean()) == pytest.approx(0.5, abs=0.04)
    assert float((survivors == 2).float().mean()) == pytest.approx(0.75, abs=0.04)


def test_mutation_has_the_given_variance() -> None:
    noise = torch.randn(2000, 32, generator=torch.Generator().manual_seed(3))
    children = torch.full((2000, 32), 1.5)
    change = gaussian(children, noise, 0.1) - children
    # n = 64,000: standard error of the variance 0.01 * sqrt(2 / n) = 5.6e-5, 5 of them 2.8e-4;
    # of the mean 0.1 / sqrt(n) = 4e-4, 5 of them 2e-3.
    assert float(change.var()) == pytest.approx(0.01, abs=2.8e-4)
    assert float(change.mean()) == pytest.approx(0.0, abs=2e-3)


def test_replace_edits_the_same_parameter_and_no_other_row() -> None:
    gene = torch.nn.Parameter(torch.arange(8.0).view(4, 2))
    before, storage = gene.detach().clone(), gene.data_ptr()
    replace(gene, [2, 0], torch.tensor([[-1.0, -2.0], [-3.0, -4.0]]))
    assert gene.data_ptr() == storage
    assert gene.requires_grad and gene.grad_fn is None
    assert gene[2].tolist() == [-1.0, -2.0]
    assert gene[0].tolist() == [-3.0, -4.0]
    assert torch.equal(gene[[1, 3]], before[[1, 3]])


def _five_agents() -> torch.Tensor:
    """Best to worst: 3 (8), 2 (4), 1 (2), 0 (1); the leader 4 is no candidate."""
    return torch.tensor([1.0, 2.0, 4.0, 8.0, 9.0])


@pytest.mark.parametrize("rule", ["tournament", "proportional"])
def test_two_parents_differ_and_are_candidates(rule: str) -> None:
    fitness = _five_agents()
    selection = select(fitness, leader_id=4, num_elites=1, num_replaced=1)
    selection = selection._replace(replaced=[0] * 500)
    parents = draw_parents(selection, fitness, rule, torch.Generator().manual_seed(0))
    assert all(a != b and {a, b} <= {0, 1, 2, 3} for a, b in parents)


def test_tournament_of_two_prefers_the_better_by_rank() -> None:
    fitness, num = _five_agents(), 6000
    selection = select(fitness, leader_id=4, num_elites=1, num_replaced=1)
    parents = draw_parents(
        selection._replace(replaced=[0] * num),
        fitness,
        "tournament",
        torch.Generator().manual_seed(0),
        tournament_size=2,
    )
    first = torch.tensor([a for a, _ in parents])
    share = torch.bincount(first, minlength=4).double() / num
    # Pairs of 4: the best is in 3 of 6, the second wins 2 of 6, the third 1 of 6, the last none.
    expected = torch.tensor([0.0, 1 / 6, 2 / 6, 3 / 6], dtype=torch.float64)
    # 5 standard errors of a share are below 5 * 0.5 / sqrt(6000) = 0.033.
    torch.testing.assert_close(share, expected, rtol=0.0, atol=0.033)


def test_tournament_of_everyone_takes_the_two_best() -> None:
    fitness = _five_agents()
    selection = select(fitness, leader_id=4, num_elites=1, num_replaced=1)
    parents = draw_parents(selection, fitness, "tournament", torch.Generator(), tournament_size=9)
    assert parents == [(3, 2)]


def test_proportional_draws_by_fitness_above_the_worst() -> None:
    fitness, num = _five_agents(), 6000
    selection = select(fitness, leader_id=4, num_elites=1, num_replaced=1)
    parents = draw_parents(
        selection._replace(replaced=[0] * num),
        fitness,
        "proportional",
        torch.Generator().manual_seed(0),
    )
    share = torch.bincount(torch.tensor([a for a, _ in parents]), minlength=4).double() / num
    # Above the worst of them: 0, 1, 3, 7 of 11.
    expected = torch.tensor([0.0, 1 / 11, 3 / 11, 7 / 11], dtype=torch.float64)
    torch.testing.assert_close(share, expected, rtol=0.0, atol=0.033)


def test_average_crossover_halves_everything() -> None:
    shares = draw_shares(2, 3, "average", 1, torch.Generator())
    genes = torch.tensor([[0.0, 2.0, 4.0], [2.0, 2.0, 0.0]])
    assert crossover(genes, [(0, 1), (1, 1)], shares).tolist() == [[1.0, 2.0, 2.0], [2.0, 2.0, 0.0]]


def test_uniform_crossover_takes_each_component_from_either_parent() -> None:
    shares = draw_shares(4000, 8, "uniform", 1, torch.Generator().manual_seed(0))
    assert set(shares.unique().tolist()) == {0.0, 1.0}
    # 5 standard errors of a mean of 4000: 0.04.
    torch.testing.assert_close(shares.mean(0), torch.full((8,), 0.5), rtol=0.0, atol=0.04)


@pytest.mark.parametrize("num_points", [1, 2, 7])
def test_k_point_crossover_changes_parent_k_times(num_points: int) -> None:
    shares = draw_shares(500, 8, "k_point", num_points, torch.Generator().manual_seed(0))
    assert set(shares.unique().tolist()) == {0.0, 1.0}
    assert (shares.diff(dim=1).abs().sum(dim=1) == num_points).all()
    assert shares[:, 0].mean().item() == pytest.approx(0.5, abs=0.112)  # 5 standard errors


def test_k_point_crossover_cuts_between_all_components_at_most() -> None:
    shares = draw_shares(3, 4, "k_point", 99, torch.Generator().manual_seed(0))
    assert (shares.diff(dim=1).abs() == 1.0).all()
