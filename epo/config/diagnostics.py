"""Health of the training: what is measured in every update, and when it is worth a warning.

All thresholds are our own engineering guesses, tried on three healthy and six broken runs
(docs/algorithms/diagnostics.md); none changes the training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional


@dataclass
class DiagnosticsCfg:
    """The columns `health/...` of metrics.csv; they never change what is learned."""

    enabled: bool = True
    """Whether they are measured."""
    ema_decay: float = 0.95
    """Decay per update of the average policy that `health/kl_ema` is measured from."""
    probe_states: int = 256
    """States on which that divergence is measured, at most."""
    quantile_samples: int = 2048
    """Samples per minibatch that the quantiles of the ratio come from, at most."""


@dataclass
class HealthCfg:
    """When the health columns are worth a warning (rules H1 to H11, docs/algorithms/)."""

    enabled: bool = True
    """Whether warnings are printed and written to warnings.csv."""
    window: int = 20
    """Updates with finished episodes over which the trend of the return is fitted."""
    quiet_updates: int = 20
    """Updates at the start without any warning."""
    sustained: int = 8
    """States are reported if they held in so many of the last `sustained_of` updates, events (H4,
    H8) at once."""
    sustained_of: int = 10
    """Updates looked back on."""
    repeat_updates: int = 50
    """Least number of updates between two warnings of the same rule."""
    flat_trend: float = 0.05
    """H1, H2, H3: a trend of the return below this is no progress. A straight rise has 3.5."""
    plateau_trend: float = 0.5
    """H5: a trend within +-this is a plateau. Pure noise has 0.6 on average in a window of 20."""
    stall_kill: float = 0.30
    """H1: share of samples whose gradient the clip range stops, last epoch."""
    one_sided: float = 3.0
    """H1: factor between kill_pos and kill_neg from which one sign is named."""
    penalty_share: float = 0.5
    """H2: share of the KL penalty in the policy's objective."""
    penalty_growth: float = 10.0
    """H2: beta over its first value."""
    idle_kl: float = 0.1
    """H2: KL over its target below which a large beta or a tiny step size is suspect."""
    combined_kill: float = 0.15
    """H3: share of stopped gradients that counts together with `combined_share`."""
    combined_share: float = 0.3
    """H3: share of the KL penalty that counts together with `combined_kill`."""
    collapse_drop: float = 0.3
    """H4: fall of the return within 10 updates, as a share of everything that was gained."""
    collapse_kl: float = 5.0
    """H4: KL over its target that explains a collapse."""
    collapse_ratio: float = 10.0
    """H4: largest probability ratio that explains a collapse."""
    low_entropy: float = 0.1
    """H5: normalised entropy."""
    low_std: float = 0.05
    """H5: standard deviation over the initial one."""
    low_kl_ema: float = 1e-3
    """H5: KL from the average policy, nats."""
    solved_return: Optional[float] = None
    """H5: silent from this return on, the best that the task allows; None: unknown."""
    poor_critic: float = 0.2
    """H6: explained variance from `critic_updates` on; before, a negative one."""
    critic_updates: int = 50
    """H6: updates that the critic has to become better than its mean."""
    dead_kl: float = 1e-5
    """H7: KL of an update, nats, below which the policy does not move."""
    dead_advantage: float = 1e-6
    """H7: standard deviation of the raw advantages."""
    unstable_grad: float = 10.0
    """H8: largest norm of the gradient in an update over the median of the last updates'."""
    unstable_log_ratio: float = 2.3
    """H8: largest absolute log ratio of an update, if sustained; 2.3: a probability became ten
    times as large or small. One update above it is common in runs that learn well."""
    low_ess: float = 0.1
    """H9: effective share of the off-policy samples of the worst source."""
    advantage_peak: float = 20.0
    """H10: largest absolute raw advantage over its standard deviation."""
    advantage_share: float = 0.1
    """H10: share of positive advantages, or of others, below which they are skewed."""
    entropy_growth: float = 0.693
    """H11: entropy over the initial one, nats per action dimension (log 2: twice as wide)."""
