"""Rules H1 to H11: from the rows of a run to what is wrong with it, as pure functions.

A rule looks at the history of a run and gives its evidence in one phrase, or None. Numbers that a
row does not have are NaN, and no comparison with NaN holds: a rule without its data is silent.
The thresholds are engineering guesses (`HealthCfg`).
"""

from __future__ import annotations

import math
from collections import deque
from statistics import fmean, median, pstdev
from typing import Callable, Deque, List, Mapping, NamedTuple, Optional, Sequence

from epo.config import HealthCfg

RECENT = 10
"""Updates that count as recent for a collapse (H4) and a rise of the entropy (H11)."""
_SMOOTH = 5
"""Returns in the mean that a fall is measured by."""
_MUST_BE_FINITE = ("kl", "loss/total", "grad_norm", "health/kl_exact")


class Targets(NamedTuple):
    """What a run aims at.

    Attributes:
        kl: KL divergence per update, nats.
        min_learning_rate: floor of an adaptive step size; 0: there is none.
        coef: first weight of the KL penalty; infinite: there is none.
    """

    kl: float = 0.01
    min_learning_rate: float = 0.0
    coef: float = math.inf


class History:
    """The last rows of a run and the way its return has gone.

    Args:
        cfg: thresholds and windows.
        targets: of the run.

    Attributes:
        num_updates: rows so far.
        trend: slope of the return over the window, in windows per spread; NaN until it is full.
        drop: fall of the return within `RECENT` updates, as a share of what was gained.
    """

    def __init__(self, cfg: HealthCfg, targets: Targets) -> None:
        self.cfg = cfg
        self.targets = targets
        self.num_updates = 0
        self.trend = self.drop = self.smoothed = math.nan
        self._rows: Deque[Mapping[str, float]] = deque(maxlen=max(cfg.window, RECENT + 1))
        self._returns: Deque[float] = deque(maxlen=cfg.window)
        self._levels: Deque[float] = deque(maxlen=RECENT)
        self._first = self._best = math.nan

    def append(self, row: Mapping[str, float]) -> None:
        """Take in the next row."""
        self.num_updates += 1
        self._rows.append(row)
        value = row.get("health/return", row.get("leader/episode_return", math.nan))
        if math.isfinite(value):
            self._returns.append(value)
            self._follow(fmean(list(self._returns)[-_SMOOTH:]))
        if len(self._returns) == self.cfg.window:
            self.trend = trend(self._returns)

    def _follow(self, level: float) -> None:
        """Measure how far the return has fallen, once its mean is one of several updates."""
        if len(self._returns) < _SMOOTH:
            return
        self.smoothed = level
        self._levels.append(level)
        if math.isnan(self._first):
            self._first = self._best = level
        self._best = max(self._best, level)
        # So many times the noise lie between a fall that counts and what chance does in a mean.
        gained = max(self._best - self._first, 10.0 * noise(self._returns)) + 1e-8
        self.drop = (max(self._levels) - level) / gained

    def get(self, name: str, age: int = 0) -> float:
        """Return a number of the row `age` updates ago; NaN if there is none."""
        if age >= len(self._rows):
            return math.nan
        return self._rows[-1 - age].get(name, math.nan)

    def first_of(self, *names: str) -> float:
        """Return the first of several columns that the last row has."""
        known = [value for value in map(self.get, names) if not math.isnan(value)]
        return known[0] if known else math.nan

    def recent(self, name: str, num: int) -> List[float]:
        """Return the known values among the last `num` updates, oldest first."""
        values = [self.get(name, age) for age in range(num - 1, -1, -1)]
        return [value for value in values if not math.isnan(value)]

    def is_broken(self) -> bool:
        """Return whether a number of the last row that must be finite is not."""
        row = self._rows[-1]
        return any(not math.isfinite(row[name]) for name in _MUST_BE_FINITE if name in row)


def trend(values: Sequence[float]) -> float:
    """Return slope * W / (std + 0.05 |median|) of W values; 3.5 for a straight rise from zero."""
    size = len(values)
    middle = (size - 1) / 2.0
    squares = sum((i - middle) ** 2 for i in range(size))
    slope = sum((i - middle) * value for i, value in enumerate(values)) / squares
    return slope * size / (pstdev(values) + 0.05 * abs(median(values)) + 1e-8)


def noise(values: Sequence[float]) -> float:
    """Return the standard deviation around a moving mean, from the steps between neighbours.

    For independent normal values the mean absolute step is 2 / sqrt(pi) deviations.
    """
    steps = [abs(after - before) for before, after in zip(values, list(values)[1:])]
    return fmean(steps) * math.sqrt(math.pi) / 2.0


