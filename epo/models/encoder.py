"""From an image to features: a small convolutional network for any size."""

from __future__ import annotations

from typing import Sequence, Tuple

import torch.nn.functional as F  # noqa: N812 (torch's own convention)
from torch import Tensor, nn


class ImageEncoder(nn.Module):
    """Convolutions of 3 x 3 with stride 2, each followed by ELU: every one halves the image.

    Args:
        image_shape: channels, height and width of the image.
        channels: of every convolution's output.

    Attributes:
        width: F, number of features.
    """

    def __init__(self, image_shape: Tuple[int, int, int], channels: Sequence[int]) -> None:
        super().__init__()
        self.image_shape = image_shape
        depth, height, width = image_shape
        self.layers = nn.ModuleList()
        for units in channels:
            self.layers.append(nn.Conv2d(depth, units, kernel_size=3, stride=2, padding=1))
            depth, height, width = units, (height + 1) // 2, (width + 1) // 2
        self.width = depth * height * width

    def forward(self, observation: Tensor) -> Tensor:
        """Return the features [..., F] of flattened images [..., C * H * W] in [0, 255]."""
        x = observation.reshape(-1, *self.image_shape) / 255.0
        for layer in self.layers:
            x = F.elu(layer(x))
        return x.reshape(*observation.shape[:-1], self.width)
