"""Constant and ConstantOfShape: a tensor from the model file, or one filled with a number."""

from __future__ import annotations

import numpy as np

from ..graph import Value
from .base import Array, Inferred, Op, Results
from .dims import as_shape, check, known_ints, length, to_ints, unknown


class Constant(Op):
    """Exactly one attribute is given; it is the result."""

    arity = (0, 0)

    value: np.ndarray | None = None
    value_float: float | None = None
    value_floats: tuple[float, ...] | None = None
    value_int: int | None = None
    value_ints: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        given = list(self.attributes())
        check(len(given) == 1, f"expected exactly one of its attributes, got {', '.join(given) or 'none'}")

    def infer(self) -> Inferred:
        array = self.reference()
        return [(array.shape, array.dtype)]

    def reference(self) -> Results:
        if self.value is not None:
            return self.value
        (name, value), *_ = self.attributes().items()
        return np.asarray(value, np.float32 if name.startswith("value_float") else np.int64)


class ConstantOfShape(Op):
    """A tensor of the shape given, filled with the element of `value`; the default is a float32 zero."""

    control_inputs = (0,)

    value: np.ndarray | None = None

    def __post_init__(self) -> None:
        check(self.value is None or self.value.size == 1, f"value: expected one element, got {self.value}"[:200])

    def infer(self, shape: Value) -> Inferred:
        dtype = np.dtype(np.float32) if self.value is None else self.value.dtype
        sizes = known_ints(shape, "input")
        return [(unknown(length(shape)) if sizes is None else as_shape(sizes, "input"), dtype)]

    def reference(self, shape: Array) -> Results:
        value = np.zeros(1, np.float32) if self.value is None else self.value
        return np.full(as_shape(to_ints(shape, "input"), "input"), value.reshape(()), value.dtype)
