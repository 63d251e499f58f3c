"""Operators with graphs as attributes: If, Loop, Scan and SequenceMap.

The last inputs of such a node are the values that its graphs capture from the enclosing graph; they are the last inputs of each
of its graphs. If the condition of an If is constant, the nodes of the branch replace it. All others run by reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..budget import count_round
from ..dtypes import element_of, is_sequence, sequence, sequence_of
from ..errors import ModelError, UnsupportedError
from ..evaluate import evaluate
from ..graph import Dim, Graph, Node, Shape, Subgraph, Value, shape_text
from ..infer_node import infer_node
from .base import REGISTRY, Array, Inferred, Op, Results
from .dims import axis_index, check, check_scalar
from .node_spec import NodeSpec


class WithGraph(Op, abstract=True):
    """An operator with one graph or two as attributes."""

    arity = (1, None)
    output_arity = (1, None)
    needs_all = True
    takes_objects = True


def evaluate_graph(graph: Graph, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The outputs of a graph, computed by references: a round of a loop."""
    count_round()
    arrays = dict(zip(graph.inputs, inputs, strict=True))
    for node in graph.nodes:
        evaluate(node, arrays)  # shapes in the graph are not checked before: the error names the node
    return [arrays[v] if v.constant is None else np.asarray(v.constant) for v in graph.outputs]


def infer_graph(graph: Graph, inputs: Sequence[Value]) -> list[tuple[Shape, Any]]:
    """The shapes and dtypes of a graph's outputs, for inputs with these shapes, dtypes and constants."""
    graph = graph.copy()
    for v, given in zip(graph.inputs, inputs, strict=True):
        v.shape, v.dtype, v.constant = given.shape, given.dtype, given.constant
    for node in graph.nodes:
        infer_node(node)
    return [(v.shape, v.dtype) for v in graph.outputs]


class If(WithGraph):
    """The outputs of one of two branches."""

    control_inputs = (0,)

    then_branch: Subgraph
    else_branch: Subgraph

    def __post_init__(self) -> None:
        fits = len(self.then_branch.inputs) == len(self.else_branch.inputs) == self.then_branch.captured
        check(fits, "a branch: expected no inputs")
        check(len(self.then_branch.outputs) == len(self.else_branch.outputs), "branches: expected equally many outputs")

    def branch(self, condition: np.ndarray) -> Subgraph:
        """The branch to run."""
        check(condition.size == 1, f"condition: expected a scalar, got shape {shape_text(condition.shape)}")
        return self.then_branch if condition.any() else self.else_branch

    def infer(self, condition: Value, *captured: Value) -> Inferred:
        check_scalar(condition, "condition")
        if condition.constant is not None:
            return infer_graph(self.branch(np.asarray(condition.constant)), captured)
        either = []
        for branch in (self.then_branch, self.else_branch):
            try:
                either.append(infer_graph(branch, captured))
            except ModelError:  # a branch for other shapes, which may never run
                either.append([(None, v.dtype) for v in branch.outputs])
        return [(a if a == b else None, s or t) for (a, s), (b, t) in zip(*either, strict=True)]

    def reference(self, condition: Array, *captured: Array) -> Results:
        return tuple(evaluate_graph(self.branch(condition), captured))


def taken_branch(node: Node) -> list[Node] | None:
    """The nodes to replace an If whose condition is constant; None for any other node."""
    if not isinstance(node.op, If) or (condition := node.input(0).constant) is None:
        return None
    branch = node.op.branch(np.asarray(condition)).copy()
    instead: dict[Value, Value | None] = dict(zip(branch.inputs, node.inputs[1:], strict=True))
    for n in branch.nodes:
        n.inputs = [v and instead.get(v, v) for v in n.inputs]
    ends = zip(branch.outputs, node.outputs, strict=False)
    identity = REGISTRY["Identity"]()
    return [*branch.nodes, *(Node(identity, [instead.get(v, v)], [y], node.name, node.where) for v, y in ends if y is not None)]


class Loop(WithGraph):
    """inputs: the most iterations, the condition (each may be left out), and the values carried from iteration to iteration.

    The body reads the number of the iteration, the condition and the carried values; it returns the condition, the carried
    values, and values that the loop stacks along a new first axis.
    """

    arity = (0, None)
    needs_all = False

    body: Subgraph

    @property
    def carried(self) -> int:
        """The number of carried values."""
        return len(self.body.inputs) - 2 - self.body.captured

    def __post_init__(self) -> None:
        check(
            0 <= self.carried < len(self.body.outputs), "body: expected 2 inputs, and an output for each of the others and one"
        )

    def infer(self, most: Value | None = None, condition: Value | None = None, *values: Value) -> Inferred:
        check(len(values) == self.carried + self.body.captured, f"expected {self.carried} carried values")
        carried = [Value(v.name, None, v.dtype) for v in values[: self.carried]]
        number, going = Value("iteration", (), np.dtype(np.int64)), Value("condition", (), np.dtype(bool))
        _, *results = infer_graph(self.body, [number, going, *carried, *values[self.carried :]])
        return [(None, dtype) for _, dtype in results]

    def reference(self, most: Array | None = None, condition: Array | None = None, *values: Array) -> Results:
        state, captured = list(values[: self.carried]), values[self.carried :]
        collected: list[list[np.ndarray]] = [[] for _ in self.body.outputs[1 + self.carried :]]
        going, number = condition is None or bool(condition.any()), 0
        while going and (most is None or number < most.reshape(())):
            condition, *results = evaluate_graph(self.body, [np.array(number), np.array(going), *state, *captured])
            going, number = bool(condition.any()), number + 1
            state = results[: self.carried]
            for items, y in zip(collected, results[self.carried :], strict=True):
                items.append(y)
        return (*state, *map(stack, collected, self.body.outputs[1 + self.carried :]))


