# labels: name::two-models task::tabular,sequence
"""Two models in one script: each is a case of its own; a hash selects one (`isobench discover` lists them)."""

import torch
from torch import Tensor, nn


class Perceptron(nn.Module):
    """Rows of 64 numbers to 10 scores."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10))

    def forward(self, rows: Tensor) -> Tensor:
        return self.layers(rows)


class Tagger(nn.Module):
    """Tokens to one of 12 tags each, with a certainty."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(1000, 64)
        self.encoder = nn.GRU(64, 64, batch_first=True, bidirectional=True)
        self.tags = nn.Linear(128, 12)

    def forward(self, tokens: Tensor, *, mask: Tensor) -> dict[str, Tensor]:
        encoded, _ = self.encoder(self.embedding(tokens))
        scores = self.tags(encoded).masked_fill(~mask.unsqueeze(-1), 0.0)
        return {"tags": scores.argmax(dim=-1), "certainty": scores.softmax(dim=-1).amax(dim=-1)}


torch.manual_seed(0)
perceptron = Perceptron().eval()
tagger = Tagger().eval()
with torch.inference_mode():
    perceptron(torch.randn(16, 64))
    tagger(torch.randint(1000, (4, 20)), mask=torch.ones(4, 20, dtype=torch.bool))
