"""Forward needs what the script had: its names, its folder for a late import, and no code of its own torch.compile."""

import torch
import torch.nn.functional as F
from torch import nn

SCALE = 0.5


def refusing(_graph, _inputs):
    raise RuntimeError("the script's own compiler was used")


def squash(x):
    return torch.tanh(x) * SCALE


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 8)

    @torch.compile(backend=refusing)
    def forward(self, x):
        y = F.gelu(squash(self.linear(x)))
        if not self.training:
            from late_neighbour import WIDTH

            y = y * WIDTH
        return y


torch.manual_seed(0)
model = nn.Sequential(Block(), Block(), nn.Linear(8, 2))
model.compile(backend=refusing)
model(torch.ones(2, 8))
