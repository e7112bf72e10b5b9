"""A fixed sequence of Warp kernels, replayed in the order of torch's own work."""

from __future__ import annotations

from collections.abc import Callable

import torch
import warp as wp

from tasks.errors import refuse


class Replay:
    """Runs `work` on torch's current stream, as one graph if wanted.

    A graph keeps the addresses and the Python values that `work` saw when it was captured: arrays
    may change their content, but may not be replaced.
    """

    def __init__(self, work: Callable[[], None], device: wp.Device, use_graph: bool) -> None:
        """Capture `work`; its kernels must have run once, so that they are compiled.

        Args:
            work: launches kernels on the current device.
            device: where.
            use_graph: capture it now; else it is called every time.

        Raises:
            ValueError: if the device cannot allocate within a graph.
        """
        self._work, self._device = work, device
        self._graph = self._capture() if use_graph else None

    def __call__(self) -> None:
        """Queue the work; does not wait for it."""
        stream = torch_stream(self._device)
        if self._graph is not None:
            wp.capture_launch(self._graph, stream=stream)
            return
        with wp.ScopedDevice(self._device), wp.ScopedStream(stream):
            self._work()

    def _capture(self) -> wp.Graph | None:
        if self._device.is_cuda and not wp.is_mempool_enabled(self._device):
            way_out = f"{self._device} has no CUDA memory pools; use engine.graph=false"
            refuse("engine.graph", "true", way_out)
        # On Warp's own stream: CUDA cannot capture the default stream, which torch works on.
        with wp.ScopedDevice(self._device), wp.ScopedCapture(device=self._device) as capture:
            self._work()
        return capture.graph


_streams: dict[tuple[str, int], wp.Stream] = {}


def torch_stream(device: wp.Device) -> wp.Stream | None:
    """Return torch's current stream on `device` in Warp's terms; None on a CPU."""
    if device.is_cpu:
        return None
    stream = torch.cuda.current_stream(wp.device_to_torch(device))
    key = (device.alias, stream.cuda_stream)
    if key not in _streams:
        _streams[key] = wp.stream_from_torch(stream)
    return _streams[key]
