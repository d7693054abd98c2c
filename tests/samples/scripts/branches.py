"""What the newer exporter refuses and the older one takes: a branch on a value."""

import torch
from torch import nn


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x):
        y = self.linear(x)
        return y * 2 if y.sum() > -1000 else y


torch.manual_seed(0)
Branches()(torch.randn(4, 4))
