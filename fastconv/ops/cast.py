"""Cast and CastLike: the same numbers as another element type. BitCast: the same bits."""

from __future__ import annotations

import numpy as np

from ..dtypes import DATA_TYPES, data_type, limits
from ..errors import ModelError, UnsupportedError
from ..graph import Node, Value
from .base import Array, Inferred, Op, Results
from .dims import check
from .node_spec import NodeSpec

ROUND_MODES = ("up", "down", "nearest")


def dtype_of(number: int, name: str) -> np.dtype:
    """The dtype of ONNX's element type `number`; ModelError, which names the attribute, if there is none."""
    try:
        dtype = data_type(number).dtype
    except ModelError as e:
        raise type(e)(f"{name}: {e}") from None
    if dtype.kind == "O":
        raise UnsupportedError(f"{name}: strings are not supported")
    return dtype


class Casting(Op, abstract=True):
    """`saturate` and `round_mode` concern floats of 8 bits only."""

    by_element = True
    saturate: int = 1
    #: the direction of rounding to a power of two, for FLOAT8E8M0
    round_mode: str = "up"

    def __post_init__(self) -> None:
        check(self.round_mode in ROUND_MODES, f"round_mode: expected {', '.join(ROUND_MODES)}, got {self.round_mode!r}")

    def is_identity(self, node: Node) -> bool:
        x, y = node.input(0), node.outputs[0]
        return y is not None and x.dtype is not None and x.dtype == y.dtype

    def cast(self, x: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """x converted to another element type."""
        if dtype.name == "float8_e8m0fnu":
            return powers_of_two(x, bool(self.saturate), self.round_mode).astype(dtype)
        if dtype.name.startswith("float8") and self.saturate:
            return saturated(x, dtype)
        return x.astype(dtype)


def saturated(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """x as `dtype`; numbers beyond its finite range, infinities too, become the nearest finite one."""
    least, most = limits(dtype)
    return np.clip(x.astype(np.float32), np.float32(least), np.float32(most)).astype(dtype)


def powers_of_two(x: np.ndarray, saturate: bool, round_mode: str) -> np.ndarray:
    """|x| rounded to powers of two from 2**-127 to 2**127, as float32; NaN if not finite, or beyond and not saturated."""
    fraction, exponent = np.frexp(np.abs(x.astype(np.float64)))  # |x| = fraction · 2**exponent, 1/2 <= fraction < 1
    up = {"up": fraction > 0.5, "nearest": fraction >= 0.75, "down": False}[round_mode]
    exponent = np.where(x == 0, -127, np.maximum(exponent - 1 + up, -127))
    beyond = ~np.isfinite(x.astype(np.float64)) | (not saturate) & (exponent > 127)
    return np.where(beyond, np.nan, np.ldexp(1.0, np.minimum(exponent, 127))).astype(np.float32)


class Cast(Casting):
    to: int

    @classmethod
    def upgrade(cls, spec: NodeSpec) -> None:
        to = spec.attributes.get("to")
        if spec.opset < 6 and isinstance(to, str):
            numbers = {t.name: number for number, t in DATA_TYPES.items()}
            if to not in numbers:
                raise UnsupportedError(f"to: element type {to!r} is not supported")
            spec.attributes["to"] = numbers[to]

    def __post_init__(self) -> None:
        super().__post_init__()
        dtype_of(self.to, "to")

    def independent_images(self, node: Node) -> bool:
        return True

    def infer(self, x: Value) -> Inferred:
        return [(x.shape, dtype_of(self.to, "to"))]

    def reference(self, x: Array) -> Results:
        return self.cast(x, dtype_of(self.to, "to"))


class CastLike(Casting):
    """Cast to the type of the second input."""

    arity = (2, 2)

    def infer(self, x: Value, like: Value) -> Inferred:
        return [(x.shape, like.dtype)]

    def placeholders(self, node: Node) -> dict[Value, np.ndarray]:
        like = node.input(1)
        return {} if like.dtype is None else {like: np.empty(0, like.dtype)}

    def reference(self, x: Array, like: Array) -> Results:
        return self.cast(x, like.dtype)


class BitCast(Op):
    """The same bits as another type of the same size."""

    to: int

    def infer(self, x: Value) -> Inferred:
        dtype = dtype_of(self.to, "to")
        if x.dtype is not None:
            fits = np.dtype(x.dtype).itemsize == dtype.itemsize
            check(fits, f"to: expected a type of {np.dtype(x.dtype).itemsize} bytes, got {dtype}")
        return [(x.shape, dtype)]

    def reference(self, x: Array) -> Results:
        return np.ascontiguousarray(x).view(dtype_of(self.to, "to")).reshape(x.shape)
