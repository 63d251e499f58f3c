"""Declared types of inputs and outputs: shape and dtype of a ValueInfoProto."""

from __future__ import annotations

from ..dtypes import sequence_of
from ..errors import UnsupportedError
from ..graph import Dim, Shape, Value
from ..ops.dims import MAX_RANK
from ..strict_json import Fields, integer, string
from .format import DIM, ELEM_TYPE, SHAPE, TENSOR_TYPE, TYPE
from .tensors import data_type_of


def declared_value(info: Fields) -> Value:
    """A Value with the name, shape and dtype that a ValueInfo states; of an optional, those of the value if present."""
    kind = info.object("type", TYPE)
    if kind.has("optional_type"):
        kind = kind.object("optional_type", ELEM_TYPE).object("elem_type", TYPE)
    if many := kind.has("sequence_type"):
        kind = kind.object("sequence_type", ELEM_TYPE).object("elem_type", TYPE)
    if not kind.has("tensor_type"):
        raise kind.error("only tensors and sequences of them are supported", kind=UnsupportedError)
    tensor = kind.object("tensor_type", TENSOR_TYPE)
    dtype = data_type_of(tensor, "elem_type").dtype
    if many:
        return Value(info.get("name", string), None, sequence_of(dtype))
    shape: Shape = None
    if "shape" in tensor.values:
        shape = tuple(map(_dim, tensor.object("shape", SHAPE).objects("dim", DIM)))
        if len(shape) > MAX_RANK:
            raise tensor.error(f"more than {MAX_RANK} dimensions", "shape")
    return Value(info.get("name", string), shape, dtype)


def _dim(d: Fields) -> Dim:
    """A size, a symbol, or None for an unknown size.

    An unknown size has many spellings: nothing, 0, -1, "?", "None", "unk__3" (from shape inference, tf2onnx and others), and
    formulas. The format requires that symbols be identifiers; two equal texts that are none need not mean equal sizes.
    """
    if d.has("dim_value") and d.has("dim_param"):
        raise d.error("both 'dim_value' and 'dim_param' are set")
    size: int = d.get("dim_value", integer, 0)
    symbol: str = d.get("dim_param", string, "")
    if size > 0:
        return size
    return symbol if symbol.isidentifier() and symbol != "None" and not symbol.startswith("unk__") else None
