"""The shape and dtype of every value, by each operator's own rule."""

from __future__ import annotations

from ..errors import ModelError, UnsupportedError
from ..graph import Dim, Graph, Node, Shape, Value


def infer_shapes(graph: Graph) -> None:
    """Give every value its shape; what the file declares only fills in what the rules leave unknown."""
    for node in graph.nodes:
        for n in node.chain:
            infer_node(n)


def infer_node(node: Node) -> None:
    """Give the outputs of one node their shapes; ModelError names the node."""
    if not node.op.takes_objects and any(v is not None and v.dtype == object for v in node.inputs):
        raise node.error("strings and sequences are not supported by this operator", UnsupportedError)
    try:
        results = node.op.infer(*node.inputs)
    except ModelError as e:
        raise node.error(str(e), type(e)) from None
    for value, (shape, dtype) in zip(node.outputs, results, strict=False):
        if value is not None and value.constant is None:
            value.shape = merge(node, value, shape)
            value.dtype = dtype if dtype is not None else value.dtype


def merge(node: Node, value: Value, shape: Shape) -> Shape:
    """The inferred shape, with what only the declared one says; two sizes that differ are an error."""
    if shape is None or value.shape is None:
        return shape if value.shape is None else value.shape

    def dim(inferred: Dim, declared: Dim) -> Dim:
        if isinstance(inferred, int) and isinstance(declared, int) and inferred != declared:
            raise node.error(f"output {value.name!r} is declared {value.shape}, but its shape is {shape}")
        return inferred if inferred is not None else declared

    if len(shape) != len(value.shape):
        raise node.error(f"output {value.name!r} is declared {value.shape}, but its shape is {shape}")
    return tuple(dim(a, b) for a, b in zip(shape, value.shape, strict=True))
