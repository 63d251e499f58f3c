"""The loops that fastconv/peak.py times: they read and compute what they say."""

import numpy as np
import pytest

from fastconv import _executor, kernels
from fastconv.peak import KINDS, product_bursts, read_bursts
from fastconv.plan.view import address

from ..support.harness import ISAS

OF_EACH_KIND = [(isa, kind) for isa in kernels.available("peak") for kind in kernels.load(isa).peak.kinds()]


def run(kernel, threads, src=None, **work):
    """When each piece began and ended, and the sum of all that it computed and read."""
    pieces = np.full((threads, 3), np.nan)
    fields = dict.fromkeys(KINDS, 0) | {"lines": 0, "src": address(1, 0), "dst": address(2, 0)} | work
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


@pytest.mark.parametrize("isa, kind", OF_EACH_KIND)
def test_products_are_counted(isa, kind):
    """Each loop adds as much: sums of bytes grow by one for each product, those of floats stay where they began."""
    kernel, V = kernels.load(isa).peak, kernels.load(isa).V
    operations, _ = kernel.kinds()[kind]
    if kind == "floats":
        sums = operations // (2 * V)
        assert operations == 2 * V * sums
        for loops in (1, 2, 7):
            assert run(kernel, 1, floats=loops)[2] == loops * V * sums * (sums - 1) / 2
    else:
        one, *more = (run(kernel, 1, **{kind: loops})[2].item() for loops in (1, 2, 7))
        flipped = -127 if kernel.kinds()[kind][1] == "sdot" else 1  # x - 128, see pyx/dot.pxd
        assert more == [one + (loops - 1) * operations // 2 * flipped for loops in (2, 7)]


@pytest.mark.parametrize("kind", kernels.load().peak.kinds())
@pytest.mark.parametrize("threads", [1, 2])
def test_bursts_are_rates(threads, kind):
    fastest, buffer = kernels.load(), np.ones(1 << 16, np.float32)
    rates = *product_bursts(fastest, threads, 3, 1e-4, kind), *read_bursts(fastest, threads, buffer, parts=2, bursts=4)
    assert len(rates) == 7
    assert all(0 < rate < np.inf for rate in rates)
