"""The model format: ONNX's ModelProto as JSON (what `onnx.save(model, "model.json")` writes) to a Graph and back.

A `.onnx` file becomes the same dict first, so there is one way to build a graph. Nothing here trusts the file: sizes are
checked before memory is taken, and every error names the JSON path.
"""

from __future__ import annotations

import base64
import itertools
import json
import math
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypedDict, cast

import numpy as np

from .dtypes import DATA_TYPES, DataType, data_type, element_of, is_sequence, number_of, pack_bits, sequence_of, unpack_bits
from .errors import InputError, ModelError, UnsupportedError
from .external_data import DataFile, DataReader, DataWriter, Origin, write_model
from .graph import Dim, Graph, Node, Shape, Subgraph, Value, node_label
from .ops import REGISTRY, NodeSpec, make_node
from .ops.constant import Constant
from .ops.dims import MAX_RANK
from .ops.matmul import MatMul
from .ops.normalization import LayerNormalization
from .ops.softmax import AlongAxis
from .strict_json import INT64_MAX, Fields, brief, double, enum, integer, parse, raw, single, spellings, string, text
from .weights import Weights

#: What `write` writes: the opset, the operators and attributes that need a newer one, and the IR version of each opset.
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
#: Weights of more bytes than this in all go to a data file, except for tensors of less than SMALL bytes.
INSIDE, SMALL = 1 << 20, 1 << 10
#: Large tensors of these types are read when somebody needs their values.
WEIGHTS = ("FLOAT", "FLOAT16", "BFLOAT16")


# The tables of the format -------------------------------------------------------------------------------------------------

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

