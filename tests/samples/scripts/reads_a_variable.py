"""Its width is an environment variable's."""

import os

import torch

width = int(os.environ.get("MODEL_WIDTH", "4"))
torch.nn.Linear(width, 2)(torch.ones(1, width))
