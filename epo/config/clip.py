"""The clip range of the ratio over the course of training, PPO-BR among its schedules.

`T` in a source means a public re-implementation of PPO-BR: the paper's body leaves the window, the
change of the return and the plateau measure undefined. `R` means our own choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional


@dataclass
class ClipCfg:
    """How `algo.ppo.clip_eps` changes; the defaults keep it constant."""

    kind: str = "constant"
    """`constant`; `br`: PPO-BR, wider at high entropy and narrower on a plateau of the return;
    `none`: the ratio is not clipped (PPO with a KL penalty)."""
    decay_frames: Optional[int] = None
    """Frames over which clip_eps falls linearly, with `br` as well; None: it does not."""
    decay_to: float = 0.1
    """Share of clip_eps that is left after decay_frames (R)."""
    expansion: float = 0.5
    """lambda_1 of PPO-BR: weight of the entropy (T; 0.5 to 0.8 by task)."""
    contraction: float = 0.3
    """lambda_2 of PPO-BR: weight of the plateau (T; 0.2 to 0.3 by task)."""
    window: int = 20
    """Updates with finished episodes over which the change of the return is seen (T: 10 to 40)."""
    entropy_floor: str = "sigma"
    """Entropy that counts as none. `sigma`: that of a Gaussian policy with floor_std (R: robot
    policies become narrower than 0.242, where their differential entropy is negative); `zero`: 0
    (T). Categorical policies: always 0."""
    floor_std: float = 0.05
    """Standard deviation of that narrowest policy, action units (R)."""
    change: str = "std"
    """Unit of the change of the return: `std` of the window (R: sign-safe, free of scale) or
    `relative` to the mean of its older half (T; breaks near zero)."""
    plateau: str = "tanh"
    """From the change x to the plateau measure: `tanh` 1 - tanh|x| (T), `inverse` 1 / (1 + |x|),
    `exponential` exp(-|x|); `improvement` clip(x, 0, 1) narrows while the return improves, an
    ablation: one reading of the formula, against the intent of the paper."""
    contract_on_drop: bool = False
    """Narrow as on a plateau when the return falls by more than one unit of `change` (R)."""
    smoothing: float = 0.0
    """Decay of running means of the entropy and of the change, in [0, 1); 0: none (R)."""
