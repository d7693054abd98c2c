"""Weights that no seed decides: what is measured is not what was built."""

import os

import torch
from torch import nn

torch.manual_seed(int.from_bytes(os.urandom(4), "little"))
nn.Linear(4, 4)(torch.ones(1, 4))
