"""Fully connected layers of bytes by the kernel conv_int8: the rows of a matrix are the pixels of a row."""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np

from ..graph import Node, Value
from ..ops.gemm import Gemm
from ..ops.matmul import MatMul
from ..plan.binder import Binder, Step
from ..plan.layout import CHANNELS_LAST, ROW_MAJOR, TAIL, Layout
from ..plan.select import Selection, Target
from ..plan.strided import copy
from ..plan.view import NO_VIEW, View
from .conv_int8 import FEW_WEIGHTS, MOST_PIXELS, chunk_bytes, chunk_pixels
from .int8 import GROUP, SEGMENT, Order, SumsInt8, filled_up, weights_form


class GemmInt8(SumsInt8[Gemm | MatMul]):
    """Rows of bytes through packed weights; scratch memory has rows that do not fill what the kernel reads or stores."""

    name = "gemm-int8"

    def channels_axis(self, node: Node) -> int:
        return 0 if getattr(node.op, "transB", 0) else 1

    def refuse(self, node: Node, selection: Selection) -> str | None:
        a, b, op = node.input(0), node.input(1), self.op(node)
        if len(b.dims) != 2 or len(a.dims) < 2:
            return f"ranks {len(a.dims)} and {len(b.dims)}"
        if any(getattr(op, name, None) for name in ("transA", "perm_a", "perm_b", "perm_y")):
            return "transposed"
        if isinstance(op, Gemm) and (op.alpha, op.beta) != (1, 1):
            return "alpha and beta"
        if reason := super().refuse(node, selection):
            return reason
        return "a residual" if self.sums(node).store.residual else None

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        return dict.fromkeys(self.operands(node), ROW_MAJOR), ROW_MAJOR

    def single(self, M: int) -> bool:
        """Whether each row is an image of one pixel, and not a pixel of a row of pixels."""
        return M == 1

    def form(self, kernel: ModuleType, M: int, K: int) -> str:
        """The form of the weights: a single row is bound by memory, which vectors read faster."""
        form: str = kernel.packing()[1]
        return form if self.single(M) else weights_form(kernel, K)

    def form_of(self, node: Node, target: Target) -> str:
        a = node.input(0).dims
        return self.form(target.kernels.conv_int8, math.prod(a[:-1]), a[-1])

    def block(self, kernel: ModuleType) -> int:
        """What the output channels are filled up to a multiple of."""
        return CHANNELS_LAST.block

    def sizes(self, node: Node, target: Target) -> tuple[int, int, int, int, int]:
        """Rows, their bytes, those that the kernel reads; output channels, and those that it stores."""
        a, kernel = node.input(0), target.kernels.conv_int8
        M, K, OC = math.prod(a.dims[:-1]), a.dims[-1], node.results[0].dims[-1]
        unit = SEGMENT if self.form(kernel, M, K) == "tiles" else GROUP
        return M, K, filled_up(K, unit), OC, filled_up(OC, self.block(kernel))

    def workspace(self, node: Node, target: Target) -> int:
        M, K, read, OC, stored = self.sizes(node, target)
        return (0 if read == K else M * read + TAIL) + (0 if stored == OC else M * stored * (4 if self.floats else 1))

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        kernel, sums = binder.kernels.conv_int8, self.sums(node)
        (x,) = self.operands(node)
        M, K, read, OC, stored = self.sizes(node, binder.target)
        form, itemsize = self.form(kernel, M, K), 4 if self.floats else 1
        src, dst = binder.view(x).address, binder.view(node.results[0]).address
        scratch = binder.workspace()
        before, after = [], []
        if read != K:
            before = [copy(binder, 1, src, (K, 1), scratch, (read, 1), (M, K))]
            src, scratch = scratch, scratch + M * read + TAIL
        result = dst
        if stored != OC:
            result = scratch
            after = [copy(binder, itemsize, result, (stored, 1), dst, (OC, 1), (M, OC))]
        order, reads = Order(form, 1, K), self.channels(node, sums.w).parts
        starts = np.arange(0, read, SEGMENT) if form == "tiles" else np.arange(K // CHANNELS_LAST.block) * CHANNELS_LAST.block
        singles = np.zeros(0, int) if form == "tiles" else np.arange(len(starts) * CHANNELS_LAST.block, K, GROUP)
        table = np.concatenate([starts] * reads + [singles] * reads)
        rows = -(-M // -(-M // MOST_PIXELS)) if form == "tiles" else kernel.tile_rows()[1]
        images, pixels = (M, 1) if self.single(M) else (1, M)
        step = binder.step(
            kernel, src=View(src, (), ROW_MAJOR, 1, read, 0, 0, read).fields,
            dst=View(result, (), ROW_MAJOR, 1, stored * itemsize, CHANNELS_LAST.block * itemsize, 0, stored).fields,
            add=NO_VIEW.fields, offsets=binder.table(table), segments=len(starts) * reads, groups=len(singles) * reads,
            **self.sums_fields(node, binder, sums, order, self.block(kernel)),
            N=images, OH=1, OW=pixels, rows=1, cols=chunk_pixels(pixels, K, rows, chunk_bytes(K * OC)), M=min(rows, pixels),
            panels=kernel.STREAMS if self.single(M) else 1, fetch=K * OC > FEW_WEIGHTS,
        )  # fmt: skip
        return [*before, step, *after]


class GemmInt8Floats(GemmInt8):
    """Rows of bytes to floats: the last layer, whose result is not quantized."""

    name = "gemm-int8-floats"
    floats = True

    def single(self, M: int) -> bool:
        return True

    def block(self, kernel: ModuleType) -> int:
        return int(kernel.STREAMS * 2 * kernel.packing()[0])
