"""Max pooling of the networks."""

from fastconv.bench.test_layers import test_max_pool

__all__ = ["test_max_pool"]
