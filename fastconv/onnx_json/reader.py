"""Building the Graph of a model from its parsed JSON. Every error names the JSON path."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

from ..errors import ModelError, UnsupportedError
from ..graph import Graph, Node, Subgraph, Value, node_label
from ..ops import NodeSpec, make_node
from ..ops.constant import Constant
from ..strict_json import Fields, brief, enum, integer, string
from .format import (
    ABSENT,
    ATTRIBUTE,
    ATTRIBUTE_DATA,
    ATTRIBUTE_FIELDS,
    ATTRIBUTE_TYPES,
    ENTRY,
    FUNCTION,
    GRAPH,
    MOST_NESTED,
    NODE,
    OPSET_IMPORT,
    SPARSE_TENSOR,
    TENSOR,
    VALUE_INFO,
)
from .tensors import TensorReader, frozen
from .value_info import declared_value


class GraphReader:
    """Builds one Graph; the graphs inside its nodes have readers of their own.

    All values are entered before the first node is made, so nodes may be listed in any order.
    """

    def __init__(self, tensors: TensorReader, around: GraphReader | None = None):
        self.tensors = tensors
        self.around = around  # the reader of the enclosing graph
        self.depth: int = around.depth + 1 if around else 0
        self.opsets: dict[str, int] = around.opsets if around else {}
        self.functions: set[tuple[str, str]] = around.functions if around else set()
        self.unsupported: list[str] = around.unsupported if around else []
        self.values: dict[str, Value] = {}
        self.sources: dict[str, str] = {}  # the JSON path that defines each value
        self.captured: dict[Value, Value] = {}  # values of the enclosing graph that this one reads -> its own values for them
        self.captures: dict[Subgraph, dict[Value, Value]] = {}  # the same for each graph inside this one

    def model(self, model: Fields) -> Graph:
        """The Graph of a ModelProto."""
        for entry in model.objects("opset_import", OPSET_IMPORT):
            domain = domain_of(entry)
            if domain in self.opsets:
                raise entry.error(f"domain {brief(domain)} is imported twice")
            self.opsets[domain] = entry.get("version", partial(integer, least=1))
        self.functions = {(domain_of(f), f.get("name", string)) for f in model.objects("functions", FUNCTION)}
        graph = self.graph(model.object("graph", GRAPH))
        for entry in model.objects("metadata_props", ENTRY):
            key = entry.get("key", string, "")
            if key in graph.metadata:
                raise entry.error(f"key {brief(key)} appears twice")
            graph.metadata[key] = entry.get("value", string, "")
        if self.unsupported:
            raise UnsupportedError("\n  ".join(["the model uses what fastconv does not implement:", *self.unsupported]))
        _check_defined(graph)
        graph.sort()
        return graph

    def attempt(self, make: Callable[[Fields], Any], fields: Fields) -> Any:
        """make(fields), or None if it is not supported: `model` reports all such places together."""
        try:
            return make(fields)
        except UnsupportedError as e:
            self.unsupported.append(str(e))
            return None

    def graph(self, graph: Fields) -> Graph:
        """The Graph of a GraphProto, its nodes in the order of the file."""
        for t in graph.objects("initializer", TENSOR):
            self.enter(Value(t.get("name", string), constant=self.attempt(self.tensors.read, t)), t.path)
        for s in graph.objects("sparse_initializer", SPARSE_TENSOR):
            self.unsupported.append(str(s.error("sparse tensors are not supported")))
            self.enter(Value(s.object("values", TENSOR).get("name", string)), s.path)
        weights = set(self.values)  # models of IR version 3 list them among the inputs too
        infos = [info for info in graph.objects("input", VALUE_INFO) if info.get("name", string) not in weights]
        inputs = [self.enter(self.input(info), info.path) for info in infos]
        nodes = self.nodes(graph)
        outputs = [self.output(info) for info in graph.objects("output", VALUE_INFO)]
        if not outputs:
            raise graph.error("the graph has no outputs")
        if len(set(outputs)) < len(outputs):
            raise graph.error("a value is listed twice", "output")
        return Graph(inputs, outputs, nodes, graph.get("name", string, ""), self.tensors.budget)

    def enter(self, value: Value, path: str) -> Value:
        """Enter a value under its name, which only one place of a graph may define."""
        if not value.name:
            raise ModelError(f"{path}: the name is empty")
        if value.name in self.values:
            raise ModelError(f"{path}: {brief(value.name)} is defined twice, first by {self.sources[value.name]}")
        self.values[value.name], self.sources[value.name] = value, path
        return value

    def input(self, info: Fields) -> Value:
        """The value of an input; inside a node, its type may be left out."""
        declared = None if self.around and not info.has("type") else self.attempt(declared_value, info)
        return declared or Value(info.get("name", string))

    def output(self, info: Fields) -> Value:
        """The value of an output, with the declared type if no node has given it one."""
        value = self.value(info.get("name", string))
        if value.dtype is None and info.has("type") and (declared := self.attempt(declared_value, info)):
            value.shape, value.dtype = declared.shape, declared.dtype
        return value

    def value(self, name: str) -> Value:
        """The value of this name, here or in an enclosing graph. `_check_defined` finds names that nothing defines."""
        if name in self.values or self.around is None:
            return self.values.get(name) or Value(name)
        outer = self.around.value(name)
        if outer.constant is None:
            self.values[name] = self.captured[outer] = Value(name, outer.shape, outer.dtype)
        return self.values.get(name, outer)

    def nodes(self, graph: Fields) -> list[Node]:
        """The nodes, without those that are Constants: their values become constant."""
        pending = []
        for n in graph.objects("node", NODE):
            names = n.list("output", string)
            outputs = [self.enter(Value(name), f"{n.path}.output[{i}]") if name else None for i, name in enumerate(names)]
            pending.append((n, outputs))
        # Constants first: the other operators may look at their values when they are made.
        pending.sort(key=lambda item: item[0].values.get("op_type") != "Constant")
        nodes: list[Node] = []
        for n, outputs in pending:
            node = self.attempt(partial(self.node, outputs), n)
            if node is None:
                continue
            if isinstance(node.op, Constant):
                value, array = node.outputs[0], frozen(node.op.reference())
                value.constant, value.shape, value.dtype = array, array.shape, array.dtype
            else:
                nodes.append(node)
        return nodes

    def node(self, outputs: list[Value | None], n: Fields) -> Node:
        """The Node of a NodeProto, upgraded to the newest opset."""
        op_type, domain, name = n.get("op_type", string), domain_of(n), n.get("name", string, "")
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
                raise a.error(f"attribute {brief(key)} appears twice")
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
        """The values that the graphs of one node read of this graph: inputs of each of them, and of the node, in one order."""
        read = list(dict.fromkeys(v for g in graphs for v in self.captures[g]))
        for g in graphs:
            g.inputs += [self.captures[g].get(v) or Value(v.name) for v in read]
            g.captured = len(read)
        return read

    def subgraph(self, fields: Fields) -> Subgraph:
        """The graph of an attribute; `connect` adds the inputs that it captures."""
        inner = GraphReader(self.tensors, self)
        if inner.depth > MOST_NESTED:
            raise fields.error(f"more than {MOST_NESTED} graphs one inside the other")
        graph = inner.graph(fields)
        if not self.unsupported:
            _check_defined(graph, inner.captured.values())
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
            return frozen(np.asarray(self.tensors.read(a.object("t", TENSOR))))  # attributes are always in memory
        if field == "g":
            return self.subgraph(a.object("g", GRAPH))
        if read_item is None:
            raise a.error("this type of attribute is not supported", field, UnsupportedError)
        if field in ABSENT:
            return a.get(field, read_item, ABSENT[field])
        return tuple(a.list(field, read_item))


def _check_defined(graph: Graph, captured: Iterable[Value] = ()) -> None:
    """ModelError if a node or an output reads a value that no input, node or enclosing graph defines."""
    defined = {*graph.inputs, *graph.producers(), *captured}
    for n in graph.nodes:
        for v in n.inputs:
            if v is not None and v.constant is None and v not in defined:
                raise n.error(f"it reads {brief(v.name)}, which nothing defines")
            if v is not None and v in n.outputs:
                raise n.error(f"it reads its own result {brief(v.name)}")
    for v in graph.outputs:
        if v.constant is None and v not in defined:
            raise ModelError(f"graph.output: nothing defines {brief(v.name)}")


def domain_of(fields: Fields) -> str:
    """The domain of a node or function; the standard's own has two spellings."""
    name = fields.get("domain", string, "")
    return "" if name == "ai.onnx" else name
