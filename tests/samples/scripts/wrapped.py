"""Models behind wrappers, a loss and an activation called by themselves, two instances of one architecture."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 2)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        return self.dropout(torch.relu(self.linear(x)))


torch.manual_seed(0)
data, target = torch.randn(3, 4), torch.tensor([0, 1, 0])
net, twin = Net(), Net()
loss = nn.CrossEntropyLoss()
for _ in range(3):
    loss(net(data), target).backward()
twin(data)
nn.ReLU()(data)
nn.DataParallel(Net())(torch.randn(5, 4))
