"""The types of ONNX: numbers and names of element types, and the dtypes that hold them in memory.

The ml_dtypes package has the types that NumPy lacks (bfloat16, floats of 8 bits and less, integers of 4 and 2 bits); it is
imported only for such a type. In memory each element takes whole bytes; in a file elements of less than 8 bits are packed. A
tensor of strings is an array of Python objects, and a sequence of tensors is one of rank 1.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from .errors import ModelError, UnsupportedError


class DataType(NamedTuple):
    """A TensorProto.DataType: its name, the NumPy or ml_dtypes type, and the field for values that are not raw_data.

    `bits` is the size of an element in a file, if less than a byte.
    """

    name: str
    numpy: str = ""
    field: str = "int32_data"
    bits: int = 0

    @property
    def dtype(self) -> np.dtype:
        """The dtype; UnsupportedError if neither NumPy nor ml_dtypes has it."""
        if not self.numpy:
            raise UnsupportedError(f"data type {self.name} is not supported")
        with suppress(TypeError):
            return np.dtype(self.numpy)
        try:
            import ml_dtypes

            dtype: np.dtype = np.dtype(getattr(ml_dtypes, self.numpy))
            return dtype
        except (ImportError, AttributeError):
            raise UnsupportedError(f"data type {self.name} needs the ml_dtypes package: pip install -U ml_dtypes") from None

    def nbytes(self, count: int) -> int:
        """The bytes that `count` elements take in a file."""
        return -(-count * self.bits // 8) if self.bits else count * self.dtype.itemsize


DATA_TYPES = {
    1: DataType("FLOAT", "float32", "float_data"),
    2: DataType("UINT8", "uint8"),
    3: DataType("INT8", "int8"),
    4: DataType("UINT16", "uint16"),
    5: DataType("INT16", "int16"),
    6: DataType("INT32", "int32"),
    7: DataType("INT64", "int64", "int64_data"),
    8: DataType("STRING", "object", "string_data"),
    9: DataType("BOOL", "bool"),
    10: DataType("FLOAT16", "float16"),
    11: DataType("DOUBLE", "float64", "double_data"),
    12: DataType("UINT32", "uint32", "uint64_data"),
    13: DataType("UINT64", "uint64", "uint64_data"),
    14: DataType("COMPLEX64"),
    15: DataType("COMPLEX128"),
    16: DataType("BFLOAT16", "bfloat16"),
    17: DataType("FLOAT8E4M3FN", "float8_e4m3fn"),
    18: DataType("FLOAT8E4M3FNUZ", "float8_e4m3fnuz"),
    19: DataType("FLOAT8E5M2", "float8_e5m2"),
    20: DataType("FLOAT8E5M2FNUZ", "float8_e5m2fnuz"),
    21: DataType("UINT4", "uint4", bits=4),
    22: DataType("INT4", "int4", bits=4),
    23: DataType("FLOAT4E2M1", "float4_e2m1fn", bits=4),
    24: DataType("FLOAT8E8M0", "float8_e8m0fnu"),
    25: DataType("UINT2", "uint2", bits=2),
    26: DataType("INT2", "int2", bits=2),
    27: DataType("FLOAT6E2M3", "float6_e2m3fn", bits=6),
    28: DataType("FLOAT6E3M2", "float6_e3m2fn", bits=6),
}


def data_type(number: int) -> DataType:
    """The element type of a number; ModelError if ONNX has none."""
    if number not in DATA_TYPES:
        raise ModelError(f"unknown data type {number}")
    return DATA_TYPES[number]


def number_of(dtype: np.dtype | None) -> int:
    """ONNX's number of a dtype; ModelError if it has none."""
    number = next((n for n, t in DATA_TYPES.items() if dtype is not None and t.numpy == dtype.name), None)
    if number is None:
        raise ModelError(f"the format has no number for dtype {dtype}")
    return number


def kind(dtype: Any) -> str:
    """NumPy's `dtype.kind` (f float, i and u integers, b bool), also for the types of ml_dtypes."""
    dtype = np.dtype(dtype)
    if dtype.kind != "V":
        return str(dtype.kind)
    return "f" if "float" in dtype.name else dtype.name[0]


def limits(dtype: Any) -> tuple[Any, Any]:
    """The least and the largest finite number of a dtype."""
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return False, True
    info = _info(dtype)
    return info.min, info.max


def precision(dtype: Any) -> float:
    """The relative distance of neighbours: ε of a floating-point dtype; of integers, relative to their range; 0 of others."""
    dtype = np.dtype(dtype)
    if kind(dtype) == "f":
        return float(_info(dtype).eps)
    return float(2.0 ** -(8 * dtype.itemsize)) if kind(dtype) in "iu" else 0.0


def _info(dtype: np.dtype) -> Any:
    """The finfo or iinfo of a dtype, of NumPy or ml_dtypes."""
    about = np if hasattr(np, dtype.name) else importlib.import_module("ml_dtypes")
    return about.finfo(dtype) if kind(dtype) == "f" else about.iinfo(dtype)


def type_name(dtype: np.dtype | None) -> str:
    """A type as messages call it: float32, string, sequence of float32."""
    if is_sequence(dtype):
        return f"sequence of {element_of(dtype)}"
    return "string" if dtype is not None and dtype.kind == "O" else str(dtype)


def sequence_of(element: np.dtype | None) -> np.dtype:
    """The dtype of a sequence of tensors of the dtype `element`."""
    return np.dtype(object, metadata={"element": element})


def is_sequence(dtype: np.dtype | None) -> bool:
    """Whether values of this dtype are sequences of tensors."""
    return dtype is not None and bool(dtype.metadata)


def element_of(dtype: np.dtype | None) -> np.dtype | None:
    """The dtype of a sequence's tensors; None if unknown."""
    return dtype.metadata["element"] if dtype is not None and dtype.metadata else None


def sequence(tensors: Iterable[np.ndarray]) -> np.ndarray:
    """A sequence of these tensors, as an array."""
    items = list(tensors)
    array = np.empty(len(items), object)
    for i, item in enumerate(items):
        array[i] = item
    return array


def pack_bits(array: np.ndarray, bits: int) -> np.ndarray:
    """The lowest bits of each one-byte element, packed from the lowest bit of the first byte on: uint8[n]."""
    ones = np.unpackbits(array.reshape(-1, 1).view(np.uint8), axis=1, bitorder="little")
    return np.packbits(ones[:, :bits], bitorder="little")


def unpack_bits(data: np.ndarray, bits: int, count: int) -> np.ndarray:
    """The `count` elements, as uint8, that pack_bits packed."""
    ones = np.unpackbits(data, count=count * bits, bitorder="little").reshape(count, bits)
    return np.packbits(ones, axis=1, bitorder="little").reshape(count)


__all__ = [
    "DATA_TYPES",
    "DataType",
    "data_type",
    "element_of",
    "is_sequence",
    "kind",
    "limits",
    "number_of",
    "pack_bits",
    "precision",
    "sequence",
    "sequence_of",
    "type_name",
    "unpack_bits",
]
