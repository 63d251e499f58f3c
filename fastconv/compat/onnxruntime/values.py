"""What sessions take and return: OrtValue, NodeArg, ModelMetadata, and onnxruntime's names of types."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from ...dtypes import DATA_TYPES, data_type, element_of, is_sequence, number_of
from .errors import NotImplemented, failure

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike


#: onnxruntime's name of an element type by NumPy's
_NAMES = {t.numpy: t.name.lower() for t in DATA_TYPES.values()}


def type_name(dtype: np.dtype) -> str:
    """The type as onnxruntime writes it: tensor(float), seq(tensor(int64))."""
    if is_sequence(dtype):
        return f"seq({type_name(element_of(dtype) or np.dtype(np.float32))})"
    if dtype.kind in "OSU":
        return "tensor(string)"
    return f"tensor({_NAMES.get(dtype.name, dtype.name)})"


def dtype_of(element_type: DTypeLike | int) -> np.dtype:
    """The dtype of a NumPy type or of ONNX's number of one."""
    return data_type(element_type).dtype if isinstance(element_type, int) else np.dtype(element_type)


def array_at(address: int, shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
    """The array at an address that a program gives; no copy."""
    buffer = (ctypes.c_char * (prod(shape) * dtype.itemsize)).from_address(address)
    return np.frombuffer(memoryview(buffer), dtype).reshape(shape)


@dataclass(frozen=True)
class NodeArg:
    """An input or output of a model: its name, its sizes (an int, a symbol, None if unknown) and its type."""

    name: str
    shape: list[int | str | None]
    type: str


@dataclass(frozen=True)
class ModelMetadata:
    """What the file says about the model."""

    custom_metadata_map: Mapping[str, str]
    description: str
    domain: str
    graph_description: str
    graph_name: str
    producer_name: str
    version: int


class OrtValue:
    """A tensor, in the memory of a NumPy array."""

    def __init__(self, array: np.ndarray):
        self._array = array

    @staticmethod
    def ortvalue_from_numpy(array: np.ndarray, device_type: str = "cpu", device_id: int = 0) -> OrtValue:
        """The value in an array's own memory; RuntimeError for strings, and for a device other than the CPU."""
        if not isinstance(array, np.ndarray) or array.dtype.kind in "OSU":
            raise RuntimeError("Creation of OrtValues is currently only supported from non-string numpy arrays")
        check_device(device_type)
        return OrtValue(np.ascontiguousarray(array))

    @staticmethod
    def ortvalue_from_shape_and_type(
        shape: Sequence[int], element_type: DTypeLike | int, device_type: str = "cpu", device_id: int = 0
    ) -> OrtValue:
        """A value of this shape and type; its elements are arbitrary."""
        check_device(device_type)
        return OrtValue(np.empty(tuple(shape), dtype_of(element_type)))

    def numpy(self) -> np.ndarray:
        """The array; no copy."""
        return self._array

    def update_inplace(self, array: ArrayLike) -> None:
        """Copy an array into the value."""
        source = np.asarray(array, self._array.dtype)
        if source.size != self._array.size:
            raise RuntimeError("The input size of numpy arrays does not match the size of the OrtValue.")
        self._array[...] = source.reshape(self._array.shape)

    def shape(self) -> list[int]:
        """Its sizes."""
        return list(self._array.shape)

    def data_type(self) -> str:
        """Its type, such as tensor(float)."""
        return type_name(self._array.dtype)

    def element_type(self) -> int:
        """ONNX's number of the type of its elements."""
        return number_of(self._array.dtype)

    def data_ptr(self) -> int:
        """The address of its first element."""
        return self._array.ctypes.data

    def tensor_size_in_bytes(self) -> int:
        """The bytes of its elements."""
        return self._array.nbytes

    def device_name(self) -> str:
        """The device that has its memory."""
        return "cpu"

    def has_value(self) -> bool:
        """Whether there is a value."""
        return True

    def is_tensor(self) -> bool:
        """Whether it is a dense tensor."""
        return not self.is_tensor_sequence()

    def is_tensor_sequence(self) -> bool:
        """Whether it is a list of tensors, as some models return."""
        return isinstance(self._array, list)

    def is_sparse_tensor(self) -> bool:
        """False: fastconv's tensors are dense."""
        return False

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self._array, dtype) if copy else np.asarray(self._array, dtype)


class SparseTensor:
    """A name only: fastconv's tensors are dense. Whoever makes one gets NotImplemented."""

    def __init__(self, *args: Any):
        raise failure(NotImplemented, "fastconv has no sparse tensors")

    @classmethod
    def sparse_coo_from_numpy(cls, *args: Any) -> SparseTensor:
        """Raise NotImplemented."""
        return cls(*args)

    sparse_csr_from_numpy = sparse_coo_from_numpy


def check_device(device_type: str) -> None:
    """RuntimeError for memory of a device other than the CPU."""
    if device_type.lower() != "cpu":
        raise RuntimeError(f"Can't allocate memory on the device {device_type!r}: fastconv runs on the CPU")
