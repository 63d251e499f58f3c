"""Measurements of this build under pytest-benchmark (the extra `bench`).

`pytest --pyargs fastconv.bench` times the layers of well-known networks by each of fastconv's algorithms and by the plain loops
of `fastconv.naive`. The fixture `fastconv_benchmark` times a model:

    def test_mine(fastconv_benchmark):
        fastconv_benchmark("net.onnx")
"""

from .machine import machine_info
from .model import ModelBenchmark

__all__ = ["ModelBenchmark", "machine_info"]
