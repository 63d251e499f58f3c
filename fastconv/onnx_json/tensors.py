"""Tensors of a file as arrays, or as Weights that stand for them."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from ..budget import Budget
from ..dtypes import DataType, data_type, unpack_bits
from ..errors import ModelError
from ..external_data import DataReader, Origin
from ..ops.dims import MAX_RANK
from ..strict_json import INT64_MAX, Fields, brief, double, enum, integer, raw, string, text
from ..weights import Weights
from .format import DATA_LOCATIONS, ENTRY, TENSOR_PLACES

#: Large tensors of these types are Weights, which are read when they are needed.
WEIGHTS = ("FLOAT", "FLOAT16", "BFLOAT16", "INT8", "UINT8")


class TensorReader:
    """Reads the TensorProtos of one model: its own, and those of its data files, at most `budget.max_bytes` in all."""

    def __init__(self, data: DataReader, budget: Budget, origin: Origin | None):
        self._data = data
        self.budget = budget
        self._origin = origin
        self._bytes_read = 0

    def read(self, t: Fields) -> np.ndarray | Weights:
        """The array of a TensorProto, read-only and no larger than the file's data for it; Weights for large floats."""
        dims = tuple(t.list("dims", partial(integer, least=0)))
        kind = data_type_of(t, "data_type")
        # NumPy has no array, not even an empty one, whose other dimensions multiply to more.
        if len(dims) > MAX_RANK or math.prod(d or 1 for d in dims) * kind.dtype.itemsize > INT64_MAX:
            raise t.error("more elements or dimensions than an array can have", "dims")
        self._bytes_read += kind.nbytes(math.prod(dims))
        if self.budget.max_bytes is not None and self._bytes_read > self.budget.max_bytes:
            raise t.error(f"with this tensor, the weights are larger than max_bytes={self.budget.max_bytes}")
        fields = [f for f in t.values if f in TENSOR_PLACES and t.has(f)]
        if len(fields) > 1:
            raise t.error(f"both {fields[0]!r} and {fields[1]!r} are set")
        field = fields[0] if fields else "raw_data"
        external = t.get("data_location", partial(enum, DATA_LOCATIONS), 0) == DATA_LOCATIONS["EXTERNAL"]
        if external is not (field == "external_data"):
            raise t.error("data_location EXTERNAL and external_data go together", "data_location")
        if kind.field == "string_data":
            return frozen(_strings(t, field, dims))
        if field in ("raw_data", "external_data"):
            return self._from_bytes(t, field, dims, kind)
        if field != kind.field:
            raise t.error(f"a tensor of {kind.name} does not keep its values there", field)
        return frozen(_from_numbers(t, field, dims, kind))

    def _from_bytes(self, t: Fields, field: str, dims: tuple[int, ...], kind: DataType) -> np.ndarray | Weights:
        """The tensor whose values are bytes, in the model (raw_data) or in a data file."""
        dtype, nbytes = kind.dtype, kind.nbytes(math.prod(dims))
        data = self._external(t, dims, kind) if field == "external_data" else np.frombuffer(t.get(field, raw, b""), np.uint8)
        if isinstance(data, Weights):
            return data
        if data.nbytes != nbytes:
            raise t.error(f"{data.nbytes} bytes, but dims {list(dims)} of {kind.name} take {nbytes}", field)
        if dtype.kind == "b" and data.max(initial=0) > 1:
            raise t.error("a BOOL that is neither 0 nor 1", field)
        if kind.name in WEIGHTS and self._origin and t.has("raw_data"):
            stored = self._origin.stored(t.values["raw_data"], dims, dtype)
            if stored is not None:
                return stored
        if kind.bits:
            data = unpack_bits(data, kind.bits, math.prod(dims))
        return frozen(np.asarray(data.view(dtype.newbyteorder("<")), dtype).reshape(dims))

    def _external(self, t: Fields, dims: tuple[int, ...], kind: DataType) -> np.ndarray | Weights:
        """The bytes of a tensor in a data file, or Weights that stand for it."""
        entries: dict[str, str] = {}
        for entry in t.objects("external_data", ENTRY):
            key = entry.get("key", string)
            if key in entries:
                raise entry.error(f"key {brief(key)} appears twice")
            entries[key] = entry.get("value", string, "")
        try:
            stored = self._data.stored(entries, dims, kind.dtype) if kind.name in WEIGHTS else None
            return self._data.read(entries, kind.nbytes(math.prod(dims))) if stored is None else stored
        except ModelError as e:
            raise t.error(str(e), "external_data") from None


def data_type_of(fields: Fields, key: str) -> DataType:
    """The element type whose number is in a field; an error that names the field if there is no dtype for it."""
    try:
        kind = data_type(fields.get(key, integer))
        kind.dtype  # noqa: B018 (raises where NumPy and ml_dtypes have none)
    except ModelError as e:
        raise fields.error(str(e), key, type(e)) from None
    return kind


def frozen(array: np.ndarray) -> np.ndarray:
    """The array itself, made read-only."""
    array.flags.writeable = False
    return array


def _strings(t: Fields, field: str, dims: tuple[int, ...]) -> np.ndarray:
    """The tensor of strings."""
    count = math.prod(dims)
    if (field != "string_data" and count) or len(texts := t.list("string_data", text)) != count:
        raise t.error(f"a tensor of STRING has its {count} values in string_data", field)
    return np.array(texts, object).reshape(dims)


def _from_numbers(t: Fields, field: str, dims: tuple[int, ...], kind: DataType) -> np.ndarray:
    """The tensor whose values are a list of numbers."""
    count = math.prod(dims)
    array = _numbers(t, field, kind.dtype)
    packed = kind.bits in (2, 4)  # such elements share the bytes that the list has; those of 6 bits do not
    if len(array) != (kind.nbytes(count) if packed else count):
        raise t.error(f"{len(array)} values, but dims are {list(dims)}", field)
    if packed:
        array = unpack_bits(array.view(np.uint8), kind.bits, count).view(kind.dtype)
    return array.reshape(dims)


def _numbers(t: Fields, field: str, dtype: np.dtype) -> np.ndarray:
    """The values of a list of numbers; small floats and bools are stored as integers with the same bits."""
    if field in ("float_data", "double_data"):
        numbers = np.array(t.list(field, double), np.float64)
        with np.errstate(over="ignore"):
            array = numbers.astype(dtype)
        beyond = np.isinf(array) & np.isfinite(numbers)
        if np.count_nonzero(beyond):  # any() raises SystemError if memory runs out
            i = int(beyond.argmax())
            raise t.error(f"expected a number in {dtype}'s range, got {numbers[i]}", f"{field}[{i}]")
        return array
    storage = dtype if dtype.kind in "iu" else np.dtype(f"u{dtype.itemsize}")
    bounds = np.iinfo(storage)
    most = 1 if dtype.kind == "b" else int(bounds.max)
    return np.array(t.list(field, partial(integer, least=int(bounds.min), most=most)), storage).view(dtype)
