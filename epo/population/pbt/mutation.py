"""How settings are mutated.

Source: IsaacGymEnvs 1.5.1, `pbt/mutation.py` (DexPBT, arXiv 2305.12127).
"""

from __future__ import annotations

from typing import Callable, Dict, List, Mapping

import torch

from epo.config.pbt import PbtCfg

Settings = Dict[str, float]
"""Mutable settings of a member by name; whole numbers are ints."""

CLIP_BOUNDS = (0.01, 0.3)
EPOCH_BOUNDS = (1, 8)
DISCOUNT_FACTORS = (1.1, 1.2)
DISCOUNT_BOUNDS = (1e-4, 0.2)
"""Bounds of 1 - discount; ours, there are none in the source."""


def scale(value: float, is_up: bool, u: float, low: float, high: float) -> float:
    """Multiply or divide by a factor, `u` in [0, 1) of the way from `low` to `high`; 0 stays 0."""
    factor = low + u * (high - low)
    return value * factor if is_up else value / factor


def by_factor(value: float, is_up: bool, u: float, cfg: PbtCfg) -> float:
    """Scale by a factor of `cfg`."""
    return scale(value, is_up, u, cfg.min_factor, cfg.max_factor)


def clip_range(value: float, is_up: bool, u: float, cfg: PbtCfg) -> float:
    """Scale a clip range within its bounds."""
    return _clamp(by_factor(value, is_up, u, cfg), *CLIP_BOUNDS)


def epochs(value: float, is_up: bool, u: float, cfg: PbtCfg) -> float:
    """Take one epoch more or less within their bounds."""
    return int(_clamp(int(value) + (1 if is_up else -1), *EPOCH_BOUNDS))


def discount(value: float, is_up: bool, u: float, cfg: PbtCfg) -> float:
    """Scale what is missing to 1, whatever the factors of `cfg` are."""
    return 1.0 - _clamp(scale(1.0 - value, is_up, u, *DISCOUNT_FACTORS), *DISCOUNT_BOUNDS)


RULES: Dict[str, Callable[[float, bool, float, PbtCfg], float]] = {
    "factor": by_factor,
    "clip": clip_range,
    "epochs": epochs,
    "discount": discount,
}
"""(value, is_up, u in [0, 1), cfg) -> mutated value, by the names in `epo.config.pbt.RULES`."""


def mutate(
    settings: Mapping[str, float],
    rules: Mapping[str, str],
    cfg: PbtCfg,
    generator: torch.Generator,
) -> Settings:
    """Mutate every setting independently with the chance of `cfg`.

    Three numbers are drawn per setting in the order of the names, whether it is mutated or not:
    for the choice, the direction and the factor.

    Args:
        settings: name -> value.
        rules: name -> name of its rule, of the same names.
        cfg: chance and factors.
        generator: on the CPU.
    """
    mutated = dict(settings)
    for name in sorted(settings):
        choice, direction, way = draw(3, generator)
        if choice < cfg.mutation_rate:
            mutated[name] = RULES[rules[name]](settings[name], direction < 0.5, way, cfg)
    return mutated


def draw(num: int, generator: torch.Generator) -> List[float]:
    """Draw numbers in [0, 1)."""
    u = torch.rand(num, generator=generator, dtype=torch.float64)
    return [float(value) for value in u]


def _clamp(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
