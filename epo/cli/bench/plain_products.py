"""How near the trainer comes to plain matrix products, the physical limit of its network."""

from __future__ import annotations

from typing import Callable, Dict, Tuple

import torch
from torch import Tensor

from epo.cli.bench.flops import Product, Shapes, Work, rollout_work, total_flops, update_work
from epo.cli.bench.report import Row
from epo.cli.bench.timing import elapsed_s, repeated_s
from epo.runner.trainer import Trainer

REPETITIONS = 5
"""Of every product; the fastest counts."""
BLOCK_S = 0.01
"""Least time of one repetition, s: short products are called several times in it."""
MAX_CALLS = 100
IS_TRANSPOSED: Dict[str, Tuple[bool, bool]] = {
    "forward": (False, True),
    "input": (False, False),
    "weight": (True, False),
}
"""Kind of product -> which factors are stored transposed: x W', dy W, dy' x."""


def matmul_shares(
    trainer: Trainer, num_copied: int, rollout_s: float, update_s: float, iteration_s: float
) -> Row:
    """Compare times with those of plain products of the same shapes and precision.

    Args:
        trainer: what was timed.
        num_copied: S', relabelled sequences of an update.
        rollout_s: time of a collection.
        update_s: time of an update.
        iteration_s: time of everything.

    Returns:
        Shares, and billions of operations, as entries of a row; nothing for a network with
        convolutions, whose products have other shapes.
    """
    model, algo, num_envs = trainer.model, trainer.cfg.algo, trainer.env.spec.num_envs
    if model.encoder is not None:
        return {}
    shapes = Shapes.of(model, algo.network)
    rollout = rollout_work(shapes, num_envs, algo.ppo)
    update = update_work(shapes, num_envs, num_copied, algo.ppo, algo.aggregation)
    plain = PlainProducts(trainer.env.device, model.autocast or torch.float32)
    rollout_at_best_s, update_at_best_s = plain.work_s(rollout), plain.work_s(update)
    return {
        "matmul_share": update_at_best_s / update_s,
        "rollout_matmul_share": rollout_at_best_s / rollout_s,
        "iteration_matmul_share": (rollout_at_best_s + update_at_best_s) / iteration_s,
        "update_gflop": total_flops(update) / 1e9,
        "rollout_gflop": total_flops(rollout) / 1e9,
    }


class PlainProducts:
    """Time plain products of torch in this process: the least that work can take.

    Args:
        device: where they run.
        trunk: precision of the trunk's products.
    """

    def __init__(self, device: torch.device, trunk: torch.dtype) -> None:
        self.device = device
        self.trunk = trunk
        self._seconds: Dict[Product, float] = {}

    def work_s(self, work: Work) -> float:
        """Return the seconds of all products at their best."""
        return sum(self.product_s(product) * count for product, count in work.items())

    def product_s(self, product: Product) -> float:
        """Return the seconds of one product into memory that is there; the fastest of several."""
        if product not in self._seconds:
            self._seconds[product] = self._measure(self._call(product))
        return self._seconds[product]

    def _call(self, product: Product) -> Callable[[], object]:
        rows, inner, columns = product[:3]
        dtype = self.trunk if product.in_trunk else torch.float32
        factors = [
            _factor(shape, is_transposed, dtype, self.device)
            for shape, is_transposed in zip(
                ((rows, inner), (inner, columns)), IS_TRANSPOSED[product.kind]
            )
        ]
        out = torch.empty(rows, columns, dtype=dtype, device=self.device)
        return lambda: torch.mm(*factors, out=out)

    def _measure(self, call: Callable[[], object]) -> float:
        call()
        calls = min(max(int(BLOCK_S / elapsed_s(self.device, call)), 1), MAX_CALLS)

        def block() -> None:
            for _ in range(calls):
                call()

        return min(repeated_s(self.device, REPETITIONS, block)) / calls


def _factor(
    shape: Tuple[int, int], is_transposed: bool, dtype: torch.dtype, device: torch.device
) -> Tensor:
    stored = torch.randn(shape[::-1] if is_transposed else shape, device=device).to(dtype)
    return stored.t() if is_transposed else stored
