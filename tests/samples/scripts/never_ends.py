import time

import torch
from torch import nn

nn.Linear(1, 1)(torch.randn(1))
time.sleep(600)
