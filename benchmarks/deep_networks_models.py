"""Deep networks of ten kinds with seeded random weights, and arithmetic in fewer bits, in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as everybody calls it
from torch.utils._python_dispatch import TorchDispatchMode


def make(number: int) -> tuple[str, str, nn.Module, tuple[torch.Tensor, ...]]:
    """The network of this number: its kind, what it is in words, the module in `eval()`, and its arguments."""
    kind = list(KINDS)[number % len(KINDS)]
    step = number // len(KINDS)
    torch.manual_seed(number)
    depth, module, args = KINDS[kind](step)
    return kind, f"{kind}, depth {depth}, seed {number}", module.eval(), args


class Residual(nn.Module):
    def __init__(self, inner: nn.Module, scale: float = 1.0) -> None:
        super().__init__()
        self.inner, self.scale = inner, scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.scale * self.inner(x)


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        scores = torch.softmax(q @ k.transpose(-1, -2) * (width // self.heads) ** -0.5, -1)
        return self.out((scores @ v).transpose(1, 2).reshape(batch, length, width))


class Unrolled(nn.Module):
    """A recurrent cell over the steps of its input."""

    def __init__(self, cell: nn.Module, width: int) -> None:
        super().__init__()
        self.cell, self.width, self.out = cell, width, nn.Linear(width, 32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state: Any = x.new_zeros(x.shape[0], self.width)
        if isinstance(self.cell, nn.LSTMCell):
            state = (state, state)
        for step in range(x.shape[1]):
            state = self.cell(x[:, step], state)
        return self.out(state[0] if isinstance(state, tuple) else state)


class Unet(nn.Module):
    def __init__(self, width: int, levels: int) -> None:
        super().__init__()
        sizes = [width << level for level in range(levels + 1)]
        pairs = list(pairwise(sizes))
        self.first = nn.Conv2d(3, width, 3, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(one, two, 3, stride=2, padding=1) for one, two in pairs)
        self.up = nn.ModuleList(nn.ConvTranspose2d(two, one, 2, stride=2) for one, two in reversed(pairs))
        self.mix = nn.ModuleList(nn.Conv2d(2 * one, one, 3, padding=1) for one, _ in reversed(pairs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        passed = []
        for down in self.down:
            passed.append(x)
            x = F.relu(down(x))
        for up, mix in zip(self.up, self.mix, strict=True):
            x = F.relu(mix(torch.cat([up(x), passed.pop()], 1)))
        return x


def _he(module: nn.Module, gain: float = 2.0) -> nn.Module:
    """He's initialisation, which preserves the scale of values behind ReLUs (with a gain of 2)."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            inputs = part.weight[0].numel()
            nn.init.normal_(part.weight, std=(gain / inputs) ** 0.5)
            nn.init.zeros_(part.bias) if part.bias is not None else None
        elif isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.running_mean, std=0.3)
            nn.init.uniform_(part.running_var, 0.5, 2.0)
    return module


def _image(channels: int = 16, size: int = 24) -> tuple[torch.Tensor, ...]:
    return (torch.randn(1, channels, size, size),)


def _conv(width: int = 16, groups: int = 1, kernel: int = 3) -> nn.Conv2d:
    return nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=groups)


def plain_convolutions(step: int) -> Any:
    depth = (20, 40, 60, 80, 100)[step % 5]
    return depth, _he(nn.Sequential(*[part for _ in range(depth) for part in (_conv(), nn.ReLU())])), _image()


def normalised_convolutions(step: int) -> Any:
    depth = (10, 20, 30, 40, 50)[step % 5]
    parts = [part for _ in range(depth) for part in (_conv(), nn.BatchNorm2d(16), nn.ReLU())]
    return depth, _he(nn.Sequential(*parts)), _image()


def residual_convolutions(step: int) -> Any:
    depth = (8, 16, 24, 32, 48)[step % 5]
    blocks = [Residual(nn.Sequential(_conv(), nn.ReLU(), _conv()), 0.3) for _ in range(depth)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 100)]
    return depth, _he(nn.Sequential(*blocks, *head)), _image()