class Rule(NamedTuple):
    """A rule.

    Attributes:
        id: `H1` to `H11`.
        title: what is wrong.
        judge: gives the evidence, or None.
        suggestion: what to try.
        is_event: reported at once; others when they are sustained.
    """

    id: str
    title: str
    judge: Callable[[History], Optional[str]]
    suggestion: str
    is_event: bool = False


def stalled_by_clip(run: History) -> Optional[str]:
    """H1: much of the gradient is clipped away and the return stands still."""
    cfg, kill = run.cfg, run.get("health/kill_last")
    if not (kill >= cfg.stall_kill and run.trend < cfg.flat_trend):
        return None
    positive, negative = run.get("health/kill_pos_last"), run.get("health/kill_neg_last")
    side = ""
    if positive > cfg.one_sided * negative:
        side = ", mostly of good actions"
    elif negative > cfg.one_sided * positive:
        side = ", mostly of bad actions"
    return f"{kill:.0%} of the gradients clipped away{side}, return trend {run.trend:.2f}"


def over_penalised(run: History) -> Optional[str]:
    """H2: the KL penalty dominates, or it or the step size holds the policy in place."""
    cfg, share, kl = run.cfg, run.get("health/penalty_share"), run.get("health/kl_exact_last")
    if share > cfg.penalty_share and run.trend < cfg.flat_trend:
        return f"penalty is {share:.0%} of the objective, return trend {run.trend:.2f}"
    if kl < cfg.idle_kl * run.targets.kl:
        beta, rate = run.get("penalty/beta"), run.get("lr")
        if beta >= cfg.penalty_growth * run.targets.coef:
            return f"beta {beta:.3g}, though KL {kl:.1e} is far below {run.targets.kl:.3g}"
        if rate <= run.targets.min_learning_rate:
            return f"step size at its floor {rate:.1e}, though KL {kl:.1e} is far below its target"
    return None


def stalled_by_both(run: History) -> Optional[str]:
    """H3: clipping and penalty together hold the return in place."""
    cfg, kill, share = run.cfg, run.get("health/kill_last"), run.get("health/penalty_share")
    stalls = kill > cfg.combined_kill and share > cfg.combined_share
    if not (stalls and run.trend < cfg.flat_trend):
        return None
    return f"{kill:.0%} clipped away, penalty {share:.0%}, return trend {run.trend:.2f}"


def collapsed(run: History) -> Optional[str]:
    """H4: the return fell, and something happened that explains it."""
    cfg = run.cfg
    if not run.drop > cfg.collapse_drop:
        return None
    kl = max(run.recent("health/kl_exact_last", RECENT), default=math.nan)
    ratio = max(run.recent("health/ratio_max", RECENT), default=math.nan)
    causes = (
        (run.is_broken(), "numbers that are not finite"),
        (sum(run.recent("poem/accepted", 3)) > 0, "an accepted mutant"),
        (run.get("pbt/copies") > run.get("pbt/copies", 3), "a copied member"),
        (kl > cfg.collapse_kl * run.targets.kl, f"KL {kl:.2g}"),
        (ratio > cfg.collapse_ratio, f"a probability ratio of {ratio:.3g}"),
    )
    found = [cause for is_there, cause in causes if is_there]
    if not found:
        return None
    return f"lost {run.drop:.0%} of what was gained within {RECENT} updates, after {found[0]}"


def converged_early(run: History) -> Optional[str]:
    """H5: the policy is narrow, the return flat, and nothing moves."""
    cfg, entropy, std = run.cfg, run.get("health/entropy_n"), run.get("health/std_rel")
    is_narrow = entropy < cfg.low_entropy or std < cfg.low_std
    is_still = abs(run.trend) < cfg.plateau_trend and run.get("health/kl_ema") < cfg.low_kl_ema
    is_solved = cfg.solved_return is not None and run.smoothed >= cfg.solved_return
    if not is_narrow or not is_still or is_solved:
        return None
    return f"normalised entropy {entropy:.2f}, return trend {run.trend:.2f}, policy at rest"


def critic_fails(run: History) -> Optional[str]:
    """H6: values explain less of the returns than they should by now."""
    cfg, share = run.cfg, run.first_of("health/expl_var", "explained_variance")
    least = cfg.poor_critic if run.num_updates > cfg.critic_updates else 0.0
    return f"explained variance {share:.2f}, expected {least:.2g}" if share < least else None


