"""TorchScript with a branch that a trace would lose."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        y = self.fc(x)
        if bool(y.sum() > 0):
            y = y * 2
        return y


torch.manual_seed(0)
torch.jit.script(Net().eval())(torch.ones(1, 4))
