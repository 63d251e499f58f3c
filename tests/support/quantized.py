"""Quantized nodes for the tests of kernels: an operator between DequantizeLinear and QuantizeLinear, fused as passes do it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastconv import kernels
from fastconv.graph import Graph, Node, Value
from fastconv.implementations import IMPLEMENTATIONS
from fastconv.infer_node import infer_node
from fastconv.ops.binary import Add
from fastconv.ops.quantize import DequantizeLinear, QuantizeLinear
from fastconv.plan import Target, build
from fastconv.plan.select import Selection
from fastconv.reference import run_references

from .harness import THREADS, WITH_BLOCK, Block, run_plan, same_bits


class Quantized(NamedTuple):
    """An operand: integers, scale and zero point (scalars, or arrays along `axis`).

    `constant`: not an input of the graph; `blocked`: with channels last, as a kernel in front of the node would give it.
    """

    array: np.ndarray
    scale: object = 1.0
    zero: object = 0
    axis: int = 0
    constant: bool = False
    blocked: bool = False


def quantized_graph(op, operands, result, *, between=None, residual=None, activations=()):
    """(Graph of one quantized node, the arrays of its inputs).

    operands: Quantized each, a constant that is not, or None; result and `between`: (scale, zero point) of uint8; `between` of
    the sums before the residual, a Quantized; activations: operators before the last QuantizeLinear, or tuples of one and its
    constants. The result stays float if it is None.
    """
    inputs, arrays, nodes, prologue = [], [], [], []

    def parameters(name, scale, zero, dtype):
        scale = np.asarray(scale, np.float32)
        return [
            Value(f"{name}.scale", constant=scale),
            Value(f"{name}.zero", constant=np.broadcast_to(zero, scale.shape).astype(dtype)),
        ]

    def floats(name, q):
        if q is None or isinstance(q, np.ndarray):
            return None if q is None else Value(name, constant=q)
        x = Value(name, constant=q.array) if q.constant else Value(name, q.array.shape, q.array.dtype)
        if not q.constant:
            inputs.append(x)
            arrays.append(q.array)
        if q.blocked:
            nodes.append(Node(Block(), [x], [Value(f"{name}.blocked", x.shape, x.dtype)]))
            x = nodes[-1].outputs[0]
        y = Value(f"{name}.floats")
        prologue.append(Node(DequantizeLinear(axis=q.axis), [x, *parameters(name, q.scale, q.zero, q.array.dtype)], [y]))
        return y

    node = Node(op, [floats(f"x{i}", q) for i, q in enumerate(operands)], [Value("y")], "node")
    added = floats("r", residual)
    node.prologue = prologue

    def then(op, *others):
        node.epilogue.append(Node(op, [node.results[0], *others], [Value(f"e{len(node.epilogue)}")]))

    if between is not None:
        then(QuantizeLinear(), *parameters("between", *between, np.uint8))
        then(DequantizeLinear(), *parameters("between", *between, np.uint8))
    if added is not None:
        then(Add(), added)
    for activation in activations:
        act, *constants = activation if isinstance(activation, tuple) else (activation,)
        then(act, *(Value(f"c{i}", constant=np.asarray(c)) for i, c in enumerate(constants)))
    if result is not None:
        then(QuantizeLinear(), *parameters("y", *result, np.uint8))
    for n in node.chain:
        infer_node(n)
    return Graph(inputs, node.results, [*nodes, node]), arrays


def run_quantized(graph, arrays, isa, threads=THREADS, algorithm=None, python=False, guard=None):
    """(the output, the plan), after checking that all numbers of threads give the same bits."""
    plan = build(graph.copy(), Target(WITH_BLOCK, kernels.load(isa), max(threads), algorithm=algorithm, pieces=2), {})
    assert python or not plan.python_steps, str(plan)
    (first,) = run_plan(plan, arrays, threads[-1], guard)
    for count in threads[:-1]:
        (other,) = run_plan(plan, arrays, count, guard)
        assert same_bits(first, other), f"{count} threads differ from {threads[-1]}"
    return first, plan


def refusal(graph, name, isa):
    """Why the implementation of this name refuses the last node of a graph, with row-major operands; None if it takes it."""
    node = graph.nodes[-1]
    target = Target(IMPLEMENTATIONS, kernels.load(isa), 1)
    (implementation,) = (i for i in IMPLEMENTATIONS[type(node.op)] if i.name == name)
    return implementation.refusal(node, Selection(target))


def expected(graph, arrays):
    """What the operator gives between the nodes around it, by their references."""
    return run_references(graph, arrays)[0]


def products(op, operands, result, *, between=None, residual=None, relu=False):
    """The bytes that kernels promise for sums of products, by the rule of integers: exact sums, each operation rounded once."""
    x, w, bias = [*operands, None][:3]
    float64 = [(q.array.astype(np.int64) - spread(q.zero, q)).astype(np.float64) for q in (x, w)]
    sums = op.reference(*float64).astype(np.int64)
    axis = -1 if sums.ndim == 2 else 1
    if bias is not None:
        sums += spread_along(bias.array.astype(np.int64), sums, axis)
    scale, zero = result
    first = np.float32((between or result)[0])
    factor = (np.float32(x.scale) * np.asarray(w.scale, np.float32) / first).astype(np.float32)
    y = sums.astype(np.int32).astype(np.float32) * spread_along(factor, sums, axis)
    if between is not None:
        y = np.clip(np.rint(y), -between[1], 255 - between[1]) * (first / np.float32(scale))
    if residual is not None:
        y = y + (residual.array.astype(np.float32) - residual.zero) * (np.float32(residual.scale) / np.float32(scale))
    return np.clip(np.rint(y) + zero, zero if relu else 0, 255).astype(np.uint8)


def spread(v, q):
    """A zero point, or one for each index of the operand's axis, in a shape that broadcasts to the operand."""
    v = np.asarray(v, np.int64)
    return v if v.ndim == 0 else spread_along(v, q.array, q.axis)


def spread_along(v, y, axis):
    """One number, or one for each index of an axis of y, in a shape that broadcasts to y."""
    v = np.asarray(v)
    return v if v.size == 1 else v.reshape([-1 if i == axis % y.ndim else 1 for i in range(y.ndim)])
