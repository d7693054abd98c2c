from torch import nn

model = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
other = nn.Linear(2, 2)
