"""Fully connected layers by the packed GEMM kernel: Gemm and MatMul with constant weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..graph import Node, Value
from ..plan.bind import Binder, Step, epilogue_of
from ..plan.implementation import Implementation
from ..plan.packing import Packing, factors
from ..plan.select import NCHW, Target
from ..plan.strided import pad_axes
from ..weights import Weights
from .conv_direct import RUN, pack_bias, tiles

#: rows that share a reading of the weights, and parts of these that an item has: STREAMS in pyx/isa/gemm.pyx
CHUNK_ROWS, STREAMS = 48, 4


def pack_matrix(w: np.ndarray | Weights, transposed: bool, alpha: float, V: int) -> Packing:
    """Weights K OC (transposed: OC K), times alpha, in the order the tile reads them."""
    source, scale = factors(w, axis=0 if transposed else 1)
    OC, K = w.shape if transposed else w.shape[::-1]
    scale = scale * alpha
    if transposed:
        return tiles(lambda a, b: source[a:b][:, :, None, None], scale, (1, OC, K, 1, 1), 1, V)
    return tiles(lambda a, b: source[a:b].T[:, :, None, None], scale, (1, OC, K, 1, 1), 1, V, by_input=True)


def pack_vector(c: np.ndarray | Weights | None, beta: float, OC: int, V: int) -> np.ndarray:
    """beta times a bias that broadcasts to OC, in whole vectors."""
    b = None if c is None else np.broadcast_to((np.asarray(c) * np.float64(beta)).astype(np.float32).reshape(-1), (OC,))
    return pack_bias(b, OC, 1, V)


def sizes(M: int, K: int, OC: int) -> dict[str, Any]:
    """The kernel's fields for one row-major product with packed weights."""
    return {
        "M": M, "K": K, "OC": OC, "chunk": -(-M // -(-M // CHUNK_ROWS)), "parts": STREAMS, "run": RUN,
        "src_m": K, "wei_k": 0, "wei_n": 0, "dst_m": OC,
        "dims": pad_axes((), 1), **{f"{operand}_strides": pad_axes((), 0) for operand in ("src", "wei", "dst")},
        "alpha": 1.0, "packs": False, "workspace": 0,
    }  # fmt: skip


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
        if any(getattr(node.op, name, None) for name in ("transA", "perm_a", "perm_b", "perm_y")):
            return "transposed"
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
        step = binder.step(
            binder.kernels.gemm,
            src=binder.view(a).ref, dst=binder.view(node.results[0]).ref,
            wei=binder.pack("gemm", pack_matrix, b.constant, transposed=transposed, alpha=alpha, V=V),
            bia=binder.constant(pack_vector(c.constant if c is not None else None, beta, OC, V)),
            **sizes(math.prod(a.dims[:-1]), a.dims[-1], OC), **fields,
        )  # fmt: skip
        return [step]
