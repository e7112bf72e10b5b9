"""The PPO-family learner: rollout, losses, off-policy data.

`AK` in a source means the published Allegro-Kuka setting of SAPG and EPO (the training yaml files
and launchers of their repositories); `R` means our own choice, argued in the same line.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import List, Optional


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
    """Samples per minibatch instead of `num_minibatches`: a multiple of the horizon that divides
    the batch, relabelled copies included. The number of minibatches then grows with N (co-scaled
    PPO, arXiv 2603.06009); a resumed run may change it."""
    shuffle: bool = True
    """Permute the sequences once per iteration (SAPG, EPO; rl_games' PPO does not)."""
    gamma: float = 0.99
    """Discount per control step (AK)."""
    gae_lambda: float = 0.95
    """Decay of the advantage trace (AK)."""
    advantage: str = "gae"
    """What estimates the advantages: `gae`, or the name of one of your own (docs/extending.md)."""
    quantities: List[str] = field(default_factory=list)
    """Numbers of every sample that go from the rollout to the loss besides our own, by name
    (docs/extending.md)."""
    reward_terms: List[str] = field(default_factory=list)
    """What is added to the task's reward for learning, by name (docs/extending.md); the task's
    metrics and fitness stay as they are."""
    bootstrap_truncated: Optional[bool] = None
    """Add the value of the final state where the time limit ended the episode. None: for tasks
    whose observation hides the clock (Gymnasium; Pardo et al. 2018); those of the paper show it. It
    costs one more forward pass per control step."""
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
    decay_frames: Optional[int] = None
    """Frames over which a fixed step size falls linearly to `min_learning_rate`; None: it does
    not. Most single-task benchmarks of PPO decay to the end of the run."""
    kl_target: float = 0.016
    """KL per update: above 2x the step size shrinks, below x/2 it grows (AK)."""
    learning_rate_factor: float = 1.5
    """Factor of one change of the step size (rl_games)."""
    min_learning_rate: float = 1e-6
    """Lower bound of the step size, adaptive or decaying (rl_games)."""
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
    sequences drawn from all followers (papers); `stratified`: so, but equally many of every
    follower (ours)."""
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
    leader_weight: float = 1.0
    """Weight of the leader's samples, own and relabelled, in the loss; a follower's is 1 (ours:
    with many followers the leader is a small share of what the shared trunk is trained for)."""
    follower_kl_coef: float = 0.0
    """Weight of KL(follower || leader) on the sequences that the leader learns from (ours: keeps
    importance ratios, and so the worth of the followers' data, from collapsing); 0 is off."""
    entropy_scale: float = 0.0
    """Agent i gets entropy_scale * 0.5 * (1 - i / (num_agents - 1)); the leader 0 (AK: 0, .002 or
    .005 by task)."""
