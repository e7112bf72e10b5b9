"""When the population evolves, and what a generation does to the genes."""

from __future__ import annotations

import json
import math
from typing import Any, List, Sequence

import pytest
import torch

from epo.config import EvolutionCfg
from epo.population.evolution import Evolution, Generation
from epo.population.fitness import Fitness, FitnessTracker
from tests.golden import golden
from tests.population.presets import NAMES
from tests.population.presets import preset as settings
from tests.population.test_fitness import make_step

INTERVAL = 20_000_000


def known(fitness: Sequence[float], error: float = 0.0) -> Fitness:
    """Return a fitness that all agents have shown in 10 episodes each."""
    ones = torch.ones(len(fitness))
    return Fitness(torch.tensor(fitness), error * ones, 10 * ones, ones.bool())


def eager(preset: str, **changes: Any) -> EvolutionCfg:
    """Return a preset that judges the population at every frame from the second call on."""
    return settings(preset, interval_frames=1, warmup_frames=0, **changes)


def force(evolution: Evolution, fitness: Fitness) -> Generation:
    """Let the next interval begin and expect a generation."""
    evolution.step(0, fitness)
    generation = evolution.step(1, fitness)
    assert generation is not None, evolution.verdict
    return generation


def make_gene(num_agents: int, gene_dim: int = 4) -> torch.nn.Parameter:
    """Return the first population as a parameter."""
    return torch.nn.Parameter(
        torch.randn(num_agents, gene_dim, generator=torch.Generator().manual_seed(5))
    )


@pytest.mark.parametrize("clock", ["clock", "clock_resumed"])
@pytest.mark.parametrize("preset", ["epo", "epo_official", "released"])
def test_clock_fires_like_the_released_one(clock: str, preset: str) -> None:
    data = golden("learner_ga.npz")
    evolution = Evolution(settings(preset), 4, 4, seed=0)
    fitness = known([0.0, 1.0, 2.0, 3.0])
    fired = [evolution.step(int(f), fitness) is not None for f in data[f"{clock}/frames"]]
    assert fired == data[f"{clock}/fired"].tolist()


def test_released_preset_reproduces_golden_stream() -> None:
    data = golden("learner_ga.npz")
    evolution = Evolution(settings("released"), 4, 4, seed=0)
    gene = torch.nn.Parameter(torch.from_numpy(data["stream/genes"][0]))
    for s in range(3, len(data["stream/frames"]), 4):  # An iteration is four steps.
        is_known = torch.full((4,), bool(data["stream/peer_known"][s]))
        best = torch.from_numpy(data["stream/peer_best"][s])
        fitness = Fitness(best, torch.zeros(4), torch.ones(4), is_known)
        generation = evolution.step(int(data["stream/frames"][s]), fitness)
        assert (generation is not None) == bool(data["stream/event"][s])
        if generation is not None:
            assert generation.parents == [tuple(data["stream/peer_parents"][s])]
            assert generation.replaced == [int(data["stream/peer_replaced"][s])]
            evolution.apply(generation, gene)
        expected = torch.from_numpy(data["stream/genes"][s + 1])
        # float64: a mean of two numbers, tolerance of LEARNER.md.
        torch.testing.assert_close(gene.detach(), expected, atol=1e-12, rtol=0.0)
    assert evolution.generation == int(data["stream/event"].sum())


def test_resumed_evolution_keeps_its_clock_and_its_random_numbers() -> None:
    cfg = settings("epo")
    whole, first = Evolution(cfg, 8, 4, seed=7), Evolution(cfg, 8, 4, seed=7)
    fitness = known([float(k) for k in range(8)])
    early = range(0, 230_000_000, 10_000_000)
    late = range(230_000_000, 330_000_000, 10_000_000)
    for frames in early:
        whole.step(frames, fitness)
        first.step(frames, fitness)
    resumed = Evolution(cfg, 8, 4, seed=0)
    resumed.load_state_dict(first.state_dict())
    pairs = [(whole.step(frames, fitness), resumed.step(frames, fitness)) for frames in late]
    events = [(a, b) for a, b in pairs if a is not None and b is not None]
    assert len(events) == 5
    assert all((a is None) == (b is None) for a, b in pairs)
    for a, b in events:
        assert torch.equal(a.noise, b.noise)
        assert a.to_row() == b.to_row()


