"""Compute a node in NumPy, by the references of its operator and its epilogue."""

from __future__ import annotations

import numpy as np

from .budget import refusal
from .dtypes import DATA_TYPES
from .errors import Naming, UnsupportedError
from .graph import Node, Value

#: the dtypes that NumPy's functions take
NUMBERS = {t.numpy for t in DATA_TYPES.values() if t.numpy != "object" and hasattr(np, t.numpy)}


def evaluate(node: Node, arrays: dict[Value, np.ndarray], fast: bool = False) -> None:
    """Run a node and its epilogue by `Op.reference`, or `Op.compute` if `fast`; read from `arrays` and add to it."""
    for n in node.chain:
        inputs = [None if v is None else _array(v, arrays) for v in n.inputs]
        with Naming(n.error), np.errstate(all="ignore"):  # overflow and 0 / 0 show in the result
            try:
                results = n.op.compute(*inputs) if fast else n.op.reference(*inputs)
            except (MemoryError, SystemError):  # the latter is what some of NumPy's functions make of the former
                if (why := refusal()) is not None:
                    raise n.error(why) from None
                raise
            except TypeError as e:
                if any(x is not None and x.dtype.name not in NUMBERS for x in inputs):
                    raise UnsupportedError(f"not supported for elements of these types: {e}") from None
                raise
        for v, y in zip(n.outputs, results if isinstance(results, tuple) else (results,), strict=False):
            if v is not None:
                arrays[v] = np.asarray(y)


def _array(v: Value, arrays: dict[Value, np.ndarray]) -> np.ndarray:
    """What was computed of a value, else its constant."""
    return arrays[v] if v.constant is None or v in arrays else np.asarray(v.constant)
