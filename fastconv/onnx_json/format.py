"""The tables of the format: fields of the messages, types of attributes, versions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..strict_json import integer, single, spellings, text

#: The opset that `write` writes, the operators and attributes that need a newer one, and the IR version of each opset.
OPSET = 22
NEWER = {
    "BitCast": 26,
    "CastLike.round_mode": 24,
    "Cast.round_mode": 24,
    "CumProd": 26,
    "DequantizeLinear.output_dtype": 23,
    "QuantizeLinear.precision": 23,
    "RMSNormalization": 23,
    "Range.stash_type": 27,
    "SpaceToDepth.mode": 28,
    "Swish": 24,
}
IR_VERSIONS = {22: 10, 23: 11, 24: 12, 26: 13, 27: 13, 28: 14}

TENSOR_DATA = ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data")
TENSOR_PLACES = {*TENSOR_DATA, "external_data", "segment"}

MODEL = spellings(
    "ir_version opset_import producer_name producer_version domain model_version doc_string graph metadata_props "
    "training_info functions configuration"
)
OPSET_IMPORT = spellings("domain version")
FUNCTION = spellings(
    "name input output attribute attribute_proto node doc_string opset_import domain overload value_info metadata_props"
)
GRAPH = spellings(
    "node name initializer sparse_initializer doc_string input output value_info quantization_annotation metadata_props"
)
NODE = spellings("input output name op_type domain overload attribute doc_string metadata_props device_configurations")
ATTRIBUTE = spellings(
    "name ref_attr_name doc_string type f i s t g floats ints strings tensors graphs sparse_tensor sparse_tensors tp "
    "type_protos"
)
TENSOR = spellings(f"dims data_type segment {' '.join(TENSOR_DATA)} name doc_string external_data data_location metadata_props")
SPARSE_TENSOR = spellings("values indices dims")
ENTRY = spellings("key value")
VALUE_INFO = spellings("name type doc_string metadata_props")
TYPE = spellings("tensor_type sequence_type map_type optional_type sparse_tensor_type opaque_type denotation")
TENSOR_TYPE = spellings("elem_type shape")
ELEM_TYPE = spellings("elem_type")
SHAPE = spellings("dim")
DIM = spellings("dim_value dim_param denotation")

DATA_LOCATIONS = {"DEFAULT": 0, "EXTERNAL": 1}

#: The types of attributes in the order of their numbers, from 1: the field of each, and the function that reads an item.
#: GraphReader reads tensors and graphs, with their paths; the other types without a function are not supported.
ATTRIBUTES: dict[str, tuple[str, Callable[[Any], Any] | None]] = {
    "FLOAT": ("f", single),
    "INT": ("i", integer),
    "STRING": ("s", text),
    "TENSOR": ("t", None),
    "GRAPH": ("g", None),
    "FLOATS": ("floats", single),
    "INTS": ("ints", integer),
    "STRINGS": ("strings", text),
    "TENSORS": ("tensors", None),
    "GRAPHS": ("graphs", None),
    "SPARSE_TENSOR": ("sparse_tensor", None),
    "SPARSE_TENSORS": ("sparse_tensors", None),
    "TYPE_PROTO": ("tp", None),
    "TYPE_PROTOS": ("type_protos", None),
}
ATTRIBUTE_TYPES = {name: i for i, name in enumerate(ATTRIBUTES, 1)}
ATTRIBUTE_FIELDS = list(ATTRIBUTES.values())
ATTRIBUTE_DATA = {"ref_attr_name", *dict(ATTRIBUTE_FIELDS)}
#: The value of an attribute of one number or string if its field is absent: protobuf does not write zeros.
ABSENT = {"f": 0.0, "i": 0, "s": ""}
#: The most levels of graphs inside nodes of graphs.
MOST_NESTED = 16