def test_evolution_is_deterministic_under_a_seed() -> None:
    fitness = known([3.0, 1.0, 4.0, 1.5, 5.0, 9.0, 2.0, 6.0])
    one, same, other = (
        force(Evolution(eager("epo", num_replaced=4), 8, 4, seed=seed), fitness)
        for seed in (1, 1, 2)
    )
    assert one.parents == same.parents
    assert torch.equal(one.noise, same.noise)
    assert not torch.equal(one.noise, other.noise)


def test_elites_and_leader_stay_bit_identical_and_child_is_mean_plus_noise() -> None:
    evolution = Evolution(eager("epo", num_replaced=2, num_elites=2), 8, 4, seed=3)
    gene = make_gene(8)
    before, address = gene.detach().clone(), gene.data_ptr()
    # Worst to best: leader 7, then 5, 1, 6, 3, 0, 4, 2.
    generation = force(evolution, known([5.0, 2.0, 7.0, 4.0, 6.0, 1.0, 3.0, 0.0]))
    (changed,) = evolution.apply(generation, gene)

    assert changed is gene
    rows = generation.replaced
    assert rows == [1, 5]
    assert gene.data_ptr() == address
    kept = [0, 2, 3, 4, 6, 7]
    assert torch.equal(gene[kept], before[kept])
    for row, (elite, survivor), noise in zip(rows, generation.parents, generation.noise):
        assert elite in (2, 4)
        assert survivor in (0, 3, 6)
        expected = (before[elite] + before[survivor]) / 2 + 0.1 * noise
        # One float32 rounding of numbers of size 1.
        torch.testing.assert_close(gene[row].detach(), expected, atol=1e-6, rtol=0.0)


def test_children_come_from_the_genes_before_the_generation() -> None:
    # All three non-elites are replaced and are parents too: none may see another's child.
    evolution = Evolution(eager("epo", num_replaced=3, mutation_sigma=0.0), 5, 4, seed=0)
    gene = make_gene(5)
    before = gene.detach().clone()
    generation = force(evolution, known([1.0, 4.0, 3.0, 2.0, 0.0]))
    evolution.apply(generation, gene)
    for row, (a, b) in zip(generation.replaced, generation.parents):
        assert torch.equal(gene[row], (before[a] + before[b]) / 2)


@pytest.mark.parametrize("rule", ["keep", "average"])
def test_log_std_of_a_child_follows_its_rule(rule: str) -> None:
    evolution = Evolution(eager("epo_official", log_std=rule), 4, 4, seed=0)
    log_std = torch.nn.Parameter(torch.tensor([[0.0], [1.0], [2.0], [3.0]]))
    generation = force(evolution, known([0.0, 1.0, 2.0, 3.0]))
    gene = make_gene(4)
    changed = evolution.apply(generation, gene, log_std)
    assert [id(each) for each in changed] == [id(gene), id(log_std)][: 1 + (rule == "average")]
    # Parents 3 and 2: (3 + 2) / 2.
    assert log_std.flatten().tolist() == [0.0 if rule == "keep" else 2.5, 1.0, 2.0, 3.0]


def test_replaced_gene_is_still_trained_by_its_optimizer() -> None:
    gene = make_gene(4)
    optimizer = torch.optim.Adam([gene], lr=0.1)
    evolution = Evolution(eager("epo_official"), 4, 4, seed=0)
    generation = force(evolution, known([0.0, 1.0, 2.0, 3.0]))
    evolution.apply(generation, gene)
    before = gene.detach().clone()
    gene.sum().backward()
    optimizer.step()
    assert generation.replaced == [0]
    assert (gene != before).all()


def test_no_generation_before_the_warmup_and_one_per_interval() -> None:
    evolution = Evolution(settings("epo_official", warmup_frames=50_000_000), 4, 4, seed=0)
    fitness = known([0.0, 1.0, 2.0, 3.0])
    frames = range(0, 101_000_000, 1_000_000)
    fired = [f for f in frames if evolution.step(f, fitness) is not None]
    # The interval of the warm-up's end is still open, so it counts at once.
    assert fired == [50_000_000, 60_000_000, 80_000_000, 100_000_000]


