"""isobench: reproducible benchmarks of ML models, each runtime in a locked environment of its own."""

__version__ = "0.1.0"
