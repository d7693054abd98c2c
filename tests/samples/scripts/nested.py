"""Inputs and outputs of every shape that a script may pass: positional, by keyword, nested, None, numbers, all types."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn


class Pair(NamedTuple):
    left: torch.Tensor
    right: torch.Tensor


@dataclass
class Answer:
    total: torch.Tensor
    parts: list


class Nested(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x, pair, extra, nothing=None, *, scale=1.0, mode="sum", flags=None, masks=()):
        assert nothing is None
        y = self.linear(x) * scale + pair.left - pair.right.to(x.dtype)
        for half in extra["halves"]:
            y = y + half.to(x.dtype)
        y = torch.where(flags["keep"], y, extra["fill"][0].to(x.dtype))
        y = y + sum(mask.to(x.dtype) for mask in masks)
        answer = Answer(total=y.sum() if mode == "sum" else y.mean(), parts=[y, (y > 0), y.argmax(-1)])
        return {"answer": answer, "input": x, "again": y, "none": None, "number": 3}


torch.manual_seed(0)
model = Nested()
extra = {
    "halves": [torch.randn(2, 4, dtype=torch.float16), torch.randn(2, 4, dtype=torch.bfloat16)],
    "fill": (torch.tensor([7], dtype=torch.int32),),
}
masks = tuple(torch.randint(0, 2, (2, 4)).to(kind) for kind in (torch.int8, torch.uint8, torch.int16, torch.float64))
model(
    torch.randn(2, 4),
    Pair(torch.randn(2, 4), torch.randn(2, 4, dtype=torch.float64)),
    extra,
    None,
    scale=2.5,
    mode="mean",
    flags={"keep": torch.tensor([[True, False, True, True]] * 2)},
    masks=masks,
)
