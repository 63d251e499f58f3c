"""Fully connected layers by the packed GEMM kernel: Gemm and MatMul with constant weights."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np

from .._constants import BF16_WEIGHTS, FLOAT16_WEIGHTS, FLOAT32_WEIGHTS, WIDEST_PANEL
from ..graph import Node, Value
from ..ops.gemm import Gemm
from ..ops.matmul import MatMul
from ..plan.binder import Binder, Step
from ..plan.epilogue import epilogue_of
from ..plan.implementation import Implementation
from ..plan.layout import ROW_MAJOR, Layout
from ..plan.packing import Packing, factors
from ..plan.select import Selection, Target
from ..plan.strided import axes_fields
from ..weights import Weights
from .conv import pack_bias
from .panels import K_BLOCK, pack_panels

#: rows that share a reading of the weights
CHUNK_ROWS = 48
#: the kinds of packed weights, by the words of `load(weights=...)` and by the dtypes of files
KINDS = {
    "float32": FLOAT32_WEIGHTS,
    "bf16": BF16_WEIGHTS, "bfloat16": BF16_WEIGHTS,
    "float16": FLOAT16_WEIGHTS,
}  # fmt: skip


def kind_of(w: np.ndarray | Weights, transposed: bool, alpha: float, target: Target) -> int:
    """How packed weights are stored: as in the file, if it has them in 16 bits and nothing scales them, else as asked for."""
    source, scale = factors(w, axis=0 if transposed else 1)
    if isinstance(source, Weights) and alpha == 1 and (scale == 1).all():
        exact = str(source.exact_dtype)
        if exact == "bfloat16" or (exact == "float16" and target.kernels.gemm.WIDENS_FLOAT16):
            return KINDS[exact]
    return KINDS[target.weights]


def pack_matrix(w: np.ndarray | Weights, transposed: bool, alpha: float, V: int, stored: int = FLOAT32_WEIGHTS) -> Packing:
    """Weights K OC (transposed: OC K), times alpha, in the order the tile reads them."""
    source, scale = factors(w, axis=0 if transposed else 1)
    OC, K = w.shape if transposed else w.shape[::-1]
    scale, size = scale * alpha, (1, OC, K, 1, 1)
    if transposed:
        return pack_panels(lambda a, b: source[a:b][:, :, None, None], scale, size, 1, V, stored=stored)
    return pack_panels(lambda a, b: source[a:b].T[:, :, None, None], scale, size, 1, V, by_input=True, stored=stored)


def pack_vector(c: np.ndarray | Weights | None, beta: float, OC: int, V: int) -> np.ndarray:
    """beta times a bias that broadcasts to OC, in whole vectors."""
    b = None if c is None else np.broadcast_to((np.asarray(c) * np.float64(beta)).astype(np.float32).reshape(-1), (OC,))
    return pack_bias(b, OC, 1, V)


def sizes(kernel: ModuleType, M: int, K: int, OC: int, stored: int = FLOAT32_WEIGHTS, workspace: int = 0) -> dict[str, Any]:
    """The fields of the kernel gemm for one row-major product with packed weights."""
    return {
        "M": M, "K": K, "OC": OC, "chunk": -(-M // -(-M // CHUNK_ROWS)), "panels": kernel.STREAMS, "k_block": K_BLOCK,
        "src_m": K, "wei_k": 0, "wei_n": 0, "dst_m": OC,
        **axes_fields((), src=(), wei=(), dst=()),
        "alpha": 1.0, "packs": False, "stored": stored, "workspace": workspace,
    }  # fmt: skip


class GemmPacked(Implementation[Gemm | MatMul]):
    """Rows of activations through packed weights."""

    name = "gemm"

    def refuse(self, node: Node, selection: Selection) -> str | None:
        a, b, c = node.input(0), node.input(1), node.optional(2)
        if b.constant is None or (c is not None and c.constant is None):
            return "weights are not constant"
        if len(b.dims) != 2 or len(a.dims) < 2:
            return f"ranks {len(a.dims)} and {len(b.dims)}"
        if any(getattr(node.op, name, None) for name in ("transA", "perm_a", "perm_b", "perm_y")):
            return "transposed"
        if 0 in b.dims:
            return "empty tensor"
        if c is not None and math.prod(c.dims) not in (1, c.dims[-1] if c.dims else 1):
            return f"C of shape {c.dims}"
        return None

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        residual, _ = epilogue_of(node)
        return {v: ROW_MAJOR for v in (node.input(0), residual) if v is not None}, ROW_MAJOR

    def matrix(self, node: Node, target: Target) -> dict[str, Any]:
        """How the weights are packed: what pack_matrix takes."""
        transposed, alpha = bool(getattr(node.op, "transB", 0)), getattr(node.op, "alpha", 1.0)
        w = node.input(1).constant
        assert w is not None, "refuse takes no others"
        return {"transposed": transposed, "alpha": alpha, "V": target.V, "stored": kind_of(w, transposed, alpha, target)}

    def workspace(self, node: Node, target: Target) -> int:
        if self.matrix(node, target)["stored"] == FLOAT32_WEIGHTS:
            return 0
        vectors = min(-(-node.results[0].dims[-1] // target.V), WIDEST_PANEL)
        return target.threads * K_BLOCK * vectors * target.V * 4

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        a, b, c = node.input(0), node.input(1), node.optional(2)
        OC, beta = node.results[0].dims[-1], getattr(node.op, "beta", 1.0)
        matrix, kernel = self.matrix(node, binder.target), binder.kernels.gemm
        step = binder.step(
            kernel,
            src=binder.view(a).address, dst=binder.view(node.results[0]).address,
            wei=binder.pack("gemm", pack_matrix, b.constant, **matrix),
            bia=binder.constant(pack_vector(None if c is None else c.constant, beta, OC, binder.target.V)),
            **sizes(kernel, math.prod(a.dims[:-1]), a.dims[-1], OC, matrix["stored"], binder.workspace()),
            **binder.row_epilogue(node),
        )  # fmt: skip
        return [step]