def stack(items: list[np.ndarray], value: Value, axis: int = 0) -> np.ndarray:
    """Tensors of one shape along a new axis; if there are none, `value` gives their dtype and what is known of their shape."""
    if not items:
        return np.empty((0, *(d if isinstance(d, int) else 0 for d in value.shape or ())), value.dtype)
    check(len({y.shape for y in items}) == 1, f"{value.name!r} differs in shape from iteration to iteration")
    return np.stack(items, axis_index(axis, items[0].ndim + 1))


class Scan(WithGraph):
    """inputs: initial states, then the tensors to scan. The body reads the states and one slice of each tensor.

    It returns the states, and slices that are stacked to the further results.
    """

    body: Subgraph
    num_scan_inputs: int
    scan_input_axes: tuple[int, ...] | None = None
    scan_input_directions: tuple[int, ...] | None = None
    scan_output_axes: tuple[int, ...] | None = None
    scan_output_directions: tuple[int, ...] | None = None

    @classmethod
    def upgrade(cls, spec: NodeSpec) -> None:
        if spec.opset < 9:
            raise UnsupportedError("the form of opset 8, over batches, is not supported")

    @property
    def states(self) -> int:
        """The number of states."""
        return len(self.body.inputs) - self.num_scan_inputs - self.body.captured

    def __post_init__(self) -> None:
        scanned, collected = self.num_scan_inputs, len(self.body.outputs) - self.states
        check(scanned > 0 and self.states >= 0 and collected >= 0, "body: its inputs and outputs do not fit num_scan_inputs")
        for name, count in (("input", scanned), ("output", collected)):
            for what in ("axes", "directions"):
                given = getattr(self, f"scan_{name}_{what}")
                check(given is None or len(given) == count, f"scan_{name}_{what}: expected {count} values, got {given}")

    def infer(self, *values: Value) -> Inferred:
        states, scanned = values[: self.states], values[self.states : self.states + self.num_scan_inputs]
        captured = values[self.states + self.num_scan_inputs :]
        check(len(captured) == self.body.captured, f"expected {self.states} states and {self.num_scan_inputs} tensors")
        slices: list[Value] = []
        length: Dim = None
        for x, axis in zip(scanned, self.scan_input_axes or (0,) * len(scanned), strict=True):
            shape = x.shape
            if shape is not None:
                i = axis_index(axis, len(shape))
                length, shape = shape[i] if length is None else length, shape[:i] + shape[i + 1 :]
            slices.append(Value(x.name, shape, x.dtype))
        results = infer_graph(self.body, [*states, *slices, *captured])
        out = [(v.shape, dtype) for v, (_, dtype) in zip(states, results, strict=False)]
        axes = self.scan_output_axes or (0,) * (len(results) - self.states)
        for (shape, dtype), axis in zip(results[self.states :], axes, strict=True):
            if shape is not None:
                i = axis_index(axis, len(shape) + 1)
                shape = (*shape[:i], length, *shape[i:])
            out.append((shape, dtype))
        return out

    def reference(self, *values: Array) -> Results:
        state, scanned = list(values[: self.states]), values[self.states : self.states + self.num_scan_inputs]
        captured = values[self.states + self.num_scan_inputs :]
        axes = [axis_index(a, x.ndim) for a, x in zip(self.scan_input_axes or (0,) * len(scanned), scanned, strict=True)]
        back = self.scan_input_directions or (0,) * len(scanned)
        moved = [np.moveaxis(x, a, 0)[:: -1 if b else 1] for x, a, b in zip(scanned, axes, back, strict=True)]
        check(len({len(x) for x in moved}) == 1, f"scanned tensors: expected one length, got {[len(x) for x in moved]}")
        stacked = self.body.outputs[self.states :]
        collected: list[list[np.ndarray]] = [[] for _ in stacked]
        for slices in zip(*moved, strict=True):
            results = evaluate_graph(self.body, [*state, *slices, *captured])
            state = results[: self.states]
            for items, y in zip(collected, results[self.states :], strict=True):
                items.append(y)
        back = self.scan_output_directions or (0,) * len(stacked)
        ordered = [items[:: -1 if b else 1] for items, b in zip(collected, back, strict=True)]
        return (*state, *map(stack, ordered, stacked, self.scan_output_axes or (0,) * len(stacked)))


class SequenceMap(WithGraph):
    """The body for each tensor of a sequence; it also reads the same element of other sequences, and tensors as a whole."""

    body: Subgraph

    def infer(self, *values: Value) -> Inferred:
        own = len(values) - self.body.captured
        check(own > 0 and is_sequence(values[0].dtype), "input_sequence: expected a sequence")
        items = [Value(v.name, None, element_of(v.dtype)) if is_sequence(v.dtype) else v for v in values[:own]]
        return [(None, sequence_of(dtype)) for _, dtype in infer_graph(self.body, [*items, *values[own:]])]

    def reference(self, *values: Array) -> Results:
        own = len(values) - self.body.captured
        results = []
        for i in range(len(values[0])):
            items = [v[i] if v.dtype == object else v for v in values[:own]]
            results.append(evaluate_graph(self.body, [*items, *values[own:]]))
        return tuple(sequence(outputs[k] for outputs in results) for k in range(len(self.body.outputs)))
