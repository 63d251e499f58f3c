"""Nodes made by hand: a tuple is an input of that shape (float32), an array a constant, None an input left out."""

from __future__ import annotations

import numpy as np

from fastconv.graph import Node, Value
from fastconv.ops import NodeSpec, make_node

NEWEST = 22


def value(name, given):
    if given is None or isinstance(given, Value):
        return given
    if isinstance(given, tuple):
        return Value(name, given, np.dtype(np.float32))
    return Value(name, constant=np.asarray(given))


def node(op_type, *inputs, opset=NEWEST, outputs=1, **attributes) -> Node:
    ins = [value(f"in{i}", x) for i, x in enumerate(inputs)]
    return make_node(NodeSpec(op_type, attributes, ins, [Value(f"out{i}") for i in range(outputs)], opset))


def infer(op_type, *inputs, **kw):
    """The inferred shape of the first output."""
    made = node(op_type, *inputs, **kw)
    return made.op.infer(*made.inputs)[0][0]


def compute(op_type, *arrays, **kw):
    """The reference's outputs for constant inputs: one array, or a tuple."""
    made = node(op_type, *arrays, **kw)
    with np.errstate(all="ignore"):
        return made.op.reference(*(None if v is None else v.constant for v in made.inputs))
