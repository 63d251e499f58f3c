"""The loops that fastconv/peak.py times: they read and compute what they say."""

import numpy as np
import pytest

from fastconv import _executor, kernels
from fastconv.peak import fma_bursts, read_bursts
from fastconv.plan.view import address

from ..support.harness import ISAS


def run(kernel, threads, src=None, **work):
    """When each piece began and ended, and the sum of all that it computed and read."""
    pieces = np.full((threads, 3), np.nan)
    fields = {"loops": 0, "lines": 0, "src": address(1, 0), "dst": address(2, 0)} | work
    _executor.Program([(*kernel.step(fields), 1, 1)]).run((None, src, pieces), threads)
    return pieces[~np.isnan(pieces[:, 0])].T  # a build without OpenMP has one


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("lines", [0, 1, 5])
def test_every_float_is_read_once(isa, lines, threads):
    kernel = kernels.load(isa).peak
    x = np.random.default_rng(lines).integers(-8, 9, lines * kernel.group_floats()).astype(np.float32)
    began, ended, sums = run(kernel, threads, x, lines=lines)
    assert sums.sum() == x.sum()
    assert (began <= ended).all()


@pytest.mark.parametrize("isa", ISAS)
def test_multiply_adds_are_counted(isa):
    """A loop is one for each of the registers' sums, which stay where they began: at multiples of the loops."""
    kernel, V = kernels.load(isa).peak, kernels.load(isa).V
    sums = kernel.flops(1) // (2 * V)
    assert kernel.flops(1000) == 2 * V * sums * 1000
    for loops in (1, 2, 7):
        assert run(kernel, 1, loops=loops)[2] == loops * V * sums * (sums - 1) / 2


@pytest.mark.parametrize("threads", [1, 2])
def test_bursts_are_rates(threads):
    fastest, buffer = kernels.load(), np.ones(1 << 16, np.float32)
    rates = *fma_bursts(fastest, threads, 3, 1e-4), *read_bursts(fastest, threads, buffer, parts=2, bursts=4)
    assert len(rates) == 7
    assert all(0 < rate < np.inf for rate in rates)
