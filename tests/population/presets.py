"""The evolution of the shipped presets, and of the released rule with its bugs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from epo.config import EvolutionCfg
from tests.composed import composed

NAMES = ("epo", "epo_official", "released")


def preset(name: str, **changes: Any) -> EvolutionCfg:
    """Return `algo.evolution` of `algo=<name>`, with changes.

    `released` is `epo_official` without the repairs, as in the golden vectors: the leader can be
    replaced, and equal scores still replace.
    """
    is_released = name == "released"
    cfg = composed(f"algo={'epo_official' if is_released else name}").algo.evolution
    if is_released:
        cfg = replace(cfg, protect_leader=False, require_spread=False)
    return replace(cfg, **changes)
