"""The random numbers of environments, as far as they can be read."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from gymnasium import Env

Generators = List[Optional[Dict[str, Any]]]
"""State of every environment's random numbers, plain types; None where it is not known."""
_KNOWN = "PCG64"
"""Kind that Gymnasium gives to an environment; the state of others need not be plain."""


def read_generator(env: Env) -> Optional[Dict[str, Any]]:
    """Return the state of an environment's random numbers; None if it keeps others."""
    try:
        state = env.unwrapped.np_random.bit_generator.state
        return dict(state) if state["bit_generator"] == _KNOWN else None
    except Exception:  # whatever an environment keeps there instead
        return None


def set_generator(env: Env, state: Optional[Dict[str, Any]]) -> None:
    """Let an environment continue with the random numbers of `read_generator`, if it can."""
    if state is not None and read_generator(env) is not None:
        env.unwrapped.np_random.bit_generator.state = state
