import torch
from torch import nn


def widths():
    return {"in": 3}["out"]


model = nn.Linear(3, widths())
model(torch.randn(3))
