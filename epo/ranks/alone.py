"""What the code asks of the ranks of a run, and the answers of a run that is one process."""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Protocol, TypeVar

import torch
from torch import Tensor, nn

Result = TypeVar("Result")


GONE = 75
"""Exit code of a rank that ended because another one is gone (EX_TEMPFAIL)."""


class RankError(RuntimeError):
    """Another rank is gone or hangs; the message names it.

    Attributes:
        is_speaker: this is the rank that says so for all that are left.
    """

    is_speaker = True


class Moments(NamedTuple):
    """Of a batch of vectors.

    Attributes:
        num: how many vectors.
        mean, var: [D] float64; the variance is unbiased.
    """

    num: Any
    mean: Tensor
    var: Tensor


class Ranks(Protocol):
    """All processes of a run, as one of them sees them.

    Whatever exchanges data is called by all ranks, in the same order.

    Attributes:
        rank: of this process, in [0, size); rank 0 alone writes and prints.
        size: W, ranks of the run.
    """

    rank: int
    size: int

    def sum(self, x: Tensor) -> Tensor:
        """Return the sum of `x` [...] over the ranks; its gradient is that of the own part."""
        ...

    def across(self, x: Tensor) -> Tensor:
        """Return the elementwise mean of `x` [...] over the ranks, without gradient."""
        ...

    def max(self, x: Tensor) -> Tensor:
        """Return the elementwise maximum of `x` [...] over the ranks, without gradient."""
        ...

    def mean(self, x: Tensor, mask: Optional[Tensor] = None) -> Tensor:
        """Return the mean [] of `x` [...] of all ranks where `mask` holds; everywhere if None."""
        ...

    def ratio(self, numerator: Tensor, denominator: Tensor, least: float) -> Tensor:
        """Return sum of numerators [] / sum of denominators [], which is at least `least`."""
        ...

    def moments(self, x: Tensor) -> Moments:
        """Return the moments of the vectors `x` [M, D] of all ranks."""
        ...

    def variance(self, x: Tensor) -> Tensor:
        """Return the unbiased variance [] of `x` [...] of all ranks."""
        ...

    def standardize(self, x: Tensor, mask: Optional[Tensor] = None) -> Tensor:
        """Return `x` [...] with mean 0 and unbiased standard deviation 1 over all ranks.

        Where `mask` [...] is false, it neither counts nor matters.
        """
        ...

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace the gradients by their sums over the ranks; a missing one counts as 0."""
        ...

    def totals(self, named: Dict[str, Tensor]) -> Dict[str, Tensor]:
        """Return name -> [] sum over the ranks, without gradient."""
        ...

    def average(self, named: Dict[str, Tensor]) -> Dict[str, Tensor]:
        """Return name -> [] mean over the ranks that have a value; NaN is no value."""
        ...

    def agree(self, x: Tensor) -> Tensor:
        """Return the `x` [...] of rank 0, on the CPU."""
        ...

    def side_by_side(self, x: Tensor) -> Tensor:
        """Return the `x` [..., n] of all ranks side by side, [..., W n], without gradient."""
        ...

    def largest(self, number: int) -> int:
        """Return the largest `number` of a rank."""
        ...

    def first(self, work: Callable[[], Result]) -> Result:
        """Let rank 0 do `work`; return its result, plain types and tensors, on all ranks.

        Raises:
            ConfigError: on all ranks, if the work raised one on rank 0.
        """
        ...

    def together(self, work: Callable[[], Result]) -> Result:
        """Do `work` on every rank and return the own result.

        Raises:
            ConfigError: on all ranks, if the work raised one on some rank.
        """
        ...

    def gather(self, part: Any) -> List[Any]:
        """Return the parts, plain types and tensors, of all ranks on rank 0; elsewhere none."""
        ...

    def hand(self, make: Callable[[], Result], source: int, to: int) -> Optional[Result]:
        """Let rank `source` make something of plain types and tensors, and hand it to rank `to`.

        Returns:
            It on rank `to`, tensors on the CPU if they have travelled; None elsewhere.
        """
        ...

    def seconds(self) -> Dict[str, float]:
        """Return what the exchange took since the last call, s; empty: there is none."""
        ...


class Alone:
    """A run of one process: every sum is the own part, and nothing is exchanged."""

    rank, size = 0, 1

    def sum(self, x: Tensor) -> Tensor:
        """Return `x`."""
        return x

    def across(self, x: Tensor) -> Tensor:
        """Return `x`."""
        return x

    def max(self, x: Tensor) -> Tensor:
        """Return `x`."""
        return x

    def mean(self, x: Tensor, mask: Optional[Tensor] = None) -> Tensor:
        """Return the mean [] of `x` [...] where `mask` holds; everywhere if None."""
        return masked_mean(x, mask)

    def ratio(self, numerator: Tensor, denominator: Tensor, least: float) -> Tensor:
        """Return numerator / denominator."""
        return numerator / denominator.clamp(min=least)

    def moments(self, x: Tensor) -> Moments:
        """Return the moments of the vectors `x` [M, D]."""
        var, mean = torch.var_mean(x, dim=0)
        return Moments(x.shape[0], mean.double(), var.double())

    def variance(self, x: Tensor) -> Tensor:
        """Return the unbiased variance [] of `x` [...]."""
        return x.var()

    def standardize(self, x: Tensor, mask: Optional[Tensor] = None) -> Tensor:
        """Return `x` [...] with mean 0 and unbiased standard deviation 1."""
        # x <- (x - mean(x)) / (std(x) + 1e-8)
        if mask is None:
            std, mean = torch.std_mean(x)
            return (x - mean) / (std + 1e-8)
        mean = masked_mean(x, mask)
        square = ((x - mean) * mask).square().sum() / (mask.sum() - 1).clamp(min=1)
        return (x - mean) / (square.sqrt() + 1e-8)

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Leave them as they are."""

    def totals(self, named: Dict[str, Tensor]) -> Dict[str, Tensor]:
        """Return `named`."""
        return named

    def average(self, named: Dict[str, Tensor]) -> Dict[str, Tensor]:
        """Return `named`."""
        return named

    def agree(self, x: Tensor) -> Tensor:
        """Return `x` on the CPU."""
        return x.cpu()

    def side_by_side(self, x: Tensor) -> Tensor:
        """Return `x`."""
        return x

    def largest(self, number: int) -> int:
        """Return `number`."""
        return number

    def first(self, work: Callable[[], Result]) -> Result:
        """Do `work`."""
        return work()

    def together(self, work: Callable[[], Result]) -> Result:
        """Do `work`."""
        return work()

    def gather(self, part: Any) -> List[Any]:
        """Return the one part."""
        return [part]

    def hand(self, make: Callable[[], Result], source: int, to: int) -> Optional[Result]:
        """Return what `make` makes."""
        return make()

    def seconds(self) -> Dict[str, float]:
        """Return nothing."""
        return {}


ALONE = Alone()
"""The ranks of a run that is one process."""


def masked_mean(x: Tensor, mask: Optional[Tensor]) -> Tensor:
    """Return the mean [] of `x` [...] where the bool `mask` [...] holds; everywhere if None."""
    return x.mean() if mask is None else (x * mask).sum() / mask.sum().clamp(min=1)