def test_unknown_fitness_waits_and_does_not_lose_the_interval() -> None:
    evolution = Evolution(settings("epo_official", warmup_frames=0), 4, 4, seed=0)
    complete = known([0.0, 1.0, 2.0, 3.0])
    missing = complete._replace(is_known=torch.tensor([True, True, False, False]))
    assert evolution.step(0, complete) is None
    assert evolution.step(INTERVAL, missing) is None
    assert evolution.verdict == "2 agents have unfinished first episodes"
    assert evolution.step(INTERVAL + 1, complete) is not None


def test_unknown_fitness_counts_as_the_worst_where_it_may() -> None:
    evolution = Evolution(eager("epo", require_all_known=False), 4, 4, seed=0)
    fitness = known([1.0, math.nan, 2.0, 3.0])
    fitness = fitness._replace(
        is_known=~fitness.fitness.isnan(), standard_error=torch.tensor([0.1, math.inf, 0.1, 0.1])
    )
    assert force(evolution, fitness).replaced == [1]


@pytest.mark.parametrize("preset", ["epo", "epo_official"])
def test_equal_fitness_makes_no_generation(preset: str) -> None:
    evolution = Evolution(eager(preset), 4, 4, seed=0)
    generations = [evolution.step(f, known([2.0] * 4)) for f in range(3)]
    assert generations == [None] * 3
    assert evolution.verdict == "all agents are equally fit"


def test_fitness_gap_of_hand_example() -> None:
    # Median 5: the range must exceed 0.2 * 5 = 1.
    evolution = Evolution(eager("epo"), 5, 4, seed=0)
    evolution.step(0, known([5.0] * 5))
    assert evolution.step(1, known([4.5, 5.0, 5.0, 5.0, 5.5])) is None
    assert evolution.verdict == "fitness gap 1 is at most 1"
    generation = evolution.step(2, known([4.4, 5.0, 5.0, 5.0, 5.5]))
    assert generation is not None
    assert generation.reason == "fitness gap 1.1 exceeds 1"


def test_fitness_gap_near_zero_median_needs_more_than_noise() -> None:
    # Median 0 counts as 0.5: the range must exceed 0.1.
    evolution = Evolution(eager("epo"), 4, 4, seed=0)
    evolution.step(0, known([0.0] * 4))
    assert evolution.step(1, known([0.0, 0.0, 0.0, 0.09])) is None
    assert evolution.step(2, known([0.0, 0.0, 0.0, 0.11])) is not None


def test_noise_guard_refuses_a_range_that_equal_agents_show() -> None:
    # 1.5 * 2.059 (expected range of 4) * 0.5 = 1.544.
    evolution = Evolution(eager("epo"), 4, 4, seed=0)
    evolution.step(0, known([0.0] * 4))
    assert evolution.step(1, known([0.0, 1.0, 1.0, 1.5], error=0.5)) is None
    assert evolution.verdict == "fitness range 1.5 is within noise (1.54)"
    assert evolution.step(2, known([0.0, 1.0, 1.0, 1.6], error=0.5)) is not None


def test_follower_whose_gene_is_replaced_is_not_promoted() -> None:
    """Ranked by lot, the fittest may be among the replaced; a child's gene must not lead."""
    fitness, seen = known([5.0, 1.0, 2.0, 0.0], error=0.1), set()
    for seed in range(20):
        changes = {"ranking": "lot", "promotion_margin": 2.0, "num_replaced": 1}
        evolution = Evolution(eager("epo", **changes), 4, 4, seed=seed)
        is_replaced = 0 in force(evolution, fitness).replaced
        assert evolution.promoted == (None if is_replaced else 0)
        seen.add(is_replaced)
    assert seen == {False, True}


