"""Fully connected layers of the networks at batch 1."""

from fastconv.bench.test_layers import test_linear

__all__ = ["test_linear"]
