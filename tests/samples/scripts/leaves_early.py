import sys

from torch import nn

model = nn.Linear(3, 3)
sys.exit()
