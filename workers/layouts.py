"""Copies of tensors that keep their memory layout: strides, gaps, expanded dimensions, and what makes them special."""

from __future__ import annotations

import torch


def is_plain(tensor: torch.Tensor) -> bool:
    """Is it an ordinary tensor with strides: not sparse, nested, quantised, or without data?"""
    return (
        tensor.layout == torch.strided
        and not tensor.is_nested
        and not tensor.is_quantized
        and tensor.device.type != "meta"
    )


def copied(tensor: torch.Tensor) -> torch.Tensor:
    """A copy that shares nothing with the tensor; its class, layout and `requires_grad` are the same."""
    if not is_plain(tensor) or type(tensor) not in {torch.Tensor, torch.nn.Parameter}:
        made = tensor.detach().clone()
        made.__dict__.update(getattr(tensor, "__dict__", {}))
    else:
        made = filled(tensor, tensor.detach())
    if tensor.requires_grad and not made.requires_grad:
        made.requires_grad_()
    return made


def filled(like: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """A tensor in the memory layout of `like` with other values."""
    with torch.no_grad():
        if not is_plain(like) or not like.numel():
            made = values.detach().clone()
        else:
            # An expanded dimension (stride 0) has one element in memory.
            sizes = [1 if step == 0 else size for size, step in zip(like.shape, like.stride(), strict=True)]
            first = values[tuple(slice(0, size) for size in sizes)]
            try:
                made = torch.empty_strided(sizes, like.stride(), dtype=like.dtype, device=like.device).copy_(first)
            except RuntimeError:  # windows that overlap in memory can't be written to
                made = first.detach().clone()
            made = made.expand(like.shape)
    if like.requires_grad and not made.requires_grad:
        made.requires_grad_()
    return made
