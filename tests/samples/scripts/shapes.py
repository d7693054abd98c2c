"""One model in many shapes, types and numbers; its types and its head are changed while the script runs."""

import torch
from torch import nn


class Swept(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x, step=0):
        return self.head(self.body(x)) + step


torch.manual_seed(0)
swept = Swept().eval()
with torch.no_grad():
    for dtype in (torch.float32, torch.float64):
        swept.to(dtype)(torch.ones(1, 4, dtype=dtype))
    swept.float().head = nn.Linear(4, 7)
    swept(torch.ones(1, 4))
    many = nn.Linear(4, 4).eval()
    for rows in range(1, 41):
        many(torch.ones(rows, 4))
    stepped = Swept().eval()
    for step in range(50):
        stepped(torch.ones(3, 4), step)
