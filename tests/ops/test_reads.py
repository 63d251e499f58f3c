"""`Op.reads`, the elements that an element is computed from, compared with what changes if the input does."""

import numpy as np
import pytest

from fastconv.infer_node import infer_node
from fastconv.ops.span import WHOLE, Span

from ..support.nodes import compute, node
from ..support.rng import generator

RNG = generator(__name__)
MAP = (1, 4, 6, 9)
K3 = np.ones((2, 4, 3, 3), np.float32)
BACK = np.ones((4, 2, 3, 3), np.float32)
SCALES = np.float32([1, 1, 2, 1.5])
BATCH_NORM = [np.ones(4, np.float32)] * 4


def resize(**attributes):
    return ("Resize", [MAP, None, SCALES], attributes)


#: operator, operands (a tuple: an input of this shape), attributes, and the input's axes along which it is local
CASES = [
    ("Relu", [MAP], {}, "CHW"),
    ("Clip", [MAP, np.float32(0), np.float32(6)], {}, "CHW"),
    ("Add", [MAP, MAP], {}, "CHW"),
    ("Mul", [(1, 4, 1, 1), MAP], {}, "CHW"),
    ("Mul", [(6, 1), MAP], {}, "HW"),
    ("Sum", [MAP, (9,)], {}, "CHW"),
    ("Where", [np.ones(MAP, bool), MAP, np.zeros(MAP, np.float32)], {}, "CHW"),
    ("Expand", [(4, 1, 9), np.array(MAP)], {}, "CW"),
    ("QuantizeLinear", [MAP, np.float32(0.1)], {}, "CHW"),
    ("BatchNormalization", [MAP, *BATCH_NORM], {}, "CHW"),
    ("LRN", [MAP], {"size": 3}, "HW"),
    ("Conv", [MAP, K3], {}, "HW"),
    ("Conv", [MAP, K3], {"strides": [2, 3], "pads": [1, 0, 2, 1]}, "HW"),
    ("Conv", [MAP, K3], {"dilations": [2, 1], "auto_pad": "SAME_UPPER"}, "HW"),
    ("Conv", [MAP, np.ones((4, 1, 2, 2), np.float32)], {"group": 4, "strides": [3, 3]}, "HW"),
    ("MaxPool", [MAP], {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}, "HW"),
    ("AveragePool", [MAP], {"kernel_shape": [3, 2], "pads": [1, 1, 1, 0]}, "HW"),
    ("GlobalAveragePool", [MAP], {}, ""),
    ("ConvTranspose", [MAP, BACK], {}, "HW"),
    ("ConvTranspose", [MAP, BACK], {"strides": [2, 2], "pads": [1, 1, 0, 1], "output_padding": [1, 0]}, "HW"),
    ("ConvTranspose", [MAP, BACK], {"strides": [3, 4]}, "HW"),  # of the rows of stride 4 some read nothing
    ("ConvTranspose", [MAP, BACK], {"dilations": [2, 2], "pads": [2, 2, 2, 2]}, "HW"),
    ("DeformConv", [MAP, K3, np.zeros((1, 18, 4, 7), np.float32)], {}, ""),
    (*resize(), "HW"),
    (*resize(coordinate_transformation_mode="asymmetric", nearest_mode="floor"), "HW"),
    (*resize(mode="linear"), "HW"),
    (*resize(mode="linear", coordinate_transformation_mode="align_corners"), "HW"),
    ("Resize", [MAP, None, None, np.array([1, 4, 3, 4])], {"mode": "linear", "antialias": 1}, "HW"),
    ("Pad", [MAP, np.array([0, 1, 2, 1, 0, 0, 0, -1])], {}, "CHW"),
    ("Pad", [MAP, np.array([0, 0, 2, 1, 0, 0, 3, 0])], {"mode": "reflect"}, "CHW"),
    ("Pad", [MAP, np.array([0, 0, 2, 0, 0, 0, 1, 0])], {"mode": "wrap"}, "CHW"),
    ("Concat", [MAP, MAP], {"axis": 1}, "CHW"),
    ("Concat", [(1, 4, 2, 9), MAP, MAP], {"axis": 2}, "CHW"),
    ("Slice", [MAP, np.array([1, -1]), np.array([5, -9]), np.array([2, 3]), np.array([2, -3])], {}, "CHW"),
    ("Split", [MAP, np.array([2, 4])], {"axis": 2, "outputs": 2}, "CHW"),
    ("Transpose", [MAP], {"perm": [0, 2, 3, 1]}, "CHW"),
    ("Reshape", [MAP, np.array([1, 2, 2, 6, 9])], {}, "HW"),
    ("Reshape", [(1, 4, 6, 1), np.array([4, 1, 6])], {}, "CH"),
    ("Reshape", [MAP, np.array([4, 54])], {}, "C"),
    ("Flatten", [MAP], {}, ""),
    ("Softmax", [MAP], {"axis": 1}, "HW"),
    ("ReduceMean", [MAP, np.array([1])], {}, "HW"),
    ("ReduceMax", [MAP, np.array([1, 3])], {"keepdims": 0}, "H"),
    ("DepthToSpace", [MAP], {"blocksize": 2}, "HW"),
    ("SpaceToDepth", [(1, 4, 6, 8)], {"blocksize": 2}, "HW"),
    ("InstanceNormalization", [MAP, *BATCH_NORM[:2]], {}, ""),
    ("MatMul", [MAP, np.ones((9, 9), np.float32)], {}, ""),
]


