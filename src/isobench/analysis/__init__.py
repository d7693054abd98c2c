"""Samples -> figures: `summary`, `intervals`, `ratios`; how far to trust them: `noise`, `gpu_noise`, `correctness`."""