def group_normalised_residuals(step: int) -> Any:
    depth = (6, 12, 18, 24, 30)[step % 5]
    blocks = [Residual(nn.Sequential(nn.GroupNorm(4, 16), nn.SiLU(), _conv())) for _ in range(depth)]
    return depth, _he(nn.Sequential(*blocks)), _image()


def separable_convolutions(step: int) -> Any:
    depth = (8, 12, 16, 20, 24)[step % 5]
    parts = [
        part
        for _ in range(depth)
        for part in (_conv(groups=16, kernel=5), nn.BatchNorm2d(16), nn.Hardswish(), _conv(kernel=1))
    ]
    return depth, _he(nn.Sequential(*parts)), _image()


def perceptrons(step: int) -> Any:
    depth = (10, 20, 40, 60, 80)[step % 5]
    parts = [part for _ in range(depth) for part in (nn.Linear(128, 128), nn.ReLU())]
    return depth, _he(nn.Sequential(*parts, nn.Linear(128, 50), nn.LogSoftmax(-1))), (torch.randn(16, 128),)


def chaotic_perceptrons(step: int) -> Any:
    """tanh with a gain above 1: rounding grows from layer to layer, and is unbounded in the deepest ones."""
    depth = (8, 12, 16, 20, 60)[step % 5]
    parts = [part for _ in range(depth) for part in (nn.Linear(128, 128), nn.Tanh())]
    return depth, _he(nn.Sequential(*parts), gain=4.0), (torch.randn(16, 128),)


def transformers(step: int) -> Any:
    depth = (2, 4, 8, 12, 16)[step % 5]
    blocks = [
        part
        for _ in range(depth)
        for part in (
            Residual(nn.Sequential(nn.LayerNorm(64), Attention(64, 4))),
            Residual(nn.Sequential(nn.LayerNorm(64), nn.Linear(64, 256), nn.GELU(), nn.Linear(256, 64))),
        )
    ]
    return depth, nn.Sequential(*blocks, nn.LayerNorm(64), nn.Linear(64, 200)), (torch.randn(1, 48, 64),)


def recurrent(step: int) -> Any:
    depth = (16, 24, 32, 48, 64)[step % 5]
    cell: nn.Module = (nn.RNNCell, nn.GRUCell, nn.LSTMCell)[step % 3](32, 64)
    return depth, Unrolled(cell, 64), (torch.randn(4, depth, 32),)


def unets(step: int) -> Any:
    depth = (1, 2, 3, 3, 4)[step % 5]
    return depth, _he(Unet(8, depth)), (torch.randn(1, 3, 32, 32),)


KINDS: dict[str, Callable[[int], Any]] = {
    maker.__name__.replace("_", " "): maker
    for maker in (
        plain_convolutions,
        normalised_convolutions,
        residual_convolutions,
        group_normalised_residuals,
        separable_convolutions,
        perceptrons,
        chaotic_perceptrons,
        transformers,
        recurrent,
        unets,
    )
}


class Rounded(TorchDispatchMode):
    """Rounds the operands of matrix products and convolutions to a type of fewer bits; sums stay in float32."""

    PRODUCTS = (
        "mm",
        "addmm",
        "bmm",
        "baddbmm",
        "matmul",
        "linear",
        "mv",
        "addmv",
        "lstm_cell",
        "gru_cell",
        "rnn_tanh_cell",
    )
    CONVOLUTIONS = ("convolution", "conv2d", "conv_transpose2d", "mkldnn_convolution")

    def __init__(self, arithmetic: str) -> None:
        super().__init__()
        self.arithmetic = arithmetic

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func._schema.name.removeprefix("aten::").strip("_") in (*self.PRODUCTS, *self.CONVOLUTIONS):
            args = tuple(self._rounded(arg) for arg in args)
        return func(*args, **(kwargs or {}))

    def _rounded(self, value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or value.dtype != torch.float32:
            return value
        if self.arithmetic != "tf32":
            return value.to(getattr(torch, self.arithmetic)).float()
        bits = value.view(torch.int32)
        return ((bits + 0x1000) & ~0x1FFF).view(torch.float32)
