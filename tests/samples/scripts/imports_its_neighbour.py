import torch
from neighbour import WIDTH
from torch import nn

with open("sizes.txt") as file:
    rows = int(file.read())
nn.Linear(WIDTH, 2)(torch.randn(rows, WIDTH))
