"""Products of two tensors by the GEMM kernel, where the second is no constant matrix: it is packed as the product runs.

MatMul, Gemm and Einsum say which axes of A, B and the result are the same one (`Op.names`). An axis of all three numbers the
products, one of A and B is summed over. A transposed operand is one with other strides: it costs no copy.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import NamedTuple

from .._constants import AXES, FLOAT32_WEIGHTS, WIDEST_PANEL
from ..graph import Node, Value
from ..ops.einsum import Einsum
from ..ops.gemm import Gemm
from ..ops.matmul import MatMul
from ..plan.arena import ALIGN
from ..plan.binder import Binder, Step
from ..plan.epilogue import epilogue_of
from ..plan.implementation import Implementation
from ..plan.layout import ROW_MAJOR, Layout, Strides, contiguous
from ..plan.select import Selection, Target
from ..plan.strided import axes_fields, collapse, copy
from .gemm_packed import pack_vector
from .panels import K_BLOCK

#: rows of an item: each packs the weights that it needs anew
CHUNK_ROWS = 256


class Axes(NamedTuple):
    """Axes of a product: their sizes, and their strides in A, B and the result; 0 in an operand without the axis."""

    dims: Strides
    a: Strides
    b: Strides
    y: Strides


class Product(NamedTuple):
    """What the kernel computes: for each index of `batch`, rows of A times columns of B."""

    a: Value
    b: Value
    batch: Axes
    m: Axes
    k: Axes
    n: Axes

    @property
    def copies(self) -> bool:
        """Whether A must be copied first, for rows whose elements follow each other."""
        return self.k.a != (1,)


def product_of(op: Gemm | MatMul | Einsum, node: Node) -> Product | str:
    """The product that a node is, or why it is none that the kernel computes."""
    a, b, y = node.input(0), node.input(1), node.results[0]
    axes: dict[Hashable, list[int]] = {}
    for i, (v, names) in enumerate(zip((a, b, y), op.axis_names(a.dims, b.dims), strict=True), 1):
        for name, d, stride in zip(names, v.dims, contiguous(v.dims), strict=True):
            axis = axes.setdefault(name, [1, 0, 0, 0])
            if d > 1:
                axis[0] = d
                axis[i] += stride
    kinds: dict[tuple[bool, bool, bool], list[list[int]]] = {}
    for axis in axes.values():
        if axis[0] > 1:
            kinds.setdefault((axis[1] > 0, axis[2] > 0, axis[3] > 0), []).append(axis)
    batch, m, n = (_joined(kinds.pop(kind, []), by=3) for kind in ((True,) * 3, (True, False, True), (False, True, True)))
    k = _joined(kinds.pop((True, True, False), []), by=1)
    if kinds:
        return "sums over an axis of one operand"
    if len(k.dims) > 1:
        return f"sums over {len(k.dims)} axes"
    if n.y[-1] != 1 and m.y[-1] == 1:
        a, b, batch, m, k, n = b, a, _swapped(batch), _swapped(n), _swapped(k), _swapped(m)
    if n.y[-1] != 1:
        return "the last axis of the result is one of both operands"
    if m.dims == k.dims == n.dims == (1,) != batch.dims:
        return "products of single elements"
    batch = Axes(*(tuple(x + y[:-1] + z[:-1]) for x, y, z in zip(batch, m, n, strict=True)))
    product = Product(a, b, batch, *(Axes(*(strides[-1:] for strides in axis)) for axis in (m, k, n)))
    most = AXES - 2 if product.copies else AXES
    return f"{len(batch.dims)} axes that number the products" if len(batch.dims) > most else product


def _joined(axes: list[list[int]], by: int) -> Axes:
    """Axes in the order of their strides in operand `by`, in as few as there can be; at least one."""
    axes = sorted(axes, key=lambda axis: -axis[by])
    dims, strides = collapse(*(zip(*axes, strict=True) if axes else ((1,), (1,), (1,), (1,))))
    return Axes(dims, *strides)


def _swapped(axes: Axes) -> Axes:
    return axes._replace(a=axes.b, b=axes.a)


class GemmStrided(Implementation[Gemm | MatMul | Einsum]):
    """Matrices of two tensors at any strides, of which the kernel packs the second."""

    name = "strided"

    def operands(self, node: Node) -> list[Value]:
        return [node.input(0), node.input(1)]

    def refuse(self, node: Node, selection: Selection) -> str | None:
        bias = node.optional(2)
        if bias is not None and (bias.constant is None or math.prod(bias.dims) not in (1, bias.dims[-1] if bias.dims else 1)):
            return "C is not a constant row"
        product = product_of(self.op(node), node)
        return product if isinstance(product, str) else None

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        residual, _ = epilogue_of(node)
        return {v: ROW_MAJOR for v in (*node.inputs[:2], residual) if v is not None and v.constant is None}, ROW_MAJOR

    def product(self, node: Node) -> Product:
        """The product of a node that is one."""
        product = product_of(self.op(node), node)
        assert isinstance(product, Product), "refuse takes no others"
        return product

    def workspace(self, node: Node, target: Target) -> int:
        product = self.product(node)
        vectors = min(-(-product.n.dims[0] // target.V), WIDEST_PANEL)
        return self.copied(product) + target.threads * product.k.dims[0] * vectors * target.V * 4

    def copied(self, product: Product) -> int:
        """Bytes of the copy of A."""
        return -(-math.prod(product.a.dims) * 4 // ALIGN) * ALIGN if product.copies else 0

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        product = self.product(node)
        a, b, batch, m, k, n = product
        M, K, OC = m.dims[0], k.dims[0], n.dims[0]
        src, src_strides, src_m, steps = binder.operand(a), batch.a, m.a[0], []
        if product.copies:
            dims = tuple(d if s else 1 for d, s in zip(batch.dims, batch.a, strict=True))
            to = contiguous((*dims, M, K))
            workspace = binder.workspace()
            steps.append(copy(binder, 4, src, (*batch.a, *m.a, *k.a), workspace, to, (*dims, M, K)))
            src, src_m = workspace, K
            src_strides = tuple(t if s else 0 for s, t in zip(batch.a, to, strict=False))
        bias = node.optional(2)
        c, beta = None if bias is None else bias.constant, getattr(node.op, "beta", 1.0)
        chunks = -(-M // CHUNK_ROWS)
        step = binder.step(
            binder.kernels.gemm,
            src=src, wei=binder.operand(b), bia=binder.constant(pack_vector(c, beta, OC, binder.target.V)),
            dst=binder.view(node.results[0]).address, workspace=binder.workspace() + self.copied(product),
            M=M, K=K, OC=OC, chunk=-(-M // chunks), panels=1, k_block=K_BLOCK,
            src_m=src_m, wei_k=k.b[0], wei_n=n.b[0], dst_m=m.y[0],
            **axes_fields(batch.dims, src=src_strides, wei=batch.b, dst=batch.y),
            alpha=getattr(node.op, "alpha", 1.0), packs=True, stored=FLOAT32_WEIGHTS,
            **binder.row_epilogue(node),
        )  # fmt: skip
        return [*steps, step]


class EinsumStrided(GemmStrided):
    """Sums of the products of two operands over one axis."""

    def operands(self, node: Node) -> list[Value]:
        return [v for v in node.inputs if v is not None]

    def refuse(self, node: Node, selection: Selection) -> str | None:
        return f"{len(node.inputs)} operands" if len(node.inputs) != 2 else super().refuse(node, selection)
