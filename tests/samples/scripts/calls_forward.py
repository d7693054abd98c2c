"""Calls forward by its name: none of the layers in it is the user's model."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features, self.head = nn.Sequential(nn.Linear(4, 4), nn.ReLU()), nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.features(x))

    def encode(self, x):
        return self.features(x)


torch.manual_seed(0)
net = Net().eval()
getattr(net, (__import__("sys").argv + ["forward"])[1])(torch.ones(1, 4))
