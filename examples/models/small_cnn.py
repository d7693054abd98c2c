# labels: name::small-cnn task::image-classification
"""A small convolutional network for images of 32 x 32 pixels: quick to export and to measure."""

import argparse

import torch
from torch import Tensor, nn


class SmallCnn(nn.Module):
    """Images (N x 3 x 32 x 32) to scores (N x 10)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.scores = nn.Linear(2 * width * 8 * 8, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.scores(self.features(images).flatten(1))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--width", type=int, default=16)
    options = parser.parse_args()
    torch.manual_seed(0)
    model = SmallCnn(options.width).eval()
    with torch.inference_mode():
        model(torch.randn(options.batch_size, 3, 32, 32))


if __name__ == "__main__":
    main()