@pytest.mark.parametrize("op_type, operands, attributes, local", CASES)
def test_against_what_changes(op_type, operands, attributes, local):
    made = node(op_type, *operands, **attributes)
    infer_node(made)
    shapes = [v if isinstance(v, tuple) else None for v in operands]
    arrays = [RNG.uniform(1, 1.9, v).astype(np.float32) if isinstance(v, tuple) else v for v in operands]
    found = set()
    for i, shape in enumerate(shapes):
        for axis in range(len(shape or ())):
            changed = [changes(op_type, arrays, attributes, i, axis, j) for j in range(shape[axis])]
            for o, result in enumerate(made.outputs):
                found |= check(made, i, axis, result, [c[o] for c in changed])
    # axes are those of the first operand, aligned at their ends where an operand has fewer
    assert {"NCHW"[a - len(shapes[i]) + 4] for i, a in found} - {"N"} >= set(local)


def changes(op_type, arrays, attributes, i, axis, j):
    """Which elements of the outputs change if index j of an axis of input i is doubled; no weight is negative."""
    other = [a.copy() if k == i else a for k, a in enumerate(arrays)]
    np.moveaxis(other[i], axis, 0)[j] *= 2
    before, after = (compute(op_type, *xs, **attributes) for xs in (arrays, other))
    pair = (before, after) if isinstance(before, tuple) else ((before,), (after,))
    return [a != b for a, b in zip(*pair, strict=True)]


def check(made, i, axis, result, changed):
    """Compare the spans of input i along an axis with what changed; {(i, axis)} if they are spans of an axis of the result."""
    found = set()
    for out, n in enumerate(result.dims):
        seeds = [WHOLE] * len(result.dims)
        seeds[out] = Span(out, np.arange(n, dtype=float), np.arange(n, dtype=float), 1.0)
        span = made.op.reads(made, i, result, seeds)[axis]
        first, last = (np.broadcast_to(e, n) for e in (span.first, span.last))
        for unit in range(n):
            reads = [j for j, c in enumerate(changed) if c.take(unit, out).any()]
            inside = [j for j in range(len(changed)) if first[unit] <= j <= last[unit]]
            if span.axis is None:
                assert set(reads) <= set(inside)
            elif "dilations" in made.op.attributes():  # the first one inside may be in a hole
                assert set(reads) <= set(inside)
                assert len(inside) <= made.op.window(made).extent[out - 2]
            else:
                assert (reads[:1], reads[-1:]) == (inside[:1], inside[-1:]), (out, unit)
        if span.axis is not None:
            found.add((i, axis))
    return found