def is_dead(run: History) -> Optional[str]:
    """H7: the update does not move the policy, or there is nothing to learn from."""
    cfg = run.cfg
    std = run.first_of("health/advantage_std", "advantage/std")
    if std < cfg.dead_advantage:
        return f"advantages hardly differ (std {std:.1e})"
    kl, gradient, rate = run.get("health/kl_exact_last"), run.get("grad_norm"), run.get("lr")
    if kl < cfg.dead_kl:
        return f"KL {kl:.1e} with gradients of {gradient:.1e} and step size {rate:.1e}"
    return None


def is_unstable(run: History) -> Optional[str]:
    """H8: a gradient out of all proportion, or ratios that are so again and again.

    One ratio of thousands is large now and then in runs that learn well; gradients are not.
    """
    cfg = run.cfg
    if run.is_broken():
        return "numbers that are not finite"
    norms = run.recent("health/grad_norm_max", cfg.window)
    if norms and norms[-1] > cfg.unstable_grad * median(norms):
        return f"gradient {norms[-1]:.3g}, usually {median(norms):.3g}"
    ratios = run.recent("health/log_ratio_max", cfg.sustained_of)
    if sum(ratio > cfg.unstable_log_ratio for ratio in ratios) >= cfg.sustained:
        return f"probabilities change by a factor of {math.exp(min(700.0, median(ratios))):.3g}"
    return None


def off_policy_useless(run: History) -> Optional[str]:
    """H9: importance weights leave little of the off-policy data."""
    share = run.get("health/ess")
    return f"effective share {share:.1%} of a source" if share < run.cfg.low_ess else None


def advantages_skewed(run: History) -> Optional[str]:
    """H10: a few samples dominate, or nearly all have one sign."""
    cfg = run.cfg
    peak, positive = run.get("health/advantage_peak"), run.get("health/advantage_positive")
    if peak > cfg.advantage_peak:
        return f"an advantage {peak:.0f} standard deviations large"
    if positive < cfg.advantage_share or positive > 1.0 - cfg.advantage_share:
        return f"{positive:.0%} of the advantages positive"
    return None


def entropy_runs_away(run: History) -> Optional[str]:
    """H11: the policy becomes wider and wider."""
    gain = run.get("health/entropy_gain")
    if not (gain > run.cfg.entropy_growth and gain > run.get("health/entropy_gain", RECENT)):
        return None
    return f"entropy {gain:.2f} nats per dimension over the initial one, and rising"


RULES = (
    Rule(
        "H1",
        "stalled by the clip range",
        stalled_by_clip,
        "fewer algo.ppo.num_epochs, a lower learning_rate or a larger clip_eps",
    ),
    Rule(
        "H2",
        "held in place",
        over_penalised,
        "lower algo.penalty.coef, or raise the KL target (algo.penalty.kl_target or "
        "algo.ppo.kl_target)",
    ),
    Rule(
        "H3",
        "stalled by clip range and penalty together",
        stalled_by_both,
        "drop one of the two: algo.clip.kind=none or algo.penalty.kind=none",
    ),
    Rule(
        "H4",
        "collapse",
        collapsed,
        "go back to the best checkpoint with a lower learning_rate, clip_eps or "
        "algo.poem.max_sigma",
        is_event=True,
    ),
    Rule(
        "H5",
        "converged early",
        converged_early,
        "raise algo.ppo.entropy_coef, or mutate (algo=poem); check whether the reward saturates",
    ),
    Rule(
        "H6",
        "critic fails",
        critic_fails,
        "check algo.ppo.value_coef, algo.normalizer.value and algo.ppo.bootstrap_truncated",
    ),
    Rule(
        "H7",
        "dead update",
        is_dead,
        "look for a learning_rate or clip_eps that is too small, a penalty that is too strong, or "
        "a reward that is always the same",
    ),
    Rule(
        "H8",
        "unstable",
        is_unstable,
        "lower algo.ppo.learning_rate (or max_learning_rate) or algo.ppo.max_grad_norm",
        is_event=True,
    ),
    Rule(
        "H9",
        "off-policy data useless",
        off_policy_useless,
        "lower algo.aggregation.ratio, or keep the agents closer together",
    ),
    Rule(
        "H10",
        "skewed advantages",
        advantages_skewed,
        "look for outliers of the reward, or for a critic that lags behind the returns",
    ),
    Rule(
        "H11",
        "entropy runs away",
        entropy_runs_away,
        "lower algo.ppo.entropy_coef or algo.aggregation.entropy_scale",
    ),
)
