"""Run a graph by the references of its operators, by default in float64: the ground truth for kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .dtypes import kind
from .errors import InputError
from .evaluate import evaluate
from .graph import Graph, Value
from .ops.cast import Cast, dtype_of
from .progress import Advance, ignore
from .weights import Weights

if TYPE_CHECKING:
    from numpy.typing import DTypeLike


def run_references(
    graph: Graph, inputs: Sequence[np.ndarray], dtype: DTypeLike = np.float64, advance: Advance = ignore
) -> list[np.ndarray]:
    """The graph's outputs for these inputs; floating-point numbers narrower than `dtype` are computed in `dtype`."""
    wide = _Wide(dtype)
    graph = graph.copy()
    last = {v: n for n in graph.nodes for v in n.operands}
    arrays: dict[Value, np.ndarray] = {v: wide(a) for v, a in zip(graph.inputs, inputs, strict=True)}
    for node in graph.nodes:
        for v in node.operands:
            if v.constant is not None:
                v.constant = wide(v.constant)
        if isinstance(node.op, Cast) and wide.takes(dtype_of(node.op.to, "to")):  # a cast to the narrow type would round
            [x], [y] = node.operands, node.results
            arrays[y] = np.asarray(arrays[x] if x.constant is None else x.constant, wide.dtype)
        else:
            evaluate(node, arrays)
        for v in node.results:
            arrays[v] = wide(arrays[v])
        for v in node.operands:
            if last[v] is node and not graph.is_output(v):  # its last reader: free the memory
                arrays.pop(v, None)
                v.constant = None
        advance(1 / len(graph.nodes))
    return [wide(v.constant) if v.constant is not None else arrays[v] for v in graph.outputs]


class _Wide:
    """Converts arrays of narrower floats to `dtype`, and no others."""

    def __init__(self, dtype: Any):
        try:
            self.dtype = np.dtype(dtype)
        except TypeError:
            self.dtype = np.dtype(object)
        if self.dtype.kind != "f":
            raise InputError(f"dtype: expected a floating-point type, got {dtype!r}")

    def takes(self, other: np.dtype) -> bool:
        return kind(other) == "f" and 1 < other.itemsize < self.dtype.itemsize  # floats of one byte are for storage

    def __call__(self, array: np.ndarray | Weights) -> np.ndarray:
        return np.asarray(array, self.dtype if self.takes(array.dtype) else None)


__all__ = ["run_references"]
