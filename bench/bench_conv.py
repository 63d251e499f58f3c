"""Convolutions and transposed convolutions: every algorithm that can run a layer, on the layers of eight networks."""

from layers import Conv, ConvTranspose
from timing import Kernel

KINDS = (Conv, ConvTranspose)


def bench_conv(case, measure, naive):
    measure(Kernel(case), case.info | {"naive_ms": naive(case.layer)})
