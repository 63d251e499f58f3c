"""Cast, CastLike, and the numbers that ONNX gives to element types."""

from __future__ import annotations

import numpy as np

from ..errors import ModelError, UnsupportedError
from .base import Op

#: ONNX's TensorProto.DataType -> its name and NumPy's dtype, for the element types that NumPy has
DTYPES: dict[int, tuple[str, np.dtype]] = {
    1: ("FLOAT", np.dtype(np.float32)),
    2: ("UINT8", np.dtype(np.uint8)),
    3: ("INT8", np.dtype(np.int8)),
    4: ("UINT16", np.dtype(np.uint16)),
    5: ("INT16", np.dtype(np.int16)),
    6: ("INT32", np.dtype(np.int32)),
    7: ("INT64", np.dtype(np.int64)),
    9: ("BOOL", np.dtype(np.bool_)),
    10: ("FLOAT16", np.dtype(np.float16)),
    11: ("DOUBLE", np.dtype(np.float64)),
    12: ("UINT32", np.dtype(np.uint32)),
    13: ("UINT64", np.dtype(np.uint64)),
}
OTHER_TYPES = {
    8: "STRING",
    14: "COMPLEX64",
    15: "COMPLEX128",
    16: "BFLOAT16",
    17: "FLOAT8E4M3FN",
    18: "FLOAT8E4M3FNUZ",
    19: "FLOAT8E5M2",
    20: "FLOAT8E5M2FNUZ",
    21: "UINT4",
    22: "INT4",
    23: "FLOAT4E2M1",
}


def dtype_of(number: int, name: str) -> np.dtype:
    """The dtype of an element type's number; UnsupportedError where NumPy has none, ModelError where ONNX has none."""
    if number in OTHER_TYPES:
        raise UnsupportedError(f"{name}: element type {OTHER_TYPES[number]} is not supported")
    if number not in DTYPES:
        raise ModelError(f"{name}: {number} is no element type")
    return DTYPES[number][1]


class Cast(Op):
    to: int
    #: these two concern 8-bit floats only
    saturate: int = 1
    round_mode: str = "up"

    @classmethod
    def upgrade(cls, spec):
        to = spec.attributes.get("to")
        if spec.opset < 6 and isinstance(to, str):
            names = {name: number for number, (name, _) in DTYPES.items()}
            if to not in names:
                raise UnsupportedError(f"to: element type {to!r} is not supported")
            spec.attributes["to"] = names[to]

    def __post_init__(self):
        dtype_of(self.to, "to")

    def infer(self, x):
        return [(x.shape, dtype_of(self.to, "to"))]

    def reference(self, x):
        return x.astype(dtype_of(self.to, "to"))


class CastLike(Op):
    """Cast to the type of the second input."""

    arity = (2, 2)

    saturate: int = 1
    round_mode: str = "up"

    def infer(self, x, like):
        return [(x.shape, like.dtype)]

    def reference(self, x, like):
        return x.astype(like.dtype)
