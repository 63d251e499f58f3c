"""The loops that bench/peak.py times: they read and compute what they say."""

import numpy as np
import pytest

from fastconv import kernels

from ..support.harness import ISAS

WHOLE = kernels.load().peak.STREAMS * kernels.load().peak.LINE  # floats that a round reads


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("rest", [0, 1, WHOLE - 1])
@pytest.mark.parametrize("lines", [0, 1, 5])
def test_every_float_is_read_once(isa, lines, rest):
    kernel = kernels.load(isa).peak
    whole = WHOLE * lines
    x = np.random.default_rng(lines).integers(-8, 9, whole + rest).astype(np.float32)
    assert kernel.read(x.ctypes.data, x.size) == x[:whole].sum()


@pytest.mark.parametrize("isa", ISAS)
def test_multiply_adds_are_counted(isa):
    """A loop is a number of registers' worth of them."""
    kernel = kernels.load(isa).peak
    once = kernel.fma(1)
    assert once > 0
    assert once % (2 * kernels.load(isa).V) == 0
    assert kernel.fma(1000) == 1000 * once
