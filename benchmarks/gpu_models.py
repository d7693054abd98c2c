# labels: name::gpu-check
"""Models for `gpu_check.py`, with random weights: `tiny` (bound by the host), `conv` and `transformer`.

Measured as a script: gpu_models.py NAME
"""

import sys

import torch
from torch import Tensor, nn


def tiny() -> tuple[nn.Module, Tensor]:
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)), torch.randn(1, 64)


def conv() -> tuple[nn.Module, Tensor]:
    layers: list[nn.Module] = []
    channels = 3
    for wider in (64, 128, 256, 256, 512, 512):
        layers += [nn.Conv2d(channels, wider, 3, padding=1, stride=2 if wider != channels else 1), nn.ReLU()]
        channels = wider
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000)]
    return nn.Sequential(*layers), torch.randn(8, 3, 256, 256)


def transformer() -> tuple[nn.Module, Tensor]:
    layer = nn.TransformerEncoderLayer(512, 8, dim_feedforward=2048, dropout=0.0, batch_first=True, norm_first=True)
    return nn.TransformerEncoder(layer, 6, enable_nested_tensor=False), torch.randn(8, 256, 512)


MODELS = {"tiny": tiny, "conv": conv, "transformer": transformer}

if __name__ == "__main__":
    torch.manual_seed(0)
    model, data = MODELS[sys.argv[1]]()
    with torch.inference_mode():
        model.eval()(data)
