"""Kills its process when it is called more often than a build calls it."""

import ctypes

import torch
from torch import nn

CALLS: list[int] = []  # not in the module, whose state is set back before each call


class Fatal(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 2)

    def forward(self, x):
        CALLS.append(1)
        if len(CALLS) > 40:
            ctypes.string_at(0)
        return self.linear(x)


torch.manual_seed(0)
Fatal()(torch.ones(1, 2))
