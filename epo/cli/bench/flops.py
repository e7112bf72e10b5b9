"""Matrix products of an iteration: which, and how many floating-point operations they are.

Only products count, 2 m k n operations each: they are what an optimal implementation could not
do without. Everything between them (gates, losses, optimiser) is not counted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Counter as Counts
from typing import List, NamedTuple, Tuple

from epo.config import AggregationCfg, NetworkCfg, PPOCfg
from epo.learner.batch import minibatch_spans
from epo.models.actor_critic import ActorCritic


class Product(NamedTuple):
    """A matrix product [rows, inner] x [inner, columns].

    Attributes:
        kind: `forward`, or the gradient of `input` or `weight`.
        in_trunk: in the trunk's precision; the heads are float32.
    """

    rows: int
    inner: int
    columns: int
    kind: str = "forward"
    in_trunk: bool = True

    @property
    def flops(self) -> int:
        """Floating-point operations: a multiplication and an addition per term."""
        return 2 * self.rows * self.inner * self.columns


@dataclass(frozen=True)
class Shapes:
    """Widths of an actor-critic without image encoder.

    Attributes:
        observation_dim: O.
        policy_dim: D.
        lstm_units: H; 0: no LSTM.
        mlp_units: widths of the layers after it.
        num_agents: K.
        gene_dim: G; 0: no genes.
        critic_dim: width of what a critic with a trunk of its own reads; 0: it shares the actor's.
    """

    observation_dim: int
    policy_dim: int
    lstm_units: int
    mlp_units: Tuple[int, ...]
    num_agents: int = 1
    gene_dim: int = 0
    critic_dim: int = 0

    @classmethod
    def of(cls, model: ActorCritic, network: NetworkCfg) -> Shapes:
        """Read the widths of a model that was built with these settings."""
        return cls(
            model.observation_dim,
            model.policy_dim,
            model.hidden_dim,
            tuple(network.mlp_units),
            model.num_agents,
            0 if model.gene is None else model.gene.shape[1],
            0 if model.critic is None else model.state_dim or model.observation_dim,
        )


Work = Counts[Product]
"""How often every product is made."""


class Layer(NamedTuple):
    """A layer in one pass.

    Attributes:
        product: its forward product.
        times: how often it is made, one after the other.
        input_gradients: how many of them pass a gradient on to their input.
    """

    product: Product
    times: int = 1
    input_gradients: int = 1


def layers(shapes: Shapes, steps: int, batch: int) -> List[Layer]:
    """Return the layers of a pass over B sequences of T steps.

    Nothing flows back into observations, nor into the state before the first step.
    """
    inputs = [shapes.observation_dim, *([shapes.critic_dim] if shapes.critic_dim else [])]
    found = [layer for width in inputs for layer in _trunk(shapes, width, steps, batch)]
    rows, last = steps * batch, (shapes.lstm_units, *shapes.mlp_units)[-1]
    heads = (shapes.policy_dim, 1)
    return found + [Layer(Product(rows, last, n, in_trunk=False)) for n in heads]


def _trunk(shapes: Shapes, input_dim: int, steps: int, batch: int) -> List[Layer]:
    """Return the layers below the heads, of a trunk that reads vectors of a width."""
    rows, width, units = steps * batch, shapes.lstm_units, shapes.mlp_units
    first = 4 * width or units[0]
    found = [Layer(Product(rows, input_dim, first), input_gradients=0)]
    if shapes.gene_dim:
        found.append(Layer(Product(shapes.num_agents, shapes.gene_dim, first)))
    if width:
        found.append(Layer(Product(batch, width, 4 * width), steps, steps - 1))
        units = (width, *units)
    return found + [Layer(Product(rows, *pair)) for pair in zip(units, units[1:])]


def forward(shapes: Shapes, steps: int, batch: int) -> Work:
    """Return the products of a pass over B sequences of T steps."""
    work: Work = Counter()
    for layer in layers(shapes, steps, batch):
        work[layer.product] += layer.times
    return work


def backward(shapes: Shapes, steps: int, batch: int) -> Work:
    """Return the products of the gradients of the same pass.

    The recurrent weights get the gradients of all steps in one product.
    """
    work: Work = Counter()
    for (rows, inner, columns, _, in_trunk), times, input_gradients in layers(shapes, steps, batch):
        work[Product(rows, columns, inner, "input", in_trunk)] += input_gradients
        work[Product(columns, times * rows, inner, "weight", in_trunk)] += 1
    return work


def rollout_work(shapes: Shapes, num_envs: int, ppo: PPOCfg) -> Work:
    """Return the products of a collection: T + 1 steps, and T values of states cut by time."""
    passes = ppo.horizon + 1 + (ppo.horizon if ppo.bootstrap_truncated else 0)
    return repeated(forward(shapes, 1, num_envs), passes)


def update_work(
    shapes: Shapes, num_envs: int, num_copied: int, ppo: PPOCfg, aggregation: AggregationCfg
) -> Work:
    """Return the products of an update: relabelling S' sequences, then the epochs over N + S'."""
    work: Work = Counter()
    if num_copied:
        steps, batch = ppo.horizon + 1, num_copied
        if aggregation.hidden == "stored":
            steps, batch = 1, steps * batch
        work += forward(shapes, steps, batch)
    for start, end in minibatch_spans(num_envs + num_copied, ppo.horizon, ppo):
        for passes in (forward, backward):
            work += repeated(passes(shapes, ppo.horizon, end - start), ppo.num_epochs)
    return work


def repeated(work: Work, number: int) -> Work:
    """Do the same work `number` times."""
    return Counter({product: count * number for product, count in work.items()})


def total_flops(work: Work) -> int:
    """Add up the operations."""
    return sum(product.flops * count for product, count in work.items())
