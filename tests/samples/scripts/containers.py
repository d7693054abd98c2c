"""Inputs and outputs in containers of every kind, and tensors that lie in memory in their own way."""

import types
from collections import OrderedDict, deque

import torch
from torch import nn


class Data:
    def __init__(self, x, index):
        self.x, self.index, self.name = x, index, "data"


class Rows(list):
    """A list of a class of its own."""


class Takes(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, data, proxy, rows, ordered, queue, again, wide):
        assert again is data.x, "one tensor stays one"
        assert wide.stride() == (0, 1), "an expanded tensor stays expanded"
        assert type(rows) is Rows
        assert type(ordered) is OrderedDict
        y = self.fc(data.x[data.index]) + proxy["x"] + rows[0] + ordered["x"] + queue[0] + wide
        return Data(y, data.index), {"complex": torch.complex(y, y)}


torch.manual_seed(0)
x = torch.randn(3, 4)
data = Data(x, torch.tensor([2, 1, 0]))
parts = [torch.randn(3, 4) for _ in range(4)]
Takes().eval()(
    data,
    types.MappingProxyType({"x": parts[0]}),
    Rows([parts[1]]),
    OrderedDict(x=parts[2]),
    deque([parts[3]]),
    x,
    torch.randn(1, 4).expand(3, 4),
)
