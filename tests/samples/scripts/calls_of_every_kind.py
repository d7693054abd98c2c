"""Models that are called in every way: by threads, in contexts, with inputs that a call changes, in several shapes."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations

together = Barrier(2, timeout=20)
RUNNING = True


class Threaded(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc = nn.Linear(width, width)

    def forward(self, x):
        if RUNNING:
            together.wait()  # both models are in their forward at the same time
        return self.fc(x)


class Gradient(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 1)

    def forward(self, x):
        x = x.clone().requires_grad_(True)
        return torch.autograd.grad(self.fc(x).tanh().sum(), x)[0]


class Streams(nn.Module):
    """Changes a buffer, an attribute, a list and its input; its table is filled by the first call alone."""

    def __init__(self):
        super().__init__()
        self.register_buffer("last", torch.zeros(1, 4))
        self.steps, self.seen, self.table = 0, [], None

    def forward(self, x):
        if self.table is None:
            self.table = torch.arange(4.0)
        assert self.steps < 3, "no more than three steps"
        self.steps += 1
        self.seen.append(self.steps)
        x += self.last
        self.last = x.detach().clone()
        return x * self.table


class Activated(nn.Module):
    def __init__(self, activation):
        super().__init__()
        self.fc, self.activation = nn.Linear(4, 4), activation

    def forward(self, x, scale=1.0):
        return self.activation(self.fc(x)) * scale


class Picky(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        if len(x) > 2:
            raise RuntimeError("too many rows")
        return self.fc(x)


torch.manual_seed(0)
x = torch.randn(2, 4)
threaded = [Threaded(4), Threaded(8)]
with ThreadPoolExecutor(2) as pool:
    list(pool.map(lambda model: model(torch.randn(2, model.fc.in_features)), threaded))
RUNNING = False
Gradient().eval()(x)
with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
    nn.Sequential(nn.Linear(4, 4), nn.ReLU()).eval()(x)
streams = Streams().eval()
streams(x.clone()), streams(x.clone())
for activation in (F.relu, F.gelu, lambda y: y.sigmoid()):
    Activated(activation).eval()(x)
picky = Picky().eval()
for rows in (8, 2):
    try:
        picky(torch.randn(rows, 4))
    except RuntimeError:
        pass
parametrizations.weight_norm(nn.Conv1d(2, 3, 3)).eval()(torch.randn(1, 2, 8))


class Symmetric(nn.Module):
    def forward(self, weight):
        return weight.triu() + weight.triu(1).T


symmetric = nn.Linear(3, 3)
torch.nn.utils.parametrize.register_parametrization(symmetric, "weight", Symmetric())
symmetric.weight.sum()
symmetric.eval()(torch.randn(1, 3))
