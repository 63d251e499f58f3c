"""Nodes by the compiled plain loops of fastconv.naive, on one thread."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import naive
from ..graph import Node
from ..ops.conv import Conv
from ..ops.gemm import Gemm
from ..ops.max_pool import MaxPool

#: they are slow: so many rounds show whether one was disturbed
ROUNDS = 3
#: GFLOP/s of an ordinary CPU's core in these loops, for a rough estimate of their time
GFLOPS = 0.5


def some(shape: tuple[int, ...]) -> np.ndarray:
    """Numbers between -0.5 and 0.5: any will do that are not denormal."""
    return np.random.default_rng(0).random(shape, np.float32) - np.float32(0.5)


def plain_loops(node: Node) -> Callable[[], object] | None:
    """A call that computes a node of known shapes from some numbers; None if fastconv.naive has no such layer.

    Bias, activation and the addition of another tensor are left out: they take next to no time beside the products.
    """
    op, x, *weights = node.op, *(v for v in node.inputs if v is not None)
    if any(v.dtype != np.float32 for v in (x, *weights[:1])):
        return None
    if isinstance(op, Conv) and len(x.dims) == 4:
        return _conv(op, x.dims, weights[0].dims)
    if isinstance(op, MaxPool) and len(x.dims) == 4 and len(node.results) == 1:
        w = op.geometry(x.dims)
        pool, pads = some(x.dims), (*w.begin, *w.end)
        return lambda: naive.max_pool2d(pool, w.kernel, w.strides, pads, w.dilations, bool(op.ceil_mode), compiled=True)
    if isinstance(op, Gemm):
        a, b = some(x.dims[::-1] if op.transA else x.dims), some(weights[0].dims if op.transB else weights[0].dims[::-1])
        return lambda: naive.linear(a, b, compiled=True)
    return None


def _conv(op: Conv, x_dims: tuple[int, ...], w_dims: tuple[int, ...]) -> Callable[[], object]:
    x, w, windows = some(x_dims), some(w_dims), op.geometry(x_dims, w_dims[2:])
    options = windows.strides, (*windows.begin, *windows.end), windows.dilations, op.group
    return lambda: naive.conv2d(x, w, None, *options, compiled=True)
