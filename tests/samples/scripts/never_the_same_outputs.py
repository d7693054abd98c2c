"""A scale that no seed decides and that is no weight: what is measured is not what was built."""

import os

import torch
from torch import nn

SCALE = 1 + os.urandom(1)[0] + 256 * os.urandom(1)[0]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        return self.fc(x) * SCALE


torch.manual_seed(0)
Net()(torch.ones(1, 4))
