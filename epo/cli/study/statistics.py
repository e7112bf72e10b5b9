"""Statistics of a few independent samples: one number per training seed.

Everything is pure and needs no more than numpy: lists in, numbers out. What cannot be told from
the samples, such as the spread of a single one, is NaN.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Dict, Hashable, Mapping, NamedTuple, Sequence, Tuple, TypeVar

import numpy as np

Key = TypeVar("Key", bound=Hashable)
NUM_NODES = 400
"""Points of the quadrature below: 1e-10 is reached from two degrees of freedom on."""
NUM_RESAMPLES = 10_000
NUM_HALVINGS = 50
"""Of a bracket of some ten, down to the last digits of a float."""


class Interval(NamedTuple):
    """An estimate and its 95 % interval."""

    value: float
    low: float
    high: float


class TTest(NamedTuple):
    """Result of a t-test.

    Attributes:
        t: difference of the means over its standard error.
        df: degrees of freedom, not necessarily whole.
        p: two-sided probability of so large a |t| without any difference.
    """

    t: float
    df: float
    p: float


def mean(samples: Sequence[float]) -> float:
    """Return the mean; NaN of nothing."""
    return float(np.mean(samples)) if len(samples) else math.nan


def standard_error(samples: Sequence[float]) -> float:
    """Return the standard error of the mean; NaN below two samples."""
    if len(samples) < 2:
        return math.nan
    return math.sqrt(_variance(samples) / len(samples))


def welch(first: Sequence[float], second: Sequence[float]) -> TTest:
    """Test whether two means differ, without assuming equal variances.

    Args:
        first: samples of one group, at least two.
        second: samples of the other group, at least two.

    Returns:
        The test of first - second; all NaN with fewer samples, or where none of them vary.

    Source: Welch 1947, with the degrees of freedom of Satterthwaite 1946.
    """
    if min(len(first), len(second)) < 2:
        return TTest(math.nan, math.nan, math.nan)
    parts = [_variance(samples) / len(samples) for samples in (first, second)]
    total = sum(parts)
    if not total:
        return TTest(math.nan, math.nan, math.nan)
    t = (mean(first) - mean(second)) / math.sqrt(total)
    sizes = (len(first), len(second))
    # Of shares: the square of a tiny variance would be zero.
    df = 1.0 / sum((part / total) ** 2 / (size - 1) for part, size in zip(parts, sizes))
    return TTest(t, df, two_sided_p(t, df))


def two_sided_p(t: float, df: float) -> float:
    """Return the probability that Student's t with `df` >= 1 is at least |t| from zero.

    With t = sqrt(df) tan(x) the density becomes cos(x)^(df - 1) over a finite range, which
    Gauss-Legendre quadrature integrates.
    """
    if math.isnan(t) or math.isnan(df):
        return math.nan
    # The angle that is left, not its complement: large |t| would lose all digits.
    rest = math.atan2(math.sqrt(df), abs(t))
    nodes, weights = _quadrature()
    x = 0.5 * rest * (nodes + 1.0)
    area = 0.5 * rest * float(weights @ np.sin(x) ** (df - 1.0))
    log_scale = math.lgamma(0.5 * (df + 1.0)) - math.lgamma(0.5 * df)
    return min(1.0, 2.0 * area * math.exp(log_scale) / math.sqrt(math.pi))


def mean_interval(samples: Sequence[float]) -> Interval:
    """Return the mean with its 95 % interval by Student's t; NaN bounds below two samples."""
    error = standard_error(samples)
    if math.isnan(error):
        return Interval(mean(samples), math.nan, math.nan)
    margin = t_quantile(0.975, len(samples) - 1) * error
    return Interval(mean(samples), mean(samples) - margin, mean(samples) + margin)


@lru_cache(maxsize=None)
def t_quantile(share: float, df: float) -> float:
    """Return the value below which Student's t with `df` >= 1 is with probability `share` > 0.5."""
    # Halve a bracket of the angle atan(t / sqrt(df)), which is finite however large t is.
    low, high = 0.0, 0.5 * math.pi
    for _ in range(NUM_HALVINGS):
        middle = 0.5 * (low + high)
        if 1.0 - 0.5 * two_sided_p(math.sqrt(df) * math.tan(middle), df) < share:
            low = middle
        else:
            high = middle
    return math.sqrt(df) * math.tan(0.5 * (low + high))


def share_interval(num: int, total: int) -> Interval:
    """Return the share `num` / `total` with its 95 % interval; NaN of nothing.

    Source: Wilson 1927; unlike mean and standard error it stays within [0, 1], at its ends too.
    """
    if not total:
        return Interval(math.nan, math.nan, math.nan)
    z = 1.959964  # of a normal variable, 2.5 % on either side
    share = num / total
    # (p + z^2 / 2n +- z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)
    scale = 1.0 + z**2 / total
    centre = (share + z**2 / (2 * total)) / scale
    margin = z * math.sqrt(share * (1.0 - share) / total + z**2 / (4 * total**2)) / scale
    return Interval(share, max(0.0, centre - margin), min(1.0, centre + margin))