def test_population_is_judged_once_per_interval() -> None:
    evolution = Evolution(settings("epo", warmup_frames=0), 4, 4, seed=0)
    evolution.step(0, known([1.0] * 4))
    assert evolution.step(INTERVAL, known([1.0] * 4)) is None
    assert evolution.step(INTERVAL + 1, known([0.0, 1.0, 2.0, 3.0])) is None
    assert evolution.verdict == "interval not over"
    assert evolution.step(2 * INTERVAL, known([0.0, 1.0, 2.0, 3.0])) is not None


@pytest.mark.parametrize("enabled", [True, False])
def test_fitness_window_starts_anew_at_every_interval_even_without_a_generation(
    enabled: bool,
) -> None:
    cfg = settings("epo", warmup_frames=3 * INTERVAL, enabled=enabled)
    evolution = Evolution(cfg, 4, 4, seed=0)
    starts: List[int] = []
    for frames in range(0, 5 * INTERVAL, INTERVAL // 2):
        evolution.step(frames, known([1.0] * 4))
        if evolution.is_window_over:
            starts.append(frames)
    assert starts == [INTERVAL, 2 * INTERVAL, 3 * INTERVAL, 4 * INTERVAL]


def test_frames_to_judgement_count_down_to_the_interval_and_the_warmup() -> None:
    evolution = Evolution(settings("epo", warmup_frames=50, interval_frames=20), 4, 4, seed=0)
    fitness = known([0.0, 1.0, 2.0, 3.0])
    left: List[float] = []
    for frames in (0, 15, 49, 55, 63):
        evolution.step(frames, fitness)
        left.append(evolution.frames_to_judgement(frames))
    # The warm-up ends at 50; judged at 55, due again at 60; judged at 63, due at 80.
    assert left == [50, 35, 1, 5, 17]
    assert Evolution(settings("epo"), 1, 4, seed=0).frames_to_judgement(0) == math.inf


@pytest.mark.parametrize("num_agents", [1, 2])
@pytest.mark.parametrize("preset", NAMES)
def test_population_too_small_to_replace_anyone_never_evolves(num_agents: int, preset: str) -> None:
    evolution = Evolution(eager(preset), num_agents, 4, seed=0)
    fitness = known([float(k) for k in range(num_agents)])
    assert [evolution.step(f, fitness) for f in range(3)] == [None] * 3


def test_disabled_evolution_never_evolves() -> None:
    evolution = Evolution(eager("epo_official", enabled=False), 4, 4, seed=0)
    assert [evolution.step(f, known([0.0, 1.0, 2.0, 3.0])) for f in range(3)] == [None] * 3


def test_leader_is_never_replaced_and_no_parent_by_default() -> None:
    evolution = Evolution(eager("epo", num_replaced=2), 8, 4, seed=0)
    fitness = known([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, -9.0])
    evolution.step(0, fitness)
    generations = [evolution.step(f, fitness) for f in range(1, 30)]
    assert all(g is not None and 7 not in g.replaced for g in generations)
    assert all(g is not None and all(7 not in pair for pair in g.parents) for g in generations)


def play_bandit(seed: int, is_blind: bool) -> List[float]:
    """Let genes evolve that are paid minus their distance from a hidden one, or pure noise.

    Returns the mean distance of the followers' genes over the generations.
    """
    generator = torch.Generator().manual_seed(seed)
    gene, best = torch.nn.Parameter(torch.randn(8, 4, generator=generator)), torch.full((4,), 0.5)
    evolution = Evolution(eager("epo_official", parents="elite_x_survivor"), 8, 4, seed=seed)
    tracker = FitnessTracker(64, 8, torch.device("cpu"))
    history: List[float] = []
    for frames in range(60):
        distance = (gene.detach() - best).norm(dim=1)
        history.append(float(distance[:-1].mean()))
        noise = 0.1 * torch.randn(8, 8, generator=generator)
        payoff = noise if is_blind else noise - distance.unsqueeze(1)
        tracker.update(make_step([True] * 64, {"fitness": payoff.flatten()}))
        generation = evolution.step(frames, tracker.snapshot())
        if generation is not None:
            evolution.apply(generation, gene)
        if evolution.is_window_over:
            tracker.start_window(generation.replaced if generation else [])
    return history


def test_evolution_raises_mean_fitness_of_a_bandit_that_rewards_a_gene() -> None:
    led = torch.tensor([play_bandit(seed, is_blind=False) for seed in range(5)])
    blind = torch.tensor([play_bandit(seed, is_blind=True) for seed in range(5)])
    assert torch.equal(led[:, 0], blind[:, 0])
    # Measured over eight seeds: led 0.22 to 0.44 of the start, blind 0.4 to 1.5 of it.
    assert (led[:, -1] < 0.5 * led[:, 0]).all()
    assert float(led[:, -1].mean()) < 0.5 * float(blind[:, -1].mean())


def test_generation_row_holds_plain_values() -> None:
    evolution = Evolution(eager("epo_official"), 4, 4, seed=0)
    generation = force(evolution, known([0.0, 1.0, 2.0, 3.5]))
    generation.iteration = 12
    assert generation.to_row() == {
        "iteration": 12,
        "frames": 1,
        "generation": 1,
        "reason": "interval",
        "operator": "top2, average, sigma=0",
        "replaced": "[0]",
        "parents": "[[3, 2]]",
        "child_ids": "[4]",
        "parent_ids": "[[3, 2]]",
        "fitness": "[0.0, 1.0, 2.0, 3.5]",
        "standard_error": "[0.0, 0.0, 0.0, 0.0]",
    }
    assert evolution.lineage.ids == [4, 1, 2, 3]
    assert json.loads(generation.to_row()["parents"]) == [[3, 2]]


def test_confident_gap_needs_a_gap_beyond_its_confidence_interval() -> None:
    # Three agents with standard error 1: Tukey's width at 95 % is 3.314. Eq. 3 with gap_ratio 0
    # asks for a gap above 0, so a gap of 3 is not enough and one of 4 is.
    settings = {"trigger": "confident_gap", "gap_ratio": 0.0, "noise_guard": 0.0}
    for gap, expected in ((3.0, False), (4.0, True)):
        evolution = Evolution(eager("epo", **settings), 3, 4, seed=0)
        fitness = known([0.0, gap, 1.0], error=1.0)
        evolution.step(0, fitness)
        assert (evolution.step(1, fitness) is not None) == expected, evolution.verdict
        assert "95 % confidence" in evolution.verdict


def test_plain_gap_does_not_ask_for_confidence() -> None:
    cfg = eager("epo", trigger="fitness_gap", gap_ratio=0.0, noise_guard=0.0)
    force(Evolution(cfg, 3, 4, seed=0), known([0.0, 3.0, 1.0], error=1.0))


@pytest.mark.parametrize("crossover", ["uniform", "k_point"])
def test_child_has_components_of_its_parents_only(crossover: str) -> None:
    cfg = eager("epo", crossover=crossover, mutation_sigma=0.0)
    evolution, gene = Evolution(cfg, 8, 6, seed=0), make_gene(8, 6)
    before = gene.detach().clone()
    generation = force(evolution, known([float(k) for k in range(8)]))
    evolution.apply(generation, gene)
    for child, (first, second) in zip(generation.replaced, generation.parents):
        of_first, of_second = gene[child] == before[first], gene[child] == before[second]
        assert (of_first | of_second).all()
        assert of_first.any() and of_second.any()
    assert crossover in generation.to_row()["operator"]


def test_crossover_and_parents_leave_the_mutation_stream_of_the_defaults_alone() -> None:
    fitness = known([float(k) for k in range(8)])
    first = force(Evolution(eager("epo_official"), 8, 4, seed=3), fitness)
    other = force(Evolution(eager("epo_official", crossover="uniform"), 8, 4, seed=3), fitness)
    assert torch.equal(first.noise, other.noise)


@pytest.mark.parametrize("rule", ["tournament", "proportional"])
def test_parent_rules_give_a_whole_generation(rule: str) -> None:
    evolution, gene = Evolution(eager("epo", parents=rule), 8, 4, seed=0), make_gene(8)
    generation = force(evolution, known([float(k) for k in range(8)]))
    evolution.apply(generation, gene)
    assert rule in generation.to_row()["operator"]
    assert all(7 not in pair for pair in generation.parents)  # the leader is no parent
