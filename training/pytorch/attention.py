"""Attention of PyTorch with its four projections as linear layers of their own.

Torch hands the projections' weights to fused kernels, which no tile would ever see; here they are
called like any other layer. The attention itself, a product of two inputs, stays torch's.
"""

__all__ = ["SplitAttention", "call_layers_one_by_one", "split_attention"]

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

PACKED = ("in_proj_weight", "in_proj_bias", "q_proj_weight", "k_proj_weight", "v_proj_weight")


class SplitAttention(nn.MultiheadAttention):
    """Attention whose projections ``q_proj``, ``k_proj``, ``v_proj`` and ``out_proj`` are called."""

    q_proj: nn.Module
    k_proj: nn.Module
    v_proj: nn.Module

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Return outputs and, if wanted, attention weights, as ``nn.MultiheadAttention`` does.

        Parameters
        ----------
        query
            As in torch's ``MultiheadAttention.forward``.
        key
            As there.
        value
            As there.
        key_padding_mask
            As there.
        need_weights
            As there.
        attn_mask
            As there.
        average_attn_weights
            As there.
        is_causal
            As there.
        """
        q, k, v = self.q_proj(query), self.k_proj(key), self.v_proj(value)
        swap = self.batch_first and query.dim() == 3
        if swap:
            q, k, v = q.transpose(0, 1), k.transpose(0, 1), v.transpose(0, 1)
        # Torch's masks, heads and dropout, between projections that change nothing.
        same = torch.eye(self.embed_dim, dtype=q.dtype, device=q.device)
        y, weights = functional.multi_head_attention_forward(
            q,
            k,
            v,
            self.embed_dim,
            self.num_heads,
            None,
            None,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout,
            same,
            None,
            training=self.training,
            key_padding_mask=key_padding_mask,
            need_weights=need_weights,
            attn_mask=attn_mask,
            use_separate_proj_weight=True,
            q_proj_weight=same,
            k_proj_weight=same,
            v_proj_weight=same,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
        )
        return self.out_proj(y.transpose(0, 1) if swap else y), weights


def split_attention(layer: nn.MultiheadAttention) -> None:
    """Make ``layer``, in place, a :class:`SplitAttention` with the same weights."""
    part: Any = layer
    if part.in_proj_weight is None:
        weights = [part.q_proj_weight, part.k_proj_weight, part.v_proj_weight]
    else:
        weights = list(part.in_proj_weight.chunk(3))
    biases = [None] * 3 if part.in_proj_bias is None else list(part.in_proj_bias.chunk(3))
    learns = next(p for p in layer.parameters() if p is not None).requires_grad
    for name in PACKED:
        setattr(part, name, None)
    part.__class__ = SplitAttention
    for name, weight, bias in zip(("q_proj", "k_proj", "v_proj"), weights, biases, strict=True):
        # On "meta" nothing is drawn from torch's random numbers.
        linear: Any = nn.Linear(1, 1, bias=bias is not None, device="meta")
        linear.out_features, linear.in_features = weight.shape
        linear.weight = nn.Parameter(weight.detach().clone(), learns)
        if bias is not None:
            linear.bias = nn.Parameter(bias.detach().clone(), learns)
        linear.train(layer.training)
        setattr(part, name, linear)


def call_layers_one_by_one(model: nn.Module) -> None:
    """Keep torch's transformers from their fused inference, which would pass the tiles by."""
    for layer in model.modules():
        if isinstance(layer, nn.TransformerEncoder):
            layer.use_nested_tensor = False
        if isinstance(layer, nn.TransformerEncoderLayer):
            layer.activation_relu_or_gelu = 0