def hedges_g(first: Sequence[float], second: Sequence[float]) -> Interval:
    """Return the standardised difference first - second, corrected for small samples.

    Returns:
        g in pooled standard deviations with its 95 % interval, exact for normal samples of equal
        variance; all NaN where `welch` is.

    Source: Hedges 1981 (g); Steiger & Fouladi 1997 (interval, by the non-central t).
    """
    sizes = (len(first), len(second))
    df = sum(sizes) - 2
    if min(sizes) < 2:
        return Interval(math.nan, math.nan, math.nan)
    squares = sum((size - 1) * _variance(s) for size, s in zip(sizes, (first, second)))
    if not squares:
        return Interval(math.nan, math.nan, math.nan)
    scale = math.sqrt(1.0 / sizes[0] + 1.0 / sizes[1])
    t = (mean(first) - mean(second)) / (math.sqrt(squares / df) * scale)
    log_factor = math.lgamma(0.5 * df) - math.lgamma(0.5 * (df - 1))
    unit = scale * math.exp(log_factor) / math.sqrt(0.5 * df)
    low, high = (noncentrality(t, df, share) for share in (0.975, 0.025))
    return Interval(unit * t, unit * low, unit * high)


def noncentrality(t: float, df: float, share: float) -> float:
    """Return for which non-centrality a non-central t with `df` is `share` of times below `t`.

    A non-central t is (Z + n) / S, where S^2 is a chi-square over its df: it is below t as often
    as Z is below t S - n, averaged over S by Gauss-Legendre quadrature.
    """
    nodes, weights = _quadrature()
    s = 0.5 * (1.0 + 9.0 / math.sqrt(df)) * (nodes + 1.0)
    log_density = (df - 1.0) * np.log(s) - 0.5 * df * s**2
    weights = weights * np.exp(log_density - log_density.max())
    low, high = -3.0 * abs(t) - 8.0, 3.0 * abs(t) + 8.0
    for _ in range(NUM_HALVINGS):
        middle = 0.5 * (low + high)
        below = [0.5 * math.erfc((middle - x) / math.sqrt(2.0)) for x in (t * s).tolist()]
        if float(weights @ below) > share * float(weights.sum()):
            low = middle  # too often below t: it must lie higher
        else:
            high = middle
    return 0.5 * (low + high)


def holm(p: Mapping[Key, float]) -> Dict[Key, float]:
    """Correct p-values of a family of tests; what is NaN was no test and stays so.

    Source: Holm 1979.
    """
    tested = sorted((value, i, key) for i, (key, value) in enumerate(p.items()) if value == value)
    corrected, largest = dict(p), 0.0
    for rank, (value, _, key) in enumerate(tested):
        largest = max(largest, min(1.0, value * (len(tested) - rank)))
        corrected[key] = largest
    return corrected


def interquartile_mean(
    samples: Sequence[float], seed: int = 0, num_resamples: int = NUM_RESAMPLES
) -> Interval:
    """Return the mean without the lowest and the highest quarter, rounded down, of the samples.

    Args:
        samples: one per training seed.
        seed: of the resampling.
        num_resamples: of the bootstrap.

    Returns:
        It and its percentile bootstrap interval, NaN below two samples.

    Source: Agarwal et al. 2021 (the measure); Efron 1979 (the interval).
    """
    if not len(samples):
        return Interval(math.nan, math.nan, math.nan)
    values = np.asarray(samples, dtype=np.float64)
    value = float(_trimmed(values[None])[0])
    if len(values) < 2:
        return Interval(value, math.nan, math.nan)
    ids = np.random.default_rng(seed).integers(len(values), size=(num_resamples, len(values)))
    low, high = np.percentile(_trimmed(values[ids]), [2.5, 97.5])
    return Interval(value, float(low), float(high))


@lru_cache(maxsize=None)
def _quadrature() -> Tuple[np.ndarray, np.ndarray]:
    """Return the nodes and weights of Gauss-Legendre quadrature over [-1, 1], found once."""
    return np.polynomial.legendre.leggauss(NUM_NODES)


def _trimmed(samples: np.ndarray) -> np.ndarray:
    """Return the interquartile mean of every row."""
    num_cut = samples.shape[1] // 4
    kept = np.sort(samples, axis=1)[:, num_cut : samples.shape[1] - num_cut]
    return kept.mean(axis=1)


def _variance(samples: Sequence[float]) -> float:
    if min(samples) == max(samples):  # np.var would leave a rounding error
        return 0.0
    return float(np.var(samples, ddof=1))
