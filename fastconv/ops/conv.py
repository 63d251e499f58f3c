"""Conv: N IC *size, weights OC IC/group *kernel -> N OC *out, in one to three spatial axes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..graph import Dim, Node, Value, shape_text
from .base import Array, Inferred, Results
from .dims import check, check_rank, same_dtype, size_along, unify
from .products import Products
from .windows import Grouped, Windows


class Conv(Grouped):
    arity = (2, 3)
    control_inputs = (1, 2)
    parameter_inputs = (1, 2)
    takes_epilogue = True
    takes_residual = True

    def geometry(self, shape: Sequence[Dim], kernel: Sequence[int]) -> Windows:
        """The windows over an input of this shape (N IC *size) for weights with this kernel."""
        return self.windows(shape[2:], kernel)

    def window(self, node: Node) -> Windows | None:
        return self.windows_of(node.input(0), node.input(1))

    def windows_of(self, x: Value, w: Value) -> Windows | None:
        """The windows over x for these weights; None if the rank of x or the size of the kernel is unknown."""
        return self.geometry(x.shape, w.dims[2:]) if x.shape is not None and w.known else None

    def products(self, node: Node) -> Products | None:
        return self.products_of(node.results[0], node.input(1))

    def products_of(self, y: Value, w: Value) -> Products:
        """The products that y sums, for these weights."""
        (OC, ICG, *kernel), (N, _, *out) = w.dims, y.dims
        return Products((N, *out), OC, (*kernel, ICG * self.group), self.group)

    def weight_axis(self, node: Node) -> int | None:
        return 0

    def infer(self, x: Value, w: Value, b: Value | None = None) -> Inferred:
        check_rank(x, "input", 3, 5)
        check_rank(w, "weights", 3, 5)
        dtype = same_dtype(x, w, b)
        if w.shape is None:
            return [(x.shape and (x.shape[0],) + (None,) * (len(x.shape) - 1), dtype)]
        OC, wic, *given = w.shape
        check_rank(x, "input", len(w.shape))
        kernel = self.known_kernel(given)
        check(OC != 0 and wic != 0 and 0 not in kernel, f"weights: expected sizes above 0, got {shape_text(w.shape)}")
        if isinstance(OC, int):
            check(OC % self.group == 0, f"weights: expected output channels divisible by group {self.group}, got {OC}")
        if b is not None:
            check_rank(b, "bias", 1)
            OC = unify(OC, size_along(b.shape, 0), "bias: output channels")
        if x.shape is None:
            return [((None, OC) + (None,) * len(kernel), dtype)]
        if isinstance(wic, int):
            unify(wic * self.group, x.shape[1], f"input channels (weights {shape_text(w.shape)}, group {self.group})")
        sizes = [k for k in kernel if isinstance(k, int)]
        out = self.geometry(x.shape, sizes).out if len(sizes) == len(kernel) else (None,) * len(kernel)
        return [((x.shape[0], OC, *out), dtype)]

    def reference(self, x: Array, w: Array, b: Array | None = None) -> Results:
        N, G, OCG = len(x), self.group, len(w) // self.group
        windows = self.geometry(x.shape, w.shape[2:])
        wei = w.reshape(G, OCG, *w.shape[1:])
        # sums of float16 are slow in NumPy, and inexact
        y = np.zeros((N, G, OCG, math.prod(windows.out)), np.float32 if x.dtype == np.float16 else x.dtype)
        for tap, elements in windows.taps(x, 0):
            y += wei[:, :, :, *tap].astype(y.dtype) @ elements.reshape(N, G, w.shape[1], y.shape[-1]).astype(y.dtype)
        if b is not None:
            y += b.reshape(G, OCG, 1)
        return y.reshape(N, len(w), *windows.out).astype(x.dtype)
