"""Schema of everything in `cfg/`: one dataclass per component, every number with its source.

`AK` in a source means the published Allegro-Kuka setting of SAPG and EPO (the training yaml files
and launchers of their repositories); `R` means our own choice, argued in the same line.
Task and engine groups have their schema in `tasks/config.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, List, Optional

from omegaconf import MISSING


class ConfigError(ValueError):
    """A setting that cannot work; the message names it, its value and the way out."""

    def __init__(self, setting: str, value: object, way_out: str) -> None:
        super().__init__(f"{setting}={value}: {way_out}")


@dataclass
class NetworkCfg:
    """The shared actor-critic (one trunk, two heads) and its gene conditioning."""

    kind: str = "lstm"
    """`lstm` (LSTM, layer norm, MLP: every published result) or `mlp`."""
    lstm_units: int = 768
    """Width of the LSTM in front of the MLP (AK). Not used by `mlp`."""
    mlp_units: List[int] = field(default_factory=lambda: [768, 512, 256])
    """Widths of the ELU layers (AK with LSTM; without it 1024-1024-512-512)."""
    gene_dim: int = 32
    """G, length of an agent's gene (official EPO code). A population of one has no gene."""
    initial_log_std: float = 0.0
    """Natural logarithm of every agent's first action standard deviation (AK)."""


@dataclass
class NormalizerCfg:
    """Running mean and variance of observations and values."""

    observation: bool = True
    """Normalise observations (AK)."""
    value: bool = True
    """Let the critic predict normalised returns (AK)."""
    timing: str = "iteration"
    """`iteration`: observation statistics move once per iteration after the update and value
    statistics on returns only, so the first ratio is exactly 1 (R). `minibatch`: as the
    original, in the forward passes of the first epoch and twice in the preparation of the data."""
    clip: float = 5.0
    """Bound of normalised observations and values, standard deviations (rl_games)."""


@dataclass
class PPOCfg:
    """Proximal policy optimisation: rollout, losses, optimiser."""

    horizon: int = 16
    """T, control steps per iteration; also the length of the LSTM's sequences (AK)."""
    num_epochs: int = 2
    """Passes over a rollout (AK with LSTM; without it 4)."""
    num_minibatches: int = 4
    """Equal minibatches per epoch, whole sequences (AK: 98,304 of 393,216 samples)."""
    minibatch_size: Optional[int] = None
    """Samples per minibatch instead of `num_minibatches`, multiple of the horizon; the last
    minibatch takes the remainder (the original's rule)."""
    shuffle: bool = True
    """Permute the sequences once per iteration (SAPG, EPO; rl_games' PPO does not)."""
    gamma: float = 0.99
    """Discount per control step (AK)."""
    gae_lambda: float = 0.95
    """Decay of the advantage trace (AK)."""
    bootstrap_truncated: bool = False
    """Add the value of the final state where the time limit ended the episode. Off as published:
    the observation holds the clock. It costs one more forward pass per control step."""
    clip_eps: float = 0.1
    """Clip range of the ratio, and of the normalised value (AK)."""
    clip_value: bool = True
    """Clip the value update to +-clip_eps in normalised units (AK)."""
    value_coef: float = 2.0
    """Weight of the squared value error (AK: critic_coef 4 with a factor 1/2)."""
    entropy_coef: float = 0.0
    """Entropy bonus of every agent; the ladder of the followers comes on top (AK: 0)."""
    bounds_coef: float = 1e-4
    """Weight of the penalty of action means outside +-soft_bound (AK)."""
    soft_bound: float = 1.1
    """Action mean beyond which the bounds penalty starts (rl_games)."""
    learning_rate: float = 1e-4
    """First step size of Adam (AK)."""
    schedule: str = "adaptive"
    """`adaptive`: step size follows the KL divergence after every epoch; `fixed`."""
    kl_target: float = 0.016
    """KL per update: above 2x the step size shrinks, below x/2 it grows (AK)."""
    learning_rate_factor: float = 1.5
    """Factor of one change of the step size (rl_games)."""
    min_learning_rate: float = 1e-6
    """Lower bound of the adaptive step size (rl_games)."""
    max_learning_rate: float = 1e-2
    """Upper bound of the adaptive step size (rl_games)."""
    max_grad_norm: float = 1.0
    """Bound of the global gradient norm (AK)."""
    reward_scale: float = 0.01
    """Factor from task units to learning units (AK)."""
    adam_eps: float = 1e-8
    """Adam's epsilon (rl_games)."""


