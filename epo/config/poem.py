"""PPO with evolutionary mutations (POEM, arXiv 2601.14705).

The defaults are our robust setting (`algo=poem`); `algo=poem_paper` is what the paper's digest and
public code with its name show. The paper does not disclose its tuned values. `T` in a source means
that code, `R` our own choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional


@dataclass
class PoemCfg:
    """When the policy is mutated, by how much, and when the mutant stays."""

    enabled: bool = False
    """Whether the policy is mutated at all."""
    when: str = "update"
    """A check per `update` (R) or after every `minibatch` (T)."""
    kl_threshold: float = 5e-3
    """delta: mutate if the KL from the average policy is below, nats (R; T: 0.1); 0: never."""
    min_sigma: float = 0.005
    """Noise at that threshold (R: relative; T: 0.01 absolute)."""
    max_sigma: float = 0.05
    """Noise where the policy equals its average (R: relative; T: 0.1 absolute)."""
    noise: str = "relative"
    """Unit of sigma: `relative` to the root mean square of each tensor (R: 0.01 is a third of the
    weights of a layer of 1,024 units) or `absolute` (T)."""
    tensors: str = "policy"
    """What is mutated: `policy`, trunk and action head (R), or `all`, value head and log std as
    well (T). Genes and the log stds of a population never: they belong to single agents."""
    ema_decay: float = 0.95
    """beta of the average policy, per check (R; T: 0.9 per minibatch)."""
    diversity_coef: float = 0.0
    """lambda_div, weight of the KL from the average policy (R; T: 0.1)."""
    diversity_gradient: bool = False
    """Whether the loss of every minibatch is lowered by that term (T: no, despite the paper's
    formula); costs one more forward pass per minibatch. 0.01 is a first weight to try (R)."""
    diversity_acceptance: bool = False
    """Whether that term counts when a mutant is judged (T: yes)."""
    acceptance: str = "loss"
    """A mutant stays if it lowers the `loss`, `always`, or `never` (ablations)."""
    max_kl: Optional[float] = 0.05
    """A mutant further than this from the policy that collected the data is refused, nats (R; T: no
    bound, None)."""
    probe_states: Optional[int] = 4096
    """States on which policies are compared, the same for both (R); None: a minibatch (T)."""
    warmup_updates: int = 10
    """Updates without mutations: at first the policy equals its average (R; T: 0)."""
    reset_moments: bool = False
    """Whether Adam forgets the moments of mutated tensors when a mutant stays (T: no)."""
