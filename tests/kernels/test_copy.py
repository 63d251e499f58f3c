"""The kernels copy and halo: reorders between layouts, and any two strided arrangements."""

import itertools

import numpy as np
import pytest

from fastconv import _executor, kernels
from fastconv._constants import AXES
from fastconv.graph import Value
from fastconv.implementations import IMPLEMENTATIONS
from fastconv.plan import Target
from fastconv.plan.binder import Binder
from fastconv.plan.layout import CHANNELS_LAST, CHANNELS_LAST_4, PLANAR, ROW_MAJOR, blocked, contiguous
from fastconv.plan.strided import ITEM, copy, reorder
from fastconv.plan.tensors import Tensor
from fastconv.plan.view import ABSOLUTE, address

from ..support.harness import ISAS, THREADS, poisoned, same_bits

FLOAT, BYTE = np.dtype(np.float32), np.dtype(np.uint8)


def every(kernel):
    return pytest.mark.parametrize(
        "isa, threads", [pytest.param(isa, t, id=f"{kernel}-{isa}-t{t}") for isa, t in itertools.product(ISAS, THREADS)]
    )


def run(steps, threads):
    """Run steps on the memory of arrays."""
    _executor.Program(steps).run((None,), threads)


def lay_out(x, tensor, guard):
    """The memory of a tensor that holds x, poisoned outside its elements."""
    flat = poisoned((tensor.geometry.nbytes // x.itemsize,), x.dtype, guard)
    N, C, H, W = x.shape
    g, block = tensor.geometry, tensor.layout.block
    for c in range(C):
        first = g.start + c // block * g.c + c % block
        strides = [x.itemsize * stride for stride in (g.n, g.h, g.w)]
        np.lib.stride_tricks.as_strided(flat[first:], (N, H, W), strides)[...] = x[:, c]
    return flat


@every("copy")
@pytest.mark.parametrize("dtype", [FLOAT, BYTE], ids=str)
def test_reorder(isa, threads, dtype):
    """Between every two layouts and halos, with every tail of the channels: exactly the tensor's elements are written."""
    by_block = blocked(kernels.load(isa).V) if dtype == FLOAT else CHANNELS_LAST
    rng = np.random.default_rng(0)
    layouts = [(ROW_MAJOR, (0,) * 4), (PLANAR, (1, 2, 3, 0)), (by_block, (0,) * 4), (by_block, (2, 0, 1, 3))]
    layouts += [(CHANNELS_LAST_4, (0, 1, 1, 0))] if dtype == BYTE else []
    sizes = [(1, 1), (3, 5), (1, 37), (7, 2)]
    for (given, wanted), C in itertools.product(itertools.product(layouts, layouts), range(1, 2 * by_block.block + 2)):
        (H, W), N, guard = sizes[C % 4], 1 + C % 3, (None, "before", "after")[C % 3]
        x = rng.integers(0, 200, (N, C, H, W)).astype(dtype)
        src, dst = (Tensor(Value("x", x.shape, dtype), *layout) for layout in (given, wanted))
        source = lay_out(x, src, guard)
        result, expected = poisoned((dst.geometry.nbytes // x.itemsize,), dtype, guard), lay_out(x, dst, None)
        places = {t: (ABSOLUTE, a.ctypes.data) for t, a in ((src, source), (dst, result))}
        binder = Binder(Target(IMPLEMENTATIONS, kernels.load(isa), threads), {}, places)
        run(reorder(binder, binder.view_of(src), binder.view_of(dst)), threads)
        assert same_bits(result, expected), f"{given} to {wanted}, {x.shape}"


def arrangements(rng):
    """(dims, strides of the source, strides of the result) of one to six axes; elements lie apart in the result alone."""
    for rank, _ in itertools.product(range(1, AXES + 1), range(40)):
        dims = tuple(int(d) for d in rng.integers(1, (40, 12, 8, 5, 4, 3)[rank - 1] + 1, rank))
        order = rng.permutation(rank)
        gaps = rng.integers(0, 3, rank)
        dst = np.empty(rank, int)
        dst[order] = contiguous([int(d + g) for d, g in zip(np.array(dims)[order], gaps, strict=True)])
        if gaps[-1] and rng.integers(2):
            dst *= 2
        src = rng.choice([0, 1, 2, 5, 40, -1, -3], rank)
        yield dims, tuple(map(int, src)), tuple(map(int, dst))
    # more than an item has, on the last axis, on the one before it, and on both
    yield (2 * ITEM + 5,), (1,), (1,)
    yield (2 * ITEM + 5,), (3,), (2,)
    yield (ITEM + 3, 7), (7, 1), (9, 1)
    yield (300, 301), (1, 300), (301, 1)
    yield (3, 300, 301), (0, 1, 300), (301 * 301, 301, 1)
    # 16 bytes that lie together
    yield (3, 5, 7, 16), (800, 160, 16, 1), (1120, 32, 160, 1)
    yield (3, 5, 7, 16), (0, 16, 0, 1), (560, 112, 16, 1)


@every("copy")
@pytest.mark.parametrize("guard", ["before", "after"])
@pytest.mark.parametrize("dtype", [FLOAT, BYTE], ids=str)
def test_any_arrangement(isa, threads, guard, dtype):
    rng = np.random.default_rng(1)
    binder = Binder(Target(IMPLEMENTATIONS, kernels.load(isa), threads), {}, {})
    for dims, src, dst in arrangements(rng):
        low, high = (sum(f(s * (d - 1), 0) for s, d in zip(src, dims, strict=True)) for f in (min, max))
        source = poisoned((high - low + 1,), dtype, guard)
        source[...] = rng.integers(0, 200, source.size)
        result, expected = (
            poisoned((sum(s * (d - 1) for s, d in zip(dst, dims, strict=True)) + 1,), dtype, g) for g in (guard, None)
        )
        view, itemsize = np.lib.stride_tricks.as_strided, dtype.itemsize
        view(expected, dims, [itemsize * s for s in dst])[...] = view(source[-low:], dims, [itemsize * s for s in src])
        refs = (address(ABSOLUTE, a.ctypes.data) for a in (source[-low:], result))
        run([copy(binder, itemsize, next(refs), src, next(refs), dst, dims)], threads)
        assert same_bits(result, expected), f"{dims}: {src} to {dst}"


@every("halo")
def test_halo(isa, threads):
    """The kernel writes a value to the halo, and nothing else."""
    binder = Binder(Target(IMPLEMENTATIONS, kernels.load(isa), threads), {}, {})
    halos = itertools.product((0, 1, 3), (0, 2, 5), (0, 1, 2), (0, 1, 4))
    for i, (top, left, bottom, right) in enumerate(halos):
        planes, H, W, guard = 1 + i % 5, 1 + i % 3, 1 + i % 7, (None, "before", "after")[i % 3]
        shape, value = (planes, top + H + bottom, left + W + right), (0, 1, 128, 254)[i % 4]
        dst, expected = (poisoned(shape, BYTE, g) for g in (guard, None))
        inside = expected[:, top : top + H, left : left + W].copy()
        expected[...] = value
        expected[:, top : top + H, left : left + W] = inside
        ref = address(ABSOLUTE, dst.ctypes.data)
        fields = {
            "value": value,
            "planes": planes,
            "rows": shape[1],
            "pitch": shape[2],
            "top": top,
            "left": left,
            "bottom": bottom,
            "right": right,
        }
        run([binder.step(binder.kernels.halo, dst=ref, **fields)], threads)
        assert same_bits(dst, expected), f"{shape}: {top, left, bottom, right}"
