import torch
from torch import nn

for _ in range(50_000):
    print("a line of a hundred characters, " * 3)
nn.Linear(3, 3)(torch.randn(2, 3))
raise RuntimeError("after all that")
