"""The shared network and its normalisers.

`AK` in a source means the published Allegro-Kuka setting of SAPG and EPO (the training yaml files
and launchers of their repositories); `R` means our own choice, argued in the same line.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import List


@dataclass
class NetworkCfg:
    """The shared actor-critic (one trunk, two heads) and its gene conditioning."""

    model: str = "actor_critic"
    """`actor_critic`, or a network of your own (docs/extending.md)."""
    critic: str = "shared"
    """Trunk of the critic: the actor's (`shared`: every published result), one of its own that
    reads the observation (`separate`), or one that reads what the task shows the critic alone
    (`asymmetric`, Pinto et al. 2018). The last two have the widths given here once more."""
    kind: str = "lstm"
    """`lstm` (LSTM, layer norm, MLP: every published result) or `mlp`."""
    encoder: str = "none"
    """`cnn` in front of everything else, for observations that are images; `none`."""
    cnn_channels: List[int] = field(default_factory=lambda: [16, 32, 32, 32])
    """Channels of the convolutions of `cnn`, each of which halves height and width (ours: small
    enough to be trained on a CPU)."""
    lstm_units: int = 768
    """Width of the LSTM in front of the MLP (AK). Not used by `mlp`."""
    mlp_units: List[int] = field(default_factory=lambda: [768, 512, 256])
    """Widths of the ELU layers (AK with LSTM; without it 1024-1024-512-512)."""
    gene_dim: int = 32
    """G, length of an agent's gene (official EPO code). A population of one has no gene."""
    gene_std: float = 1.0
    """Standard deviation of the first genes (official EPO code). Larger: agents differ more in what
    they do from the start, since genes are inputs of the network beside the observation."""
    initial_log_std: float = 0.0
    """Natural logarithm of every agent's first action standard deviation (AK)."""
    noise_ladder: float = 0.0
    """Spread of the first log std: agent i begins noise_ladder * (1 - i / (num_agents - 1)) above
    `initial_log_std`, the leader with that (ours; PQL spreads noise over environments)."""


@dataclass
class NormalizerCfg:
    """Running mean and variance of observations and values."""

    observation: bool = True
    """Normalise observations (AK)."""
    value: bool = True
    """Let the critic predict normalised returns (AK)."""
    timing: str = "iteration"
    """`iteration`: observation statistics move once per iteration after the update and value
    statistics on returns only, so the first ratio is exactly 1 (R). `minibatch`: as the
    original, in the forward passes of the first epoch and twice in the preparation of the data.
    `absorbed`: as `iteration`, and the first layers are rescaled so that the policy does not move
    with the statistics (ours, for step sizes that decay to 0; the novelty that diagnostics measure
    then contains the rescaling)."""
    clip: float = 5.0
    """Bound of normalised observations and values, standard deviations (rl_games)."""
