"""Fully connected layers by the packed GEMM kernel: Gemm and MatMul with constant weights."""

from __future__ import annotations

import math

import numpy as np

from ..graph import Node, Value
from ..plan.bind import Binder, Step, epilogue_of
from ..plan.packing import Packing, factors
from ..plan.select import NCHW, Target
from ..weights import Weights
from .base import Implementation
from .conv_direct import RUN, pack_bias, tiles

#: rows that share a reading of the weights
CHUNK_ROWS = 48


def pack_matrix(w: np.ndarray | Weights, transposed: bool, alpha: float, V: int) -> Packing:
    """Weights K OC (transposed: OC K), times alpha, in the order the tile reads them."""
    source, scale = factors(w, axis=0 if transposed else 1)
    OC, K = w.shape if transposed else w.shape[::-1]
    scale = scale * alpha
    if transposed:
        return tiles(lambda a, b: source[a:b][:, :, None, None], scale, (1, OC, K, 1, 1), 1, V)
    return tiles(lambda a, b: source[a:b].T[:, :, None, None], scale, (1, OC, K, 1, 1), 1, V, by_input=True)


def pack_vector(c: np.ndarray | None, beta: float, OC: int, V: int) -> np.ndarray:
    """beta times a bias that broadcasts to OC, in whole vectors."""
    b = None if c is None else np.broadcast_to((c * np.float64(beta)).astype(np.float32).reshape(-1), (OC,))
    return pack_bias(b, OC, 1, V)


class GemmPacked(Implementation):
    """Rows of activations through packed weights."""

    name = "gemm"

    def refuse(self, node: Node, target: Target) -> str | None:
        a, b = node.inputs[0], node.inputs[1]
        c = node.inputs[2] if len(node.inputs) > 2 else None
        assert a is not None and b is not None
        if b.constant is None or (c is not None and c.constant is None):
            return "weights are not constant"
        if a.dtype != np.float32:
            return f"dtype {a.dtype}"
        if len(b.dims) != 2 or len(a.dims) < 2:
            return f"ranks {len(a.dims)} and {len(b.dims)}"
        if getattr(node.op, "transA", 0):
            return "transA"
        if 0 in a.dims or 0 in b.dims:
            return "empty input"
        if c is not None and c.constant is not None and c.constant.size not in (1, c.dims[-1] if c.dims else 1):
            return f"C of shape {c.dims}"
        return None

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, str], str]:
        residual, _ = epilogue_of(node)
        return {v: NCHW for v in (node.inputs[0], residual) if v is not None}, NCHW

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        a, b = node.inputs[0], node.inputs[1]
        c = node.inputs[2] if len(node.inputs) > 2 else None
        assert a is not None and b is not None and b.constant is not None
        transposed = bool(getattr(node.op, "transB", 0))
        OC = b.dims[0 if transposed else 1]
        alpha, beta = getattr(node.op, "alpha", 1.0), getattr(node.op, "beta", 1.0)
        V = binder.target.V
        fields = {k: v for k, v in binder.epilogue(node).items() if k in ("add", "has_add", "act")}
        M = math.prod(a.dims[:-1])
        step = binder.step(
            binder.kernels.gemm,
            src=binder.view(a).ref, dst=binder.view(node.results[0]).ref,
            wei=binder.pack("gemm", pack_matrix, b.constant, transposed=transposed, alpha=alpha, V=V),
            bia=binder.constant(pack_vector(c.constant if c is not None else None, beta, OC, V)),
            M=M, K=a.dims[-1], OC=OC, chunk=min(M, CHUNK_ROWS), run=RUN,
            **fields,
        )  # fmt: skip
        return [step]
