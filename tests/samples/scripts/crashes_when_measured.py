"""Kills its process the second time that it is called."""

import ctypes

import torch
from torch import nn


class Fatal(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        if self.calls > 6:
            ctypes.string_at(0)
        return self.linear(x)


torch.manual_seed(0)
Fatal()(torch.ones(1, 2))
