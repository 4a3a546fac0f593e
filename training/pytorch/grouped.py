"""Convolutions in groups of PyTorch with a convolution per group, so that every group has tiles of its
own, as in memtwin's own networks.
"""

__all__ = ["SplitConv2d", "split_groups"]

from typing import Any

import torch
from torch import Tensor, nn

from ...data.errors import InputError


class SplitConv2d(nn.Module):
    """A convolution in groups, whose ``parts`` see a share of the channels each."""

    in_channels: int
    groups: int
    parts: nn.ModuleList

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs (n, channels, height, width), or of one image without the n."""
        if x.dim() not in (3, 4) or x.shape[-3] != self.in_channels:
            raise InputError(
                f"a convolution in groups: expected images ([n,] {self.in_channels}, height, width), got"
                f" {tuple(x.shape)}"
            )
        shares = x.chunk(self.groups, dim=-3)
        parts = [part(share) for part, share in zip(self.parts, shares, strict=True)]
        return torch.cat(parts, dim=-3)


def split_groups(layer: nn.Conv2d) -> None:
    """Make ``layer``, in place, a :class:`SplitConv2d` with the same weights."""
    part: Any = layer
    weights = part.weight.chunk(part.groups)
    biases = [None] * part.groups if part.bias is None else part.bias.chunk(part.groups)
    learns = part.weight.requires_grad
    convolutions = []
    for weight, bias in zip(weights, biases, strict=True):
        # On "meta" nothing is drawn from torch's random numbers.
        one: Any = nn.Conv2d(
            part.in_channels // part.groups,
            part.out_channels // part.groups,
            part.kernel_size,
            part.stride,
            part.padding,
            part.dilation,
            bias=bias is not None,
            padding_mode=part.padding_mode,
            device="meta",
        )
        one.weight = nn.Parameter(weight.detach().clone(), learns)
        if bias is not None:
            one.bias = nn.Parameter(bias.detach().clone(), learns)
        one.train(part.training)
        convolutions.append(one)
    del part._parameters["weight"], part._parameters["bias"]
    part.__class__ = SplitConv2d
    part.parts = nn.ModuleList(convolutions)
