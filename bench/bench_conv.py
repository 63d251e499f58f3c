"""Convolutions and transposed convolutions of the networks, by every algorithm that can run a layer."""

from fastconv.bench.test_layers import test_conv

__all__ = ["test_conv"]