#: The types of attributes in the order of their numbers, from 1: the field of each, and how an item of it is read.
#: A tensor and a graph are read with their paths; what else has no reader is not supported.
ATTRIBUTES: dict[str, tuple[str, Callable[[Any], Any] | None]] = {
    "FLOAT": ("f", single),
    "INT": ("i", integer),
    "STRING": ("s", text),
    "TENSOR": ("t", None),
    "GRAPH": ("g", None),  # likewise
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
#: Graphs in nodes of graphs in nodes: no more of them.
MOST_NESTED = 16
#: What an attribute of one number or string is where its field is absent, as protobuf writers may leave it.
ABSENT = {"f": 0.0, "i": 0, "s": ""}


# Reading ------------------------------------------------------------------------------------------------------------------


#: a path, the contents of such a file as bytes (ONNX needs the onnx package, JSON nothing), or what JSON parses to
Source = str | os.PathLike[str] | bytes | Mapping[str, object]


class Reading(TypedDict, total=False):
    """The keywords of `read`."""

    external_dir: str | os.PathLike[str] | None
    follow_links: bool
    max_bytes: int | None


def read(
    source: Source,
    *,
    external_dir: str | os.PathLike[str] | None = None,
    follow_links: bool = False,
    max_bytes: int | None = None,
) -> Graph:
    """The Graph of a model.

    Weights outside the file are looked for in its folder, or in `external_dir`; symbolic links among them are followed only
    with `follow_links`. `max_bytes` bounds the size of the file, and the bytes of all weights together.
    ModelError where the model is wrong, UnsupportedError with every place that uses what fastconv does not implement, and
    OSError where the file cannot be read.
    """
    origin = None
    if isinstance(source, Mapping):
        model = dict(source)
    elif isinstance(source, bytes):
        model, origin = _parse(source), Origin(source, None)
    else:
        path = Path(source)
        if path.is_dir():
            raise ModelError("a folder, not an ONNX model: name the file in it")
        external_dir = path.parent if external_dir is None else external_dir
        with open(path, "rb") as file:
            again = DataFile(os.dup(file.fileno()), repr(str(path))) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None
            data = file.read(-1 if max_bytes is None else max_bytes + 1)
        if max_bytes is not None and len(data) > max_bytes:
            raise ModelError(f"{path} is larger than max_bytes={max_bytes}")
        model = as_dict(parse_onnx(data)) if path.suffix.lower() == ".onnx" else _parse(data)
        origin = Origin(data, again) if again else None
    with DataReader(external_dir, follow_links) as reader:
        return _Reader(reader, max_bytes, origin).model(Fields(model, "", MODEL))


def _parse(data: bytes) -> Any:
    """The dict of a model that is JSON, or ONNX: this begins with its IR version, whose tag is no text."""
    return as_dict(parse_onnx(data)) if data.startswith(b"\x08") else parse_json(data)


def parse_json(data: bytes) -> Any:
    """What the JSON in a file's bytes parses to."""
    try:
        return parse(data)
    except ModelError as e:
        raise _instead(data) or e from None


def parse_onnx(data: bytes) -> Any:
    """The onnx package's ModelProto of a `.onnx` file's bytes."""
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError:
        raise _instead(data) or ModelError("a .onnx file needs the onnx package: pip install 'fastconv[onnx]'") from None
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
        _check_text(model)
    except (DecodeError, UnicodeDecodeError, ModelError) as e:
        raise _instead(data) or ModelError(f"not an ONNX model: {e}") from None
    if not model.HasField("graph"):
        raise _instead(data) or ModelError("not an ONNX model: it has no graph")
    return model


def _instead(data: bytes) -> ModelError | None:
    """The error for a file that is known to be something else."""
    from .file_kinds import not_a_model  # here, as few need it and it takes long to import

    text = not_a_model(data)
    return ModelError(text) if text else None


def _check_text(message: Any) -> None:
    """Refuse text that is not UTF-8: protobuf hands it out as bytes, or raises UnicodeDecodeError."""
    for field, value in message.ListFields():
        items = [value] if isinstance(value, str | bytes) or hasattr(value, "ListFields") else value
        if field.type == field.TYPE_STRING and any(isinstance(item, bytes) for item in items):
            raise ModelError(f"a {field.name} in it is not UTF-8")
        if field.message_type is not None:
            for item in items:
                _check_text(item)


def as_dict(message: Any) -> Any:
    """A protobuf message as the dict that its JSON parses to, except that bytes stay bytes."""
    if hasattr(message, "ListFields"):
        return {field.name: as_dict(value) for field, value in message.ListFields()}
    if isinstance(message, str | bytes | int | float):
        return message
    items = list(message)
    return [as_dict(item) for item in items] if hasattr(items[0], "ListFields") else items


class _Reader:
    """Builds one Graph. All values are known before the nodes are made, so that nodes may stand in any order."""

    def __init__(self, data: DataReader, max_bytes: int | None, origin: Origin | None, around: _Reader | None = None):
        self.data = data
        self.origin = origin
        self.max_bytes = max_bytes
        self.around = around  # the reader of the graph that this one's stands in
        self.depth: int = around.depth + 1 if around else 0
        self.weight_bytes: int = around.weight_bytes if around else 0
        self.opsets: dict[str, int] = around.opsets if around else {}
        self.functions: set[tuple[str, str]] = around.functions if around else set()
        self.unsupported: list[str] = around.unsupported if around else []
        self.values: dict[str, Value] = {}
        self.givers: dict[str, str] = {}
        self.captured: dict[Value, Value] = {}  # what the graph reads of the one around, and its own values for that
        self.captures: dict[Subgraph, dict[Value, Value]] = {}  # the same of each graph in it

    def model(self, model: Fields) -> Graph:
        for entry in model.objects("opset_import", OPSET_IMPORT):
            domain = _domain(entry)
            if domain in self.opsets:
                raise entry.error(f"domain {brief(domain)} is imported twice")
            self.opsets[domain] = entry.get("version", partial(integer, least=1))
        self.functions = {(_domain(f), f.get("name", string)) for f in model.objects("functions", FUNCTION)}
        graph = self.graph(model.object("graph", GRAPH))
        for entry in model.objects("metadata_props", ENTRY):
            key = entry.get("key", string, "")
            if key in graph.metadata:
                raise entry.error(f"key {brief(key)} is there twice")
            graph.metadata[key] = entry.get("value", string, "")
        if self.unsupported:
            raise UnsupportedError("\n  ".join(["the model uses what fastconv does not implement:", *self.unsupported]))
        _check_given(graph)
        graph.sort()
        return graph

    def attempt(self, make: Callable[[Fields], Any], fields: Fields) -> Any:
        """make(fields), or None where that is not supported: `model` reports all such places together."""
        try:
            return make(fields)
        except UnsupportedError as e:
            self.unsupported.append(str(e))
            return None

    def graph(self, graph: Fields) -> Graph:
        for t in graph.objects("initializer", TENSOR):
            self.give(Value(t.get("name", string), constant=self.attempt(self.tensor, t)), t.path)
        for s in graph.objects("sparse_initializer", SPARSE_TENSOR):
            self.unsupported.append(str(s.error("sparse tensors are not supported")))
            self.give(Value(s.object("values", TENSOR).get("name", string)), s.path)
        weights = set(self.values)  # which models of IR version 3 list among the inputs too
        infos = [info for info in graph.objects("input", VALUE_INFO) if info.get("name", string) not in weights]
        inputs = [self.give(self.input(info), info.path) for info in infos]
        nodes = self.nodes(graph)
        outputs = [self.output(info) for info in graph.objects("output", VALUE_INFO)]
        if not outputs:
            raise graph.error("the graph has no outputs")
        if len(set(outputs)) < len(outputs):
            raise graph.error("a value stands there twice", "output")
        return Graph(inputs, outputs, nodes, graph.get("name", string, ""))

    def give(self, value: Value, path: str) -> Value:
        """Enter a value under its name, which only one place of a graph gives."""
        if not value.name:
            raise ModelError(f"{path}: the name is empty")
        if value.name in self.values:
            raise ModelError(f"{path}: {brief(value.name)} is given twice, first by {self.givers[value.name]}")
        self.values[value.name], self.givers[value.name] = value, path
        return value

    def input(self, info: Fields) -> Value:
        declared = None if self.around and not info.has("type") else self.attempt(_declared, info)
        return declared or Value(info.get("name", string))

    def output(self, info: Fields) -> Value:
        value = self.value(info.get("name", string))
        if value.dtype is None and info.has("type") and (declared := self.attempt(_declared, info)):
            value.shape, value.dtype = declared.shape, declared.dtype
        return value

    def value(self, name: str) -> Value:
        """The value of this name. One that nothing gives is found by `_check_given`, with the node that reads it."""
        if name in self.values or self.around is None:
            return self.values.get(name) or Value(name)
        outer = self.around.value(name)
        if outer.constant is None:
            self.values[name] = self.captured[outer] = Value(name, outer.shape, outer.dtype)
        return self.values.get(name, outer)

    def nodes(self, graph: Fields) -> list[Node]:
        pending = []
        for n in graph.objects("node", NODE):
            names = n.list("output", string)
            outputs = [self.give(Value(name), f"{n.path}.output[{i}]") if name else None for i, name in enumerate(names)]
            pending.append((n, outputs))
        # Constants first: they are weights, and the other operators may look at them when they are made.
        pending.sort(key=lambda item: item[0].values.get("op_type") != "Constant")
        nodes: list[Node] = []
        for n, outputs in pending:
            node = self.attempt(partial(self.node, outputs), n)
            if node is None:
                continue
            if isinstance(node.op, Constant):
                value, array = node.outputs[0], _frozen(node.op.reference())
                value.constant, value.shape, value.dtype = array, array.shape, array.dtype
            else:
                nodes.append(node)
        return nodes

    def node(self, outputs: list[Value | None], n: Fields) -> Node:
        op_type, domain, name = n.get("op_type", string), _domain(n), n.get("name", string, "")
        label = node_label(name, outputs)
        if (domain, op_type) in self.functions:
            hint = "a function of the model; onnx.inliner.inline_local_functions puts its nodes in its place"
            raise n.error(f"node {brief(label)} ({brief(op_type)}): {hint}", kind=UnsupportedError)
        if domain not in self.opsets:
            raise n.error(f"node {brief(label)} ({brief(op_type)}): opset_import has no domain {brief(domain)}")
        inputs = [self.value(name) if name else None for name in n.list("input", string)]
        attributes: dict[str, Any] = {}
        for a in n.objects("attribute", ATTRIBUTE):
            key = a.get("name", string)
            if key in attributes:
                raise a.error(f"attribute {brief(key)} is there twice")
            try:
                attributes[key] = self.attribute(a)
            except UnsupportedError as e:
                raise UnsupportedError(f"node {brief(label)} ({brief(op_type)}), {brief(key)}: {e}") from None
        if graphs := [g for g in attributes.values() if isinstance(g, Subgraph)]:
            inputs += self.connect(graphs)
        while inputs and inputs[-1] is None:
            inputs.pop()
        key = f"{domain}::{op_type}" if domain else op_type
        return make_node(NodeSpec(key, attributes, inputs, outputs, self.opsets[domain], name, n.path))

    def connect(self, graphs: list[Subgraph]) -> list[Value]:
        """What the graphs in one node read of the graph around: inputs of them all, and of the node, in one order."""
        read = list(dict.fromkeys(v for g in graphs for v in self.captures[g]))
        for g in graphs:
            g.inputs += [self.captures[g].get(v) or Value(v.name) for v in read]
            g.captured = len(read)
        return read

    def subgraph(self, fields: Fields) -> Subgraph:
        """The graph of an attribute, without the inputs that `connect` gives it."""
        inner = _Reader(self.data, self.max_bytes, self.origin, self)
        if inner.depth > MOST_NESTED:
            raise fields.error(f"more than {MOST_NESTED} graphs one inside the other")
        graph = inner.graph(fields)
        self.weight_bytes = inner.weight_bytes
        if not self.unsupported:
            _check_given(graph, inner.captured.values())
            graph.sort()
        sub = Subgraph(graph)
        self.captures[sub] = inner.captured
        return sub

    def attribute(self, a: Fields) -> Any:
        """An attribute's value: an int, float or str, a tuple of them, an array, or a graph."""
        field, read_item = ATTRIBUTE_FIELDS[a.get("type", partial(enum, ATTRIBUTE_TYPES)) - 1]
        if strays := [f for f in a.values if f in ATTRIBUTE_DATA and f != field and a.has(f)]:
            raise a.error(f"its type says {field!r}, but {strays[0]!r} is set")
        if field == "t":
            return _frozen(np.asarray(self.tensor(a.object("t", TENSOR))))  # in memory, as an operator's attributes are
        if field == "g":
            return self.subgraph(a.object("g", GRAPH))
        if read_item is None:
            raise a.error("this type of attribute is not supported", field, UnsupportedError)
        if field in ABSENT:
            return a.get(field, read_item, ABSENT[field])
        return tuple(a.list(field, read_item))

    def tensor(self, t: Fields) -> np.ndarray:
        """The array of a TensorProto, wherever it keeps its values: read-only, and no larger than what the file holds.

        Large ones of floats that kernels take (WEIGHTS) are Weights that stand for the array.
        """
        dims = t.list("dims", partial(integer, least=0))
        kind, dtype = _data_type(t, "data_type")
        # NumPy has no array, not even an empty one, whose other dimensions multiply to more.
        if len(dims) > MAX_RANK or math.prod(d or 1 for d in dims) * dtype.itemsize > INT64_MAX:
            raise t.error("more elements or dimensions than an array can have", "dims")
        count = math.prod(dims)
        nbytes = kind.nbytes(count)
        self.weight_bytes += nbytes
        if self.max_bytes is not None and self.weight_bytes > self.max_bytes:
            raise t.error(f"with this tensor, the weights are larger than max_bytes={self.max_bytes}")
        fields = [f for f in t.values if f in TENSOR_PLACES and t.has(f)]
        if len(fields) > 1:
            raise t.error(f"both {fields[0]!r} and {fields[1]!r} are set")
        field = fields[0] if fields else "raw_data"
        external = t.get("data_location", partial(enum, DATA_LOCATIONS), 0) == DATA_LOCATIONS["EXTERNAL"]
        if external is not (field == "external_data"):
            raise t.error("data_location EXTERNAL and external_data go together", "data_location")
        if kind.field == "string_data":
            if (field != kind.field and count) or len(texts := t.list("string_data", text)) != count:
                raise t.error(f"a tensor of {kind.name} has its {count} values in string_data", field)
            array = np.array(texts, object)
        elif field in ("raw_data", "external_data"):
            data = self.external(t, dims, kind, nbytes) if external else np.frombuffer(t.get(field, raw, b""), np.uint8)
            if isinstance(data, Weights):
                return cast(np.ndarray, data)
            if data.nbytes != nbytes:
                raise t.error(f"{data.nbytes} bytes, but dims {dims} of {kind.name} take {nbytes}", field)
            if dtype.kind == "b" and data.max(initial=0) > 1:
                raise t.error("a BOOL that is neither 0 nor 1", field)
            if kind.name in WEIGHTS and self.origin and t.has("raw_data"):
                stored = self.origin.stored(t.values["raw_data"], tuple(dims), dtype)
                if stored is not None:
                    return cast(np.ndarray, stored)
            if kind.bits:
                data = unpack_bits(data, kind.bits, count)
            array = np.asarray(data.view(dtype.newbyteorder("<")), dtype)
        elif field == kind.field:
            array = _numbers(t, field, dtype)
            packed = kind.bits in (2, 4)  # an integer is a byte of them; of 6 bits each has its own
            if len(array) != (nbytes if packed else count):
                raise t.error(f"{len(array)} values, but dims are {dims}", field)
            if packed:
                array = unpack_bits(array.view(np.uint8), kind.bits, count).view(dtype)
        else:
            raise t.error(f"a tensor of {kind.name} does not keep its values there", field)
        return _frozen(array.reshape(dims))

    def external(self, t: Fields, dims: list[int], kind: DataType, nbytes: int) -> np.ndarray | Weights:
        """A tensor of a data file: its bytes, or what stands for it."""
        entries: dict[str, str] = {}
        for entry in t.objects("external_data", ENTRY):
            key = entry.get("key", string)
            if key in entries:
                raise entry.error(f"key {brief(key)} is there twice")
            entries[key] = entry.get("value", string, "")
        try:
            stored = self.data.stored(entries, tuple(dims), kind.dtype) if kind.name in WEIGHTS else None
            return self.data.read(entries, nbytes) if stored is None else stored
        except ModelError as e:
            raise t.error(str(e), "external_data") from None


def _check_given(graph: Graph, captured: Iterable[Value] = ()) -> None:
    given = {*graph.inputs, *graph.producers(), *captured}
    for n in graph.nodes:
        for v in n.inputs:
            if v is not None and v.constant is None and v not in given:
                raise n.error(f"it reads {brief(v.name)}, which nothing gives")
            if v is not None and v in n.outputs:
                raise n.error(f"it reads its own result {brief(v.name)}")
    for v in graph.outputs:
        if v.constant is None and v not in given:
            raise ModelError(f"graph.output: nothing gives {brief(v.name)}")


def _domain(fields: Fields) -> str:
    name = fields.get("domain", string, "")
    return "" if name == "ai.onnx" else name


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def _declared(info: Fields) -> Value:
    """A Value with the name, shape and dtype that a ValueInfo states; of an optional, what it is when it is there."""
    kind = info.object("type", TYPE)
    if kind.has("optional_type"):
        kind = kind.object("optional_type", ELEM_TYPE).object("elem_type", TYPE)
    if many := kind.has("sequence_type"):
        kind = kind.object("sequence_type", ELEM_TYPE).object("elem_type", TYPE)
    if not kind.has("tensor_type"):
        raise kind.error("only tensors and sequences of them are supported", kind=UnsupportedError)
    tensor = kind.object("tensor_type", TENSOR_TYPE)
    _, dtype = _data_type(tensor, "elem_type")
    if many:
        return Value(info.get("name", string), None, sequence_of(dtype))
    shape: Shape = None
    if "shape" in tensor.values:
        shape = tuple(map(_dim, tensor.object("shape", SHAPE).objects("dim", DIM)))
        if len(shape) > MAX_RANK:
            raise tensor.error(f"more than {MAX_RANK} dimensions", "shape")
    return Value(info.get("name", string), shape, dtype)


def _dim(d: Fields) -> Dim:
    """A size, a symbol, or None for a size that is not known.

    The last has many spellings: nothing, 0, -1, "?", "None", "unk__3" (made up by shape inference, tf2onnx and others), and
    formulas. The format asks that a symbol be an identifier; what is none says nothing of where it stands twice.
    """
    if d.has("dim_value") and d.has("dim_param"):
        raise d.error("both 'dim_value' and 'dim_param' are set")
    size, symbol = d.get("dim_value", integer, 0), d.get("dim_param", string, "")
    if size > 0:
        return size
    return symbol if symbol.isidentifier() and symbol != "None" and not symbol.startswith("unk__") else None


def _data_type(fields: Fields, key: str) -> tuple[DataType, np.dtype]:
    code = fields.get(key, integer)
    try:
        kind = data_type(code)
        return kind, kind.dtype
    except ModelError as e:
        raise fields.error(str(e), key, type(e)) from None


def _numbers(t: Fields, field: str, dtype: np.dtype) -> np.ndarray:
    """A tensor's values from a list of numbers: small floats and bools are there as integers with their bits."""
    if field in ("float_data", "double_data"):
        numbers = np.array(t.list(field, double), np.float64)
        with np.errstate(over="ignore"):
            array = numbers.astype(dtype)
        if (beyond := np.isinf(array) & np.isfinite(numbers)).any():
            i = int(beyond.argmax())
            raise t.error(f"expected a number in {dtype}'s range, got {numbers[i]}", f"{field}[{i}]")
        return array
    storage = dtype if dtype.kind in "iu" else np.dtype(f"u{dtype.itemsize}")
    bounds = np.iinfo(storage)
    most = 1 if dtype.kind == "b" else int(bounds.max)
    return np.array(t.list(field, partial(integer, least=int(bounds.min), most=most)), storage).view(dtype)


# Writing ------------------------------------------------------------------------------------------------------------------


def write(graph: Graph, path: str | os.PathLike[str]) -> None:
    """Write a graph as a JSON model; weights of more than about 1 MB go to a file beside it, named `path` + ".data".

    What passes fused is written as the nodes it came from. No half-written file is left, whatever happens, and links are
    replaced, not followed. ModelError where a value's dtype is not known or has no number in the format.
    """
    path = Path(path)
    if path.suffix.lower() == ".onnx":
        raise InputError(f"{path}: a graph is written as .json, of which fastconv.convert makes .onnx")
    data = DataWriter(f"{path.name}.data")
    write_model(path, to_json(_model_dict(graph, data)), data)


def to_json(model: dict[str, Any]) -> bytes:
    """The text of a model's dict."""
    return json.dumps(model, indent=2, allow_nan=False).encode("ascii") + b"\n"


def _model_dict(graph: Graph, data: DataWriter) -> dict[str, Any]:
    nodes = [new for n in graph.nodes for old in n.chain for new in _spelled_out(old)]
    given = {v for n in nodes for v in n.outputs}
    values = dict.fromkeys(v for n in nodes for v in (*n.inputs, *n.outputs) if v is not None)
    names = _names([*graph.inputs, *graph.outputs, *values])
    weights = [(name, v.constant) for v, name in names.items() if v.constant is not None and v not in given]
    outside = sum(array.nbytes for _, array in weights) > INSIDE
    opset = _opset(nodes)
    opsets = {"": opset, **{n.op.domain: 1 for n in nodes if n.op.domain}}
    return {
        "ir_version": str(IR_VERSIONS[opset]),
        "producer_name": "fastconv",
        "graph": {
            "node": [_node_dict(n, names) for n in nodes],
            "name": graph.name or "graph",
            "initializer": [_tensor_dict(array, name, data if outside else None) for name, array in weights],
            "input": [_info_dict(v, names[v]) for v in graph.inputs],
            "output": [_info_dict(v, names[v]) for v in graph.outputs],
        },
        "opset_import": [{"domain": domain, "version": str(version)} for domain, version in opsets.items()],
        "metadata_props": [{"key": key, "value": value} for key, value in graph.metadata.items()],
    }


def _names(values: Iterable[Value]) -> dict[Value, str]:
    """A name for each value, its own where that is free."""
    names: dict[Value, str] = {}
    taken: set[str] = set()
    for v in values:
        if v in names:
            continue
        tries = (f"{v.name}.{i}" if i else v.name for i in itertools.count(0 if v.name else 1))
        names[v] = next(name for name in tries if name not in taken)
        taken.add(names[v])
    return names


def _spelled_out(n: Node) -> list[Node]:
    """The node in operators of today, of which what has an attribute that is not the standard's is none."""
    if isinstance(n.op, AlongAxis) and n.op.joint:
        return _softmax_of_rows(n)
    if isinstance(n.op, LayerNormalization) and n.op.alone:
        return _layer_norm_of_last(n)
    if isinstance(n.op, MatMul):
        return _plain_matmul(n)
    return [n]


def _softmax_of_rows(n: Node) -> list[Node]:
    """A Softmax over several axes together is one over the rows of a matrix."""
    assert isinstance(n.op, AlongAxis)
    x, y = n.inputs[0], n.outputs[0]
    rows, result, shape = (Value(f"{n.label}.{name}") for name in ("rows", "result", "shape"))
    steps: list[tuple[str, dict[str, int], list[Value | None], Value | None]] = [
        ("Flatten", {"axis": n.op.axis}, [x], rows),
        (type(n.op).__name__, {}, [rows], result),
        ("Shape", {}, [x], shape),
        ("Reshape", {"allowzero": 1}, [result, shape], y),
    ]
    return [Node(REGISTRY[op](**attributes), inputs, [output]) for op, attributes, inputs, output in steps]


def _layer_norm_of_last(n: Node) -> list[Node]:
    """A LayerNormalization over one axis that is not the last is one over the last, between Transposes."""
    x, y = n.inputs[0], n.outputs[0]
    assert x is not None and x.shape is not None and y is not None and isinstance(n.op, LayerNormalization)
    (axis,), rank = n.op.axes(len(x.shape)), len(x.shape)
    there = (*(i for i in range(rank) if i != axis), axis)
    back = tuple(there.index(i) for i in range(rank))
    last, result = Value(f"{n.label}.last"), Value(f"{n.label}.result")
    operands = [
        Value(v.name, constant=v.constant.reshape(-1)) for v in n.inputs[1:] if v is not None and v.constant is not None
    ]
    op = REGISTRY["LayerNormalization"](epsilon=n.op.epsilon, stash_type=n.op.stash_type)
    return [
        Node(REGISTRY["Transpose"](perm=there), [x], [last]),
        Node(op, [last, *operands], [result]),
        Node(REGISTRY["Transpose"](perm=back), [result], [y]),
    ]


def _plain_matmul(n: Node) -> list[Node]:
    """A MatMul with Transposes, a Mul and an Add for what it has beyond the standard's."""
    assert isinstance(n.op, MatMul)
    nodes: list[Node] = []

    def add(kind: str, *inputs: Value | None, **attributes: Any) -> Value:
        nodes.append(Node(REGISTRY[kind](**attributes), inputs, [Value(f"{n.label}.{kind.lower()}")]))
        return nodes[-1].results[0]

    a, b, bias = (*n.inputs, None)[:3]
    y = add("MatMul", *(v if p is None else add("Transpose", v, perm=p) for v, p in ((a, n.op.perm_a), (b, n.op.perm_b))))
    if n.op.alpha != 1:
        y = add("Mul", y, Value(f"{n.label}.alpha", constant=np.array(n.op.alpha, np.float32)))
    if bias is not None:
        y = add("Add", y, bias)
    if n.op.perm_y is not None:
        add("Transpose", y, perm=n.op.perm_y)
    nodes[-1].outputs = n.outputs
    return nodes


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
    """The shortest number that is the same float32."""
    if math.isfinite(value):
        return float(str(np.float32(value)))
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _base64(value: Any) -> str:
    return base64.b64encode(value.encode() if isinstance(value, str) else value).decode("ascii")


#: The types of an attribute's items: in Python, as the format names them, the fields for one and for several, and their JSON.
ENCODINGS: tuple[tuple[type, str, str, str, Callable[[Any], Any]], ...] = (
    (int, "INT", "i", "ints", str),
    (float, "FLOAT", "f", "floats", _float_json),
    (str, "STRING", "s", "strings", _base64),
)


def _tensor_dict(array: np.ndarray, name: str = "", data: DataWriter | None = None) -> dict[str, Any]:
    tensor: dict[str, Any] = {"dims": [str(d) for d in array.shape], "data_type": _code(array.dtype, name), "name": name}
    flat = np.ascontiguousarray(array).reshape(-1)
    if flat.dtype.kind == "O":
        if not all(isinstance(s, str) for s in flat):
            raise ModelError(
                f"value {brief(name)}: the format has no number for dtype {array.dtype} of other things than strings"
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
