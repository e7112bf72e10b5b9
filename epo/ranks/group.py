"""The ranks of a run of several processes: every number of the run is a sum over them.

Data travel as few flat tensors. A call that does not end, since a rank died or hangs, raises a
`RankError` that names the rank.
"""

from __future__ import annotations

import io
import time
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Tuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from epo.config import ConfigError
from epo.ranks.alone import Moments, RankError, Result
from epo.stopwatch import Stopwatch

ROLL_CALL_S = 10.0
"""How long the others may take to notice that a rank is gone, s."""
WAIT, EXCHANGE = "wait_s", "exchange_s"
"""Columns: waiting for the slowest rank in small collectives; gradients on their way."""


class SharedError(ConfigError):
    """What is wrong on one rank, raised on all of them."""

    def __init__(self, text: str) -> None:
        ValueError.__init__(self, text)


class Group:
    """Several processes around a torch process group.

    Args:
        group: the process group: gloo, or gloo for the CPU and NCCL for CUDA.
        store: where ranks leave word when something goes wrong.
        device: where the tensors of the training live.
        timeout_s: after which a rank that does not answer is given up; the group's own.

    Attributes:
        is_broken: another rank is gone, nothing can be exchanged any more.
    """

    def __init__(
        self, group: dist.ProcessGroup, store: Any, device: torch.device, timeout_s: float
    ) -> None:
        self.rank, self.size = group.rank(), group.size()
        self._group, self._store = group, store
        self._device, self._timeout_s = device, timeout_s
        self._stopwatch = Stopwatch(device)
        self.is_broken = False

    def sum(self, x: Tensor) -> Tensor:
        """Return the sum of `x` [...] over the ranks; its gradient is that of the own part."""
        return _Sum.apply(x, self)  # pyright: ignore[reportReturnType]

    def across(self, x: Tensor) -> Tensor:
        """Return the elementwise mean of `x` [...] over the ranks, without gradient."""
        return self._reduce(x) / self.size

    def max(self, x: Tensor) -> Tensor:
        """Return the elementwise maximum of `x` [...] over the ranks, without gradient."""
        return self._reduce(x, dist.ReduceOp.MAX)

    def mean(self, x: Tensor, mask: Optional[Tensor] = None) -> Tensor:
        """Return the mean [] of `x` [...] of all ranks where `mask` holds; everywhere if None."""
        if mask is None:
            return self.ratio(x.sum(), x.new_full((), x.numel()), 1.0)
        return self.ratio((x * mask).sum(), mask.expand_as(x).sum().to(x.dtype), 1.0)

    def ratio(self, numerator: Tensor, denominator: Tensor, least: float) -> Tensor:
        """Return sum of numerators [] / sum of denominators [], which is at least `least`."""
        total, weight = self.sum(torch.stack([numerator, denominator])).unbind()
        return total / weight.clamp(min=least)

    def moments(self, x: Tensor) -> Moments:
        """Return the moments of the vectors `x` [M, D] of all ranks."""
        num, dim = x.shape
        mean = var = x.new_zeros(dim, dtype=torch.float64)
        if num:
            var, mean = (v.double() for v in torch.var_mean(x, dim=0, correction=0))
        return self._merge(x.new_full((), num, dtype=torch.float64), mean, var)

    def variance(self, x: Tensor) -> Tensor:
        """Return the unbiased variance [] of `x` [...] of all ranks."""
        return self.moments(x.reshape(-1, 1)).var.squeeze(0).to(x.dtype)

    def standardize(self, x: Tensor, mask: Optional[Tensor] = None) -> Tensor:
        """Return `x` [...] with mean 0 and unbiased standard deviation 1 over all ranks."""
        valid = torch.ones_like(x, dtype=torch.bool) if mask is None else mask
        num = valid.sum().double()
        mean = torch.where(valid, x, 0.0).sum().double() / num.clamp(min=1.0)
        deviation = torch.where(valid, x - mean.to(x.dtype), 0.0)
        var = deviation.square().sum().double() / num.clamp(min=1.0)
        found = self._merge(num, mean.view(1), var.view(1))
        return (x - found.mean.to(x.dtype)) / (found.var.sqrt().to(x.dtype) + 1e-8)

    def _merge(self, num: Tensor, mean: Tensor, var: Tensor) -> Moments:
        """Merge moments, with biased variances, of the parts of a batch.

        Source: Chan et al. 1979, for all parts at once.
        """
        # N = sum n_r, mu = sum n_r mu_r / N, M2 = sum n_r (var_r + mu_r^2) - N mu^2, in float64
        parts = torch.cat([num.view(1), num * mean, num * (var + mean.square())])
        total, *rest = self.sum(parts).split([1, len(mean), len(mean)])
        first, second = rest
        count = total.clamp(min=1.0)
        mean = first / count
        square = (second - count * mean.square()).clamp(min=0.0)
        return Moments(total.squeeze(0), mean, square / (count - 1.0).clamp(min=1.0))

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace the gradients by their sums over the ranks; a missing one counts as 0."""
        trained = [p for p in parameters if p.requires_grad]
        for parameter in trained:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [p.grad for p in trained if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        with self._timed(EXCHANGE):
            self._wait(lambda: self._group.allreduce([flat]))
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients])):
            gradient.copy_(part.view_as(gradient))

    def totals(self, named: Dict[str, Tensor]) -> Dict[str, Tensor]:
        """Return name -> [] sum over the ranks, without gradient."""
        if not named:
            return {}
        total = self._reduce(torch.stack([value.detach().double() for value in named.values()]))
        return {name: part.to(named[name].dtype) for name, part in zip(named, total.unbind())}

    def average(self, named: Dict[str, Tensor]) -> Dict[str, Tensor]:
        """Return name -> [] mean over the ranks that have a value; NaN is no value."""
        if not named:
            return {}
        values = torch.stack([value.detach().double() for value in named.values()])
        is_known = ~values.isnan()
        parts = torch.stack([torch.where(is_known, values, 0.0), is_known.double()])
        total, num = self.sum(parts).unbind()
        return dict(zip(named, (total / num).unbind()))  # 0 / 0 = NaN

    def agree(self, x: Tensor) -> Tensor:
        """Return the `x` [...] of rank 0, on the CPU."""
        host = x.detach().cpu().contiguous()
        with self._timed(WAIT):
            self._wait(lambda: self._group.broadcast(host, root=0))
        return host

    def side_by_side(self, x: Tensor) -> Tensor:
        """Return the `x` [..., n] of all ranks side by side, [..., W n], without gradient."""
        own = x.detach().contiguous()
        parts = [torch.empty_like(own) for _ in range(self.size)]
        with self._timed(WAIT):
            self._wait(lambda: self._group.allgather([parts], [own]))
        return torch.cat(parts, dim=-1)

    def largest(self, number: int) -> int:
        """Return the largest `number` of a rank."""
        return int(self._reduce(torch.tensor([number]), dist.ReduceOp.MAX))

    def first(self, work: Callable[[], Result]) -> Result:
        """Let rank 0 do `work`; return its result, plain types and tensors, on all ranks."""
        found, error = _attempt(work) if self.rank == 0 else (None, "")
        found, error = self._spread((found, error))
        if error:
            raise SharedError(error)
        return found

    def together(self, work: Callable[[], Result]) -> Result:
        """Do `work` on every rank and return the own result; an error of one is that of all."""
        found, error = _attempt(work)
        errors = [e for e in self._spread(self.gather(error)) if e]
        if errors:
            raise SharedError(errors[0])
        return found  # pyright: ignore[reportReturnType]

    def gather(self, part: Any) -> List[Any]:
        """Return the parts, plain types and tensors, of all ranks on rank 0; elsewhere none."""
        if self.rank:
            self._send(part, 0)
            return []
        return [part, *(self._receive(other) for other in range(1, self.size))]

    def hand(self, make: Callable[[], Result], source: int, to: int) -> Optional[Result]:
        """Let rank `source` make something of plain types and tensors, and hand it to rank `to`."""
        if source == to:
            return make() if self.rank == to else None
        with self._timed(EXCHANGE):
            if self.rank == source:
                self._send(make(), to)
            return self._receive(source) if self.rank == to else None

    def seconds(self) -> Dict[str, float]:
        """Return what the exchange took since the last call, s."""
        return {WAIT: 0.0, EXCHANGE: 0.0, **self._stopwatch.read()}

    def _send(self, content: Any, to: int) -> None:
        data = _pack(content)
        self._wait(lambda: self._group.send([torch.tensor([len(data)])], to, 0))
        self._wait(lambda: self._group.send([data], to, 1))

    def _receive(self, source: int) -> Any:
        size = torch.zeros(1, dtype=torch.int64)
        self._wait(lambda: self._group.recv([size], source, 0))
        data = torch.empty(int(size), dtype=torch.uint8)
        self._wait(lambda: self._group.recv([data], source, 1))
        return _unpack(data)

    def _spread(self, content: Any) -> Any:
        """Return all ranks what rank 0 has."""
        data = _pack(content) if self.rank == 0 else torch.empty(0, dtype=torch.uint8)
        size = self.agree(torch.tensor([len(data)]))
        if self.rank:
            data = torch.empty(int(size), dtype=torch.uint8)
        return _unpack(self.agree(data))

    def _reduce(self, x: Tensor, op: Any = dist.ReduceOp.SUM) -> Tensor:
        """Combine `x` over the ranks into a new tensor."""
        total = x.detach().clone(memory_format=torch.contiguous_format)
        with self._timed(WAIT):
            self._wait(lambda: self._group.allreduce([total], _options(op)))
        return total

    @contextmanager
    def _timed(self, column: str) -> Iterator[None]:
        with self._stopwatch.section(column):
            yield

    def _wait(self, begin: Callable[[], Any]) -> None:
        """Begin an exchange and wait for its end; on CUDA only the stream waits."""
        started = time.monotonic()
        try:
            begin().wait()
        except RuntimeError as error:
            has_timed_out = time.monotonic() - started >= 0.9 * self._timeout_s
            self.is_broken = True
            raise self._lost(has_timed_out) from error

    def _lost(self, has_timed_out: bool) -> RankError:
        """Call the roll: who does not report is gone, or hangs."""
        try:
            missing = self._missing()
        except RuntimeError:  # the store went with whoever held it
            return RankError("the ranks have lost the one that brought them together")
        names = ", ".join(str(rank) for rank in missing)
        who = f"rank {names} of {self.size}" if len(missing) == 1 else f"ranks {names}"
        reason = f"{who} do not answer"
        if len(missing) == 1:
            reason = f"{who} does not answer" if has_timed_out else f"{who} is gone"
        if has_timed_out:
            reason += f" within guard.rank_timeout_s={self._timeout_s:g}"
        error = RankError(reason if missing else "the ranks have lost each other")
        error.is_speaker = self.rank == min(set(range(self.size)) - set(missing))
        return error

    def _missing(self) -> List[int]:
        """Wait until all others but one have reported, and name those that have not."""
        self._store.set(f"present/{self.rank}", "1")
        end, others = time.monotonic() + ROLL_CALL_S, set(range(self.size)) - {self.rank}
        while len(others) > 1 and time.monotonic() < end:
            time.sleep(0.05)
            others -= {rank for rank in others if self._store.check([f"present/{rank}"])}
        return sorted(others)


class _Sum(torch.autograd.Function):
    """The sum over the ranks, whose gradient is that of the own part."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Group) -> Tensor:
        """Return the sum."""
        return group._reduce(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tuple[Tensor, None]:
        """Hand the gradient on: the parts of the others belong to the others."""
        return gradients[0], None


def _options(op: Any) -> Any:
    options = dist.AllreduceOptions()
    options.reduceOp = op
    return options


def _attempt(work: Callable[[], Result]) -> Tuple[Optional[Result], str]:
    """Do the work; give its result, or the text of its `ConfigError`."""
    try:
        return work(), ""
    except ConfigError as error:
        return None, str(error)


def _pack(content: Any) -> Tensor:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return torch.frombuffer(bytearray(buffer.getbuffer()), dtype=torch.uint8)


def _unpack(data: Tensor) -> Any:
    return torch.load(io.BytesIO(data.numpy().tobytes()), map_location="cpu", weights_only=True)
