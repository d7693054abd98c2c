"""Good models, and such as can't be measured, or not everywhere: each for another reason."""

import torch
from torch import nn


class Talks(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        return str(self.fc(x).argmax().item())


class Sparse(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("graph", torch.eye(4).to_sparse())
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        return torch.sparse.mm(self.graph, self.fc(x).T)


class Once(nn.Module):
    calls = 0

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        Once.calls += 1
        if Once.calls > 1:
            raise RuntimeError("only once")
        return self.fc(x)


class Yields(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, rows):
        yield from map(self.fc, rows)


class Stacks(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, rows):
        return self.fc(torch.stack(list(rows)))

    def encode(self, x):
        return self.fc(x)


torch.manual_seed(0)
for model in (Talks(), Once(), Sparse(), nn.Linear(4, 4), Yields(), Stacks()):
    model.eval()(torch.ones(1, 4))
Stacks().eval()(row for row in torch.ones(1, 4))
Other = type("Other", (Stacks,), {})
Other().eval().encode(torch.ones(1, 4))
