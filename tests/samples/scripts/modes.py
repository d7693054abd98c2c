"""Training mode: where it matters and was chosen, where it matters and wasn't, and where it doesn't matter."""

import torch
from torch import nn


class Drops(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.drop = nn.Linear(4, 4), nn.Dropout(0.5)

    def forward(self, x):
        return self.drop(self.fc(x))


torch.manual_seed(0)
x = torch.randn(8, 4)
Drops()(x)
nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)).train()(x)
nn.Linear(4, 4)(x)
