"""Writing a Graph as a JSON model."""

from __future__ import annotations

import base64
import itertools
import json
import math
import os
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..arguments import file_path
from ..dtypes import DATA_TYPES, element_of, is_sequence, number_of, pack_bits
from ..errors import InputError, ModelError
from ..external_data import DataWriter, data_beside, write_model
from ..graph import Dim, Graph, Node, Value
from ..strict_json import brief
from ..weights import Weights
from .format import IR_VERSIONS, NEWER, OPSET
from .standard_nodes import standard_nodes

#: Weights of more bytes than INSIDE in all go to a data file, except for tensors of fewer bytes than SMALL.
INSIDE, SMALL = 1 << 20, 1 << 10


def write(graph: Graph, path: str | os.PathLike[str]) -> None:
    """Write a graph as a JSON model; weights of more than about 1 MB go to a file beside it, named `path` + ".data".

    Fused nodes are written as the nodes they came from. No half-written file is left, whatever happens, and links are replaced,
    not followed. ModelError if a value's dtype is unknown or has no number in the format.
    """
    path = file_path("path", path)
    if path.lower().endswith(".onnx"):
        raise InputError(f"{path}: a graph is written as .json; fastconv.convert makes .onnx of it")
    data = data_beside(path)
    write_model(path, to_json(_model_dict(graph, data)), data)


def to_bytes(graph: Graph) -> bytes:
    """A graph as a JSON model with its weights inside."""
    return to_json(_model_dict(graph))


def to_json(model: dict[str, Any]) -> bytes:
    """The text of a model's dict."""
    return json.dumps(model, indent=2, allow_nan=False).encode("ascii") + b"\n"


def _model_dict(graph: Graph, data: DataWriter | None = None) -> dict[str, Any]:
    nodes = [new for n in graph.nodes for old in n.chain for new in standard_nodes(old)]
    computed = {v for n in nodes for v in n.outputs}
    values = dict.fromkeys(v for n in nodes for v in (*n.inputs, *n.outputs) if v is not None)
    names = _names([*graph.inputs, *graph.outputs, *values])
    weights = [(name, v.constant) for v, name in names.items() if v.constant is not None and v not in computed]
    outside = data if sum(array.nbytes for _, array in weights) > INSIDE else None
    opset = _opset(nodes)
    opsets = {"": opset, **{n.op.domain: 1 for n in nodes if n.op.domain}}
    return {
        "ir_version": str(IR_VERSIONS[opset]),
        "producer_name": "fastconv",
        "graph": {
            "node": [_node_dict(n, names) for n in nodes],
            "name": graph.name or "graph",
            "initializer": [_tensor_dict(array, name, outside) for name, array in weights],
            "input": [_info_dict(v, names[v]) for v in graph.inputs],
            "output": [_info_dict(v, names[v]) for v in graph.outputs],
        },
        "opset_import": [{"domain": domain, "version": str(version)} for domain, version in opsets.items()],
        "metadata_props": [{"key": key, "value": value} for key, value in graph.metadata.items()],
    }


def _names(values: Iterable[Value]) -> dict[Value, str]:
    """A unique name for each value: its own, or that with a number."""
    names: dict[Value, str] = {}
    taken: set[str] = set()
    for v in values:
        if v in names:
            continue
        tries = (f"{v.name}.{i}" if i else v.name for i in itertools.count(0 if v.name else 1))
        names[v] = next(name for name in tries if name not in taken)
        taken.add(names[v])
    return names


def _opset(nodes: list[Node]) -> int:
    used = {type(n.op).__name__ for n in nodes} | {f"{type(n.op).__name__}.{name}" for n in nodes for name in n.op.attributes()}
    return max([OPSET, *(version for name, version in NEWER.items() if name in used)])


def _node_dict(n: Node, names: dict[Value, str]) -> dict[str, Any]:
    inputs, outputs = ([names[v] if v is not None else "" for v in values] for values in (n.inputs, n.outputs))
    node: dict[str, Any] = {"input": inputs, "output": outputs, "name": n.name, "op_type": type(n.op).__name__}
    if n.op.domain:
        node["domain"] = n.op.domain
    return {**node, "attribute": [_attribute_dict(name, value) for name, value in n.op.attributes().items()]}


def _attribute_dict(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, np.ndarray):
        return {"name": name, "t": _tensor_dict(value), "type": "TENSOR"}
    if isinstance(value, Graph):
        raise ModelError(f"{name}: nodes with graphs in them cannot be written")
    items = value if isinstance(value, tuple) else (value,)
    _, kind, field, fields, encode = next(row for row in ENCODINGS if all(isinstance(item, row[0]) for item in items))
    if isinstance(value, tuple):
        return {"name": name, fields: [encode(item) for item in items], "type": f"{kind}S"}
    return {"name": name, field: encode(value), "type": kind}


def _float_json(value: float) -> float | str:
    """The shortest number that rounds to the same float32."""
    if math.isfinite(value):
        return float(str(np.float32(value)))
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _base64(value: Any) -> str:
    return base64.b64encode(value.encode() if isinstance(value, str) else value).decode("ascii")


#: The types of an attribute's items: in Python, in the format, the fields for one item and for several, the function to JSON.
ENCODINGS: tuple[tuple[type, str, str, str, Callable[[Any], Any]], ...] = (
    (int, "INT", "i", "ints", str),
    (float, "FLOAT", "f", "floats", _float_json),
    (str, "STRING", "s", "strings", _base64),
)


def _tensor_dict(array: np.ndarray | Weights, name: str = "", data: DataWriter | None = None) -> dict[str, Any]:
    tensor: dict[str, Any] = {"dims": [str(d) for d in array.shape], "data_type": _code(array.dtype, name), "name": name}
    flat = np.ascontiguousarray(array).reshape(-1)
    if flat.dtype.kind == "O":
        if not all(isinstance(s, str) for s in flat):
            raise ModelError(
                f"value {brief(name)}: the format has no number for dtype {array.dtype} with items other than strings"
            )
        return {**tensor, "string_data": [_base64(s) for s in flat]}
    small = DATA_TYPES[tensor["data_type"]].bits
    bits = pack_bits(flat, small) if small else flat.astype(flat.dtype.newbyteorder("<"), copy=False).view(np.uint8)
    if data is None or bits.nbytes < SMALL:
        return {**tensor, "raw_data": _base64(bits.data)}
    entries = [{"key": key, "value": value} for key, value in data.add(bits).items()]
    return {**tensor, "external_data": entries, "data_location": "EXTERNAL"}


def _code(dtype: np.dtype | None, name: str) -> int:
    try:
        return number_of(dtype)
    except ModelError as e:
        raise ModelError(f"value {brief(name)}: {e}") from None


def _info_dict(v: Value, name: str) -> dict[str, Any]:
    if is_sequence(v.dtype):
        element = {"tensor_type": {"elem_type": _code(element_of(v.dtype), name)}}
        return {"name": name, "type": {"sequence_type": {"elem_type": element}}}
    tensor: dict[str, Any] = {"elem_type": _code(v.dtype, name)}
    if v.shape is not None:
        tensor["shape"] = {"dim": [_dim_dict(d) for d in v.shape]}
    return {"name": name, "type": {"tensor_type": tensor}}


def _dim_dict(d: Dim) -> dict[str, str]:
    return {"dim_value": str(d)} if isinstance(d, int) else {"dim_param": d} if d is not None else {}
