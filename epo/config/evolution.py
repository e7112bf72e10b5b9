"""Evolution of the genes.

`AK` in a source means the published Allegro-Kuka setting of SAPG and EPO (the training yaml files
and launchers of their repositories); `R` means our own choice, argued in the same line.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class EvolutionCfg:
    """When and how the population evolves; the defaults are the paper's (`algo=epo`)."""

    enabled: bool = True
    """Whether the genes evolve at all; without it EPO is SAPG (EPO paper, section 5.3)."""
    interval_frames: int = 20_000_000
    """Frames between two judgements of the population (EPO repository: every 2e7)."""
    warmup_frames: int = 200_000_000
    """Frames before the first generation (EPO repository: 2e8)."""
    trigger: str = "fitness_gap"
    """"fitness_gap": only if the agents differ (EPO paper eq. 3); "confident_gap": only if they do
    so at the lower end of the gap's confidence interval (ours); "interval": always."""
    confidence: float = 0.95
    """Level of that interval, which holds for all pairs of agents at once (Tukey)."""
    gap_ratio: float = 0.2
    """gamma of eq. 3: least range of fitness over its median; published without a value."""
    gap_floor: float = 0.5
    """Least median that eq. 3 counts with, task units: half a success (ours)."""
    noise_guard: float = 1.5
    """Least range of fitness, in ranges that equal agents show by chance; 0 is off (ours)."""
    require_spread: bool = True
    """Whether nothing happens while all agents are equally fit (released code: it does)."""
    require_all_known: bool = True
    """Whether every environment must have ended an episode of its agent's gene first (EPO
    repository: yes). Off, an interval shorter than an episode measures a new gene by its short
    episodes only, which flatters it where success ends an episode."""
    fitness_metric: str = "auto"
    """Metric that is the fitness. `auto`: the one that the task names (R: Allegro-Kuka names its
    count of successes, since its published objective counts one as 0.01 while the curriculum
    runs, too little for eq. 3); `fitness`: the published objective (EPO repository);
    `episode_return`: cumulative reward (EPO paper)."""
    ranking: str = "fitness"
    """Who counts as better: "fitness" (EPO paper), or "lot", drawn again in every generation: the
    ablation without selection, in which generations happen when they would anyway."""
    gene_gradient: str = "always"
    """Whether genes are trained between generations: "always" (EPO paper), "until_generation", the
    first one (what the released code amounts to: its optimiser loses the genes then), "never"."""
    num_elites: int = 0
    """Best followers that are never replaced; 0 is max(2, K / 8) (ours, paper: unnamed x)."""
    num_replaced: int = 0
    """Worst agents replaced per generation, in [1, K - 2]; 0 is max(1, K / 16) (ours); -1 is all
    K - 1 - x that are not elites (EPO paper, section 4.1).

    The released code replaces 1. With K = 64, mutation 0.1 and selection by chance, 25 generations
    leave 2 % of the genes' variance when 55 are replaced (no more than the mutation restores),
    42 % when 4 are and 82 % when 1 is.
    """
    parents: str = "elite_x_survivor"
    """"elite_x_survivor" (EPO paper, section 4.1), "top2" (EPO repository), "tournament" or
    "proportional" to fitness (ours, for comparison)."""
    tournament_size: int = 3
    """Candidates in a tournament, the better of whom becomes a parent (ours)."""
    crossover: str = "average"
    """"average" of the parents (EPO paper), "uniform" or "k_point" exchange of components (named
    there as alternatives), or "none": a copy of the first parent (ablation)."""
    crossover_points: int = 2
    """Cuts of the gene under "k_point" (ours)."""
    mutation: str = "gaussian"
    """"gaussian" noise of `mutation_sigma` (EPO paper), or a mutation of your own
    (docs/extending.md, as selection and crossover)."""
    mutation_sigma: float = 0.1
    """Standard deviation of the mutation, in units of the gene's initial spread (ours)."""
    protect_leader: bool = True
    """Whether the leader is never replaced (released code: it can be, a bug)."""
    leader_is_parent: bool = False
    """Whether the leader can be a parent (EPO repository: yes; paper: never an elite)."""
    promotion_margin: float = 0.0
    """Lead of the fittest follower over the leader, in standard errors of the difference, beyond
    which the two change places at a judgement: gene, log-std and their optimiser state; 0: never
    (ours). The paper's leader keeps its gene, and learns what a follower found off-policy only."""
    log_std: str = "keep"
    """A child's log-std: "keep" the row (EPO repository) or "average" the parents' (ours)."""
