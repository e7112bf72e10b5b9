"""Start of Warp: device, folder of compiled kernels, messages through `logging`."""

from __future__ import annotations

import logging
import warnings
from typing import Optional

import torch
import warp as wp

_LOG = logging.getLogger(__name__)


def start(device: torch.device, kernel_cache: Optional[str]) -> wp.Device:
    """Start Warp, if nobody did yet, without its banner.

    Args:
        device: where arrays shall live.
        kernel_cache: folder of compiled kernels; None: the environment variable
            `WARP_CACHE_PATH`, else Warp's own folder below the user's home.

    Returns:
        The device in Warp's terms.
    """
    if kernel_cache:
        wp.config.kernel_cache_dir = kernel_cache
    wp.set_logger(_Messages())
    wp.init()
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", torch.cuda.current_device())
    return wp.device_from_torch(device)


class _Messages:
    """Warp's messages as log records, and one line for who waits for the compiler."""

    is_told = False

    def debug(self, message: str) -> None:
        _LOG.debug("%s", message)

    def info(self, message: str) -> None:
        _LOG.debug("%s", message)
        if "(compiled)" in message and not _Messages.is_told:
            _Messages.is_told = True
            _LOG.warning(
                "compiling the physics for this device: minutes the first time, seconds from "
                "then on (kept in %s)",
                wp.config.kernel_cache_dir,
            )

    def warning(self, message: str, category: Optional[type] = None, stacklevel: int = 1) -> None:
        warnings.warn(message, category, stacklevel=stacklevel + 1)

    def error(self, message: str) -> None:
        _LOG.error("%s", message)