@dataclass
class AggregationCfg:
    """Feeding agents with the experience of others (SAPG)."""

    mode: str = "none"
    """`leader_follower`: the leader learns from followers; `symmetric`: every agent from the next
    ones (ablation); `none`: every agent from its own data only."""
    ratio: float = 1.0
    """Blocks of off-policy data per learning agent; int(ratio), at most num_agents - 1 (AK)."""
    sampling: str = "block"
    """`block`: whole random follower blocks (official code); `uniform`: the same number of
    sequences drawn from all followers (papers)."""
    hidden: str = "unroll"
    """LSTM state under which the leader values the data: `unroll` from the start of the sequence
    with the leader's gene (as the training pass does); `stored`: the follower's state at each step
    (official code; stores T+1 states per environment)."""
    kl_reference: str = "leader"
    """Policy that the KL of off-policy data is measured against in the first epoch: `leader` before
    the update (R: the step size must not react to how diverse the agents are), `follower` (official
    code), or `exclude` these samples."""
    clip_center: str = "one"
    """Centre of the off-policy clip range: `one` (official code) or `mu`, the ratio before the
    update (SAPG eq. 3)."""
    max_importance: float = 2.0
    """Bound of that ratio when clip_center is `mu` (R: unbounded importance weights explode)."""
    entropy_scale: float = 0.0
    """Agent i gets entropy_scale * 0.5 * (1 - i / (num_agents - 1)); the leader 0 (AK: 0, .002 or
    .005 by task)."""


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
    """"fitness_gap": only if the agents differ (EPO paper eq. 3); "interval": always."""
    gap_ratio: float = 0.2
    """gamma of eq. 3: least range of fitness over its median; published without a value."""
    gap_floor: float = 0.5
    """Least median that eq. 3 counts with, task units: half a success (ours)."""
    noise_guard: float = 1.5
    """Least range of fitness, in ranges that equal agents show by chance; 0 is off (ours)."""
    require_spread: bool = True
    """Whether nothing happens while all agents are equally fit (released code: it does)."""
    require_all_known: bool = True
    """Whether every environment must have ended an episode first (EPO repository: yes)."""
    fitness_metric: str = "auto"
    """Metric that is the fitness. `auto`: the task's `successes` if it counts them, else its
    `fitness` (R: the published objective of Allegro-Kuka counts a success as 0.01 while its
    curriculum runs, too little for eq. 3); `fitness`: the task's own objective (EPO repository);
    `episode_return`: cumulative reward (EPO paper)."""
    num_elites: int = 0
    """Best followers that are never replaced; 0 is max(2, K / 8) (ours, paper: unnamed x)."""
    num_replaced: int = 0
    """Worst agents replaced per generation, in [1, K - 2]; 0 is max(1, K / 16) (ours).

    The paper replaces all K - 1 - x non-elites, the released code 1. With K = 64, mutation 0.1
    and selection by chance, 25 generations leave 2 % of the genes' variance when 55 are
    replaced (no more than the mutation restores), 42 % when 4 are and 82 % when 1 is.
    """
    parents: str = "elite_x_survivor"
    """"elite_x_survivor" (EPO paper, section 4.1) or "top2" (EPO repository)."""
    mutation_sigma: float = 0.1
    """Standard deviation of the mutation, in units of the gene's initial spread (ours)."""
    protect_leader: bool = True
    """Whether the leader is never replaced (released code: it can be, a bug)."""
    leader_is_parent: bool = False
    """Whether the leader can be a parent (EPO repository: yes; paper: never an elite)."""
    log_std: str = "keep"
    """A child's log-std: "keep" the row (EPO repository) or "average" the parents' (ours)."""


@dataclass
class AlgoCfg:
    """One algorithm: PPO, plus what makes it SAPG, plus what makes it EPO."""

    name: str = MISSING
    """Name of the preset, as in `algo=<name>`."""
    num_agents: int = 1
    """Agents when the top-level `num_agents` is `auto` (ppo 1, sapg 6, epo 64: AK)."""
    network: NetworkCfg = field(default_factory=NetworkCfg)
    normalizer: NormalizerCfg = field(default_factory=NormalizerCfg)
    ppo: PPOCfg = field(default_factory=PPOCfg)
    aggregation: AggregationCfg = field(default_factory=AggregationCfg)
    evolution: EvolutionCfg = field(default_factory=EvolutionCfg)


@dataclass
class RecordCfg:
    """What a run writes, where and how often."""

    console: str = "auto"
    """`live` (rich view), `plain` (one line per interval), `off`; `auto`: live on a terminal."""
    console_interval_s: float = 10.0
    """Shortest time between two plain lines, s."""
    tensorboard: bool = True
    """Write TensorBoard events into the run folder."""
    wandb: str = "disabled"
    """Weights & Biases: `online`, `offline` or `disabled`."""
    wandb_project: str = "epo"
    """Project of the W&B run."""
    wandb_entity: Optional[str] = None
    """Team or user of the W&B run; None: the account's default."""
    checkpoint_interval: int = 100
    """Iterations between two checkpoints `last.pt`."""


@dataclass
class Config:
    """A run: the fixed top-level keys of the command line."""

    task: Any = MISSING
    """Task group, schema in `tasks/config.py`."""
    engine: Any = MISSING
    """Engine group, schema in `tasks/config.py`; `engine=auto` chooses by device."""
    algo: AlgoCfg = MISSING
    """Algorithm group."""
    record: RecordCfg = field(default_factory=RecordCfg)
    """Recording group."""
    num_agents: Any = "auto"
    """K, agents in the population, or `auto`: the algorithm's own number."""
    num_envs: Any = "auto"
    """N, parallel environments, a multiple of num_agents; `auto`: 24,576 on CUDA (AK), on CPU a
    size that keeps an iteration within seconds."""
    seed: int = 0
    """Seed of networks, tasks and genes."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:<index>`."""
    max_frames: Optional[int] = None
    """Stop after so many environment frames."""
    max_iterations: Optional[int] = None
    """Stop after so many iterations."""
    max_minutes: Optional[float] = None
    """Stop after so much wall-clock time, minutes, summed over resumes."""
    run_dir: Optional[str] = None
    """Folder of this run; None: `runs/<task>/<algo>/<date>_seed<seed>`."""
    resume: str = "never"
    """`never`, `auto` (newest run folder of the same command) or a run folder."""
    checkpoint: Optional[str] = None
    """Checkpoint to take the start weights from (networks and normalisers only)."""


def register(store: Any) -> None:
    """Put the schemas into `store` (a Hydra ConfigStore) under the names used in `cfg/`."""
    store.store(name="base_config", node=Config)
    store.store(group="algo", name="base", node=AlgoCfg)
    store.store(group="record", name="base", node=RecordCfg)
