"""Fully connected layers at batch 1: each weight is read once and used once, so memory bandwidth is the limit.

No weight is in a cache when a round begins: in a network, the layers in between have pushed them out.
"""

from layers import Linear
from timing import Kernel

KINDS = (Linear,)


def bench_gemm(case, measure, naive):
    measure(Kernel(case), case.info | {"naive_ms": naive(case.layer)}, cold=True)
