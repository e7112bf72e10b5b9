"""Exploration: how far actions stray from the policy, and what that does to the returns."""

from __future__ import annotations

from typing import Any, Dict

import torch
from torch import Tensor

from epo.config import PqlCfg
from epo.envs import Step

NUM_QUARTILES = 4


def mixed_sigmas(num_envs: int, min_sigma: float, max_sigma: float) -> Tensor:
    """Return a standard deviation for every environment, [N], evenly spaced.

    Source: PQL (arXiv 2307.12983), mixed exploration: some environments stay near the policy
        while others try what it never would; no schedule has to be tuned.
    """
    return torch.linspace(min_sigma, max_sigma, num_envs)


def scheduled_sigma(
    kind: str, step: int, *, min_sigma: float, max_sigma: float, decay_steps: int
) -> float:
    """Return the standard deviation of all environments at a control step.

    Args:
        kind: `constant` (max_sigma), or `linear` or `exponential` from max_sigma to min_sigma.
        step: control steps done.
        min_sigma: least standard deviation.
        max_sigma: greatest standard deviation.
        decay_steps: control steps after which min_sigma is reached.
    """
    share = min(step / decay_steps, 1.0)
    if kind == "linear":
        return max_sigma + share * (min_sigma - max_sigma)
    if kind == "exponential":
        return max_sigma * (min_sigma / max_sigma) ** share
    return max_sigma


class Exploration:
    """Normal noise on the actions of N environments, from a generator of its own.

    Args:
        cfg: kind and spread.
        num_envs: N.
        action_dim: A.
        device: of the actions.
        seed: of the noise.
    """

    def __init__(
        self, cfg: PqlCfg, num_envs: int, action_dim: int, device: torch.device, seed: int
    ) -> None:
        self.cfg = cfg
        self.is_mixed = cfg.exploration == "mixed"
        self.generator = torch.Generator(device).manual_seed(seed)
        self._shape = (num_envs, action_dim)
        sigmas = mixed_sigmas(num_envs, cfg.min_sigma, cfg.max_sigma)
        self._sigmas = sigmas.to(device).unsqueeze(-1)  # [N, 1]

    def random(self) -> Tensor:
        """Draw actions [N, A], uniform in [-1, 1]."""
        u = torch.rand(self._shape, generator=self.generator, device=self.generator.device)
        return 2.0 * u - 1.0

    def perturb(self, action: Tensor, step: int) -> Tensor:
        """Add the noise of control step `step` to actions [N, A] and clamp them to [-1, 1]."""
        noise = torch.randn(self._shape, generator=self.generator, device=self.generator.device)
        if self.is_mixed:
            return (action + self._sigmas * noise).clamp(-1.0, 1.0)
        return (action + self.sigma(step) * noise).clamp(-1.0, 1.0)

    def sigma(self, step: int) -> float:
        """Return the mean standard deviation over the environments at a control step."""
        cfg = self.cfg
        if self.is_mixed:
            return 0.5 * (cfg.min_sigma + cfg.max_sigma)
        return scheduled_sigma(
            cfg.exploration,
            step,
            min_sigma=cfg.min_sigma,
            max_sigma=cfg.max_sigma,
            decay_steps=cfg.decay_steps,
        )


class QuartileReturns:
    """Return of the last episode of every environment, averaged over quarters of the N.

    Under mixed exploration the first quarter has the least noise: it shows how good the policy
    is, the last one what the noise costs.

    Args:
        num_envs: N.
        device: of the environments.
    """

    def __init__(self, num_envs: int, device: torch.device) -> None:
        self._quartile = torch.arange(num_envs, device=device) * NUM_QUARTILES // num_envs
        self._return = torch.zeros(num_envs, device=device)
        self._last = torch.full((num_envs,), torch.nan, device=device)

    def update(self, step: Step) -> None:
        """Take in one control step."""
        self._return = self._return + step.reward
        done = step.terminated | step.truncated
        if step.valid is not None:  # The episode before it was lost.
            self._return = torch.where(step.valid, self._return, 0.0)
            done = done & step.valid
        self._last = torch.where(done, self._return, self._last)
        self._return = torch.where(done, 0.0, self._return)

    def read(self) -> Dict[str, Tensor]:
        """Return the means by name, [] each, task units; NaN where no episode has ended yet."""
        # A mask as an index would make the host wait for the number of rows.
        return {
            f"exploration/return_quartile_{i + 1}": torch.where(
                self._quartile == i, self._last, torch.nan
            ).nanmean()
            for i in range(NUM_QUARTILES)
        }

    def state_dict(self) -> Dict[str, Any]:
        """Return everything that changes."""
        return {"return": self._return.clone(), "last": self._last.clone()}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self._return = state["return"].to(self._return.device, copy=True)
        self._last = state["last"].to(self._last.device, copy=True)
