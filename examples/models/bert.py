# labels: name::bert task::nlp
# /// script
# dependencies = ["transformers==5.23.0"]
# ///
"""BERT from the transformers library, small and with random weights; the inline block above gives it an environment."""

import argparse

import torch
from transformers import BertConfig, BertForSequenceClassification


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch_size", type=int, default=1)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=64)
    options = parser.parse_args()

    torch.manual_seed(0)
    config = BertConfig(
        num_hidden_layers=options.layers, hidden_size=256, num_attention_heads=4, intermediate_size=1024
    )
    model = BertForSequenceClassification(config).eval()
    shape = (options.batch_size, options.tokens)
    with torch.inference_mode():
        model(input_ids=torch.randint(config.vocab_size, shape), attention_mask=torch.ones(shape, dtype=torch.int64))


if __name__ == "__main__":
    main()
