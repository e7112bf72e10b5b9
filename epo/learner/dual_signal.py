"""PPO-BR: a clip range that widens with the entropy and narrows on a plateau of the return."""

from __future__ import annotations

import math
from typing import Any, Dict

import torch
from torch import Tensor

from epo.config import ClipCfg, PPOCfg
from epo.learner.clip import ClipRange, Standing, decay
from epo.models.distribution import Distribution

_EPS = 1e-8


class EntropyScale:
    """The entropy between a very narrow policy (0) and the initial one (1).

    Args:
        distribution: family of the policy.
        dim: D, numbers that its head puts out.
        initial_log_std: of the policy before training.
        floor_std: standard deviation of the narrowest policy; 0: entropy 0 instead.

    Attributes:
        low, high: the two entropies, nats; a uniform categorical policy is the initial one.
    """

    def __init__(
        self, distribution: Distribution, dim: int, initial_log_std: float, floor_std: float
    ) -> None:
        width = distribution.log_std_width(dim)

        def entropy(log_std: float) -> float:
            nowhere = torch.zeros(dim, dtype=torch.float64)
            return float(distribution.entropy(nowhere, torch.full((width,), log_std).double()))

        self.high = entropy(initial_log_std)
        self.low = entropy(math.log(floor_std)) if width and floor_std else 0.0

    def __call__(self, entropy: Tensor) -> Tensor:
        """Return phi of `entropy` [...], clipped to [0, 1]."""
        return ((entropy - self.low) / (self.high - self.low)).clamp(0.0, 1.0)


class ReturnWindow:
    """The mean returns of the last W updates in which episodes ended, on the device.

    Args:
        size: W.
        device: where it lives.
    """

    def __init__(self, size: int, device: torch.device) -> None:
        self.values = torch.zeros(size, dtype=torch.float64, device=device)
        self.count = torch.zeros((), dtype=torch.int64, device=device)

    @property
    def is_full(self) -> Tensor:
        """Return whether W values have arrived, [] bool."""
        return self.count >= len(self.values)

    def append(self, value: Tensor) -> None:
        """Append `value` []; NaN is ignored."""
        is_known = value.isfinite()
        shifted = torch.cat([self.values[1:], value.double().view(1)])
        self.values = torch.where(is_known, shifted, self.values)
        self.count = self.count + is_known


def change(values: Tensor, unit: str) -> Tensor:
    """Return the change within a window of returns.

    Args:
        values: [W] in the order of time.
        unit: `std` of the window, or `relative` to the mean of its older half.

    Returns:
        [] mean of the newer half - mean of the older half, in that unit: sqrt(3) for a straight
        rise, 0.37 on average for noise (W = 20, `std`).
    """
    half = len(values) // 2
    older, newer = values[:half].mean(), values[len(values) - half :].mean()
    scale = values.std(correction=0) if unit == "std" else older.abs()
    return (newer - older) / (scale + _EPS)


def plateau(x: Tensor, cfg: ClipCfg) -> Tensor:
    """Return psi of the change `x` [] of the return, in [0, 1]: how much of a plateau it is."""
    size = x.abs()
    if cfg.plateau == "improvement":
        psi = x.clamp(0.0, 1.0)
    elif cfg.plateau == "inverse":
        psi = 1.0 / (1.0 + size)
    elif cfg.plateau == "exponential":
        psi = (-size).exp()
    else:
        psi = 1.0 - size.tanh()
    return torch.where(x < -1.0, 1.0, psi) if cfg.contract_on_drop else psi


class DualSignal:
    """eps = eps_0 (1 + lambda_1 tanh(phi(H)) - lambda_2 tanh(psi(dR))), on the device.

    The statistics are the leader's. Until its window of returns is full, psi is 0.

    Args:
        cfg: weights, window, and what the paper leaves open.
        ppo: eps_0 is its `clip_eps`, read again in every update.
        scale: phi.
        device: where the statistics live.

    Source: Rahman 2025 (arXiv 2505.17714), formula and Lemma 1; phi, psi, dR and the window are
        undefined there, see `ClipCfg` for ours.
    """

    def __init__(
        self, cfg: ClipCfg, ppo: PPOCfg, scale: EntropyScale, device: torch.device
    ) -> None:
        self.cfg = cfg
        self.ppo = ppo
        self.scale = scale
        self.window = ReturnWindow(cfg.window, device)
        unknown = torch.full((), math.nan, dtype=torch.float64, device=device)
        self._entropy, self._change = unknown, unknown.clone()
        self._metrics: Dict[str, Tensor] = {}

    def begin_update(self, standing: Standing) -> ClipRange:
        """Return a range as wide below as above 1, constant over the update."""
        cfg = self.cfg
        base = self.ppo.clip_eps * decay(cfg, standing.frames)
        self.window.append(standing.episode_return)
        self._entropy = self._smooth(self._entropy, standing.entropy.double())
        is_full = self.window.is_full
        present = self._smooth(self._change, change(self.window.values, cfg.change))
        self._change = torch.where(is_full, present, self._change)
        phi = self.scale(self._entropy)
        psi = torch.where(is_full, plateau(self._change, cfg), 0.0)
        widen, narrow = cfg.expansion * phi.tanh(), cfg.contraction * psi.tanh()
        eps = (base * (1.0 + widen - narrow)).clamp(
            base * (1.0 - cfg.contraction), base * (1.0 + cfg.expansion)
        )
        self._metrics = {
            "br/eps": eps,
            "br/H": self._entropy,
            "br/phi": phi,
            "br/dR": self._change,
            "br/psi": psi,
            "br/expand": widen,
            "br/contract": narrow,
        }
        return ClipRange(eps, eps)

    def _smooth(self, mean: Tensor, value: Tensor) -> Tensor:
        """Return the running mean, which begins with its first value."""
        decay = self.cfg.smoothing
        return torch.where(mean.isnan(), value, decay * mean + (1.0 - decay) * value)

    def metrics(self) -> Dict[str, Tensor]:
        """Return the range, both signals and their terms."""
        return self._metrics

    def state_dict(self) -> Dict[str, Any]:
        """Window and running means."""
        return {
            "values": self.window.values.clone(),
            "count": self.window.count.clone(),
            "entropy": self._entropy.clone(),
            "change": self._change.clone(),
        }

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        device = self.window.values.device
        self.window.values = state["values"].to(device, copy=True)
        self.window.count = state["count"].to(device, copy=True)
        self._entropy = state["entropy"].to(device, copy=True)
        self._change = state["change"].to(device, copy=True)
