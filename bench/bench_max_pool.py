"""Max pooling on the layers of eight networks."""

from layers import MaxPool
from timing import Kernel

KINDS = (MaxPool,)


def bench_max_pool(case, measure, naive):
    measure(Kernel(case), case.info | {"naive_ms": naive(case.layer)})
