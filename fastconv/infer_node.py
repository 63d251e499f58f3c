"""The shapes and dtypes of a node's outputs, by the operator's rule."""

from __future__ import annotations

import math

import numpy as np

from .budget import Budget
from .errors import ModelWarning, Naming, UnsupportedError, warn
from .graph import Dim, Node, Shape, Value, shape_text

FLOAT32 = np.dtype(np.float32)
INT64_MAX = (1 << 63) - 1


def infer_node(node: Node) -> None:
    """Set the shapes and dtypes of a node's outputs; ModelError names the node."""
    if not node.op.takes_objects and any(v is not None and v.dtype == object for v in node.inputs):
        raise node.error("strings and sequences are not supported by this operator", UnsupportedError)
    with Naming(node.error):
        results = node.op.infer(*node.inputs)
    for value, (shape, dtype) in zip(node.outputs, results, strict=False):
        if value is not None and value.constant is None:
            value.shape = merge(node, value, shape)
            value.dtype = dtype if dtype is not None else value.dtype
            # NumPy has no array, even an empty one, whose other dimensions multiply to more
            count = math.prod(d for d in value.shape or () if isinstance(d, int) and d)
            if count * (value.dtype or FLOAT32).itemsize > INT64_MAX:
                raise node.error(f"output {value.name!r} of shape {shape_text(value.shape)} is larger than any memory")


def check_sizes(node: Node, budget: Budget) -> None:
    """ModelError if a result has more bytes than the budget allows, as far as its shape is known."""
    for v in node.results:
        if v.known and v.dtype is not None and (why := budget.excess(math.prod(v.dims) * v.dtype.itemsize)):
            raise node.error(f"its result {shape_text(v.shape)} takes {why}")


def merge(node: Node, value: Value, shape: Shape) -> Shape:
    """The inferred shape, completed by the declared one; a ModelWarning if they contradict each other."""
    if shape is None or value.shape is None:
        return shape if value.shape is None else value.shape
    declared = value.shape
    if len(shape) != len(declared) or any(_differ(a, b) for a, b in zip(shape, declared, strict=True)):
        warn(
            f"{node.error(f'output {value.name!r} is declared {shape_text(declared)}, but its shape is {shape_text(shape)}')}",
            ModelWarning,
        )
        return shape
    return tuple(b if a is None else a for a, b in zip(shape, declared, strict=True))


def _differ(inferred: Dim, declared: Dim) -> bool:
    return isinstance(inferred, int) and isinstance(declared, int) and inferred != declared
