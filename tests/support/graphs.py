"""Graphs built by hand, one node a call.

    net = Net()
    x = net.input("x", "N", 3, 8, 8)
    graph = net.graph(net("Relu", net("Conv", x, w, pads=(1, 1, 1, 1))))

The tests of the graph, the passes, the plan and the model share them.
"""

import numpy as np
from hypothesis import strategies as st

from fastconv.graph import Graph, Node, Value
from fastconv.ops import REGISTRY
from fastconv.passes.infer_shapes import infer_node


class Net:
    """A graph in the making. Arrays and numbers among a node's operands become constants."""

    def __init__(self):
        self.inputs, self.nodes = [], []

    def input(self, name, *shape, dtype=np.float32):
        self.inputs.append(Value(name, shape, np.dtype(dtype)))
        return self.inputs[-1]

    def __call__(self, op, *operands, results=1, name="", **attributes):
        """The result of a node (a list of them, if several), named like the operator and numbered."""
        label = name or f"{op.lower()}{len(self.nodes)}"

        def value(i, operand):
            if operand is None or isinstance(operand, Value):
                return operand
            array = np.asarray(operand, None if isinstance(operand, np.ndarray) else np.float32)
            return Value(f"{label}.{i}", constant=array)

        outputs = [Value(f"{label}.{i}" if i else label) for i in range(results)]
        node = Node(REGISTRY[op](**attributes), [value(i, o) for i, o in enumerate(operands)], outputs, label)
        infer_node(node)
        self.nodes.append(node)
        return outputs[0] if results == 1 else outputs

    def graph(self, *outputs):
        return Graph(self.inputs, outputs, self.nodes, "net")


def ops(graph):
    """The operators in order, a fused node's joined: ["Conv+Add+Relu", "MaxPool"]."""
    return ["+".join(type(n.op).__name__ for n in node.chain) for node in graph.nodes]


def in_type(graph, dtype, was=np.float32):
    """The graph with all float32 values, or those of another dtype, in a given one."""
    graph = graph.copy()
    for v in graph.values():
        if v.dtype == was:
            v.dtype = np.dtype(dtype)
            if v.constant is not None:
                v.constant = np.asarray(v.constant).astype(dtype)
    return graph


def normal(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def powers(rng, *shape):
    """Powers of two, of either sign: products with them are exact."""
    return (2.0 ** rng.integers(-1, 2, shape) * rng.choice([-1, 1], shape)).astype(np.float32)


def eighths(rng, *shape):
    """Multiples of 1/8 between -1 and 1: sums of them are exact."""
    return (rng.integers(-8, 9, shape) / 8).astype(np.float32)


@st.composite
def networks(draw):
    """(graph, shape of its input "x"): a small network of maps, with branches, constants of all forms and one to three outputs.

    What passes fold into weights are powers of two and small multiples of 1/8: folding rounds nothing.
    """
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 5)), draw(st.integers(4, 7)), draw(st.integers(4, 7)))
    net = Net()
    hidden = draw(st.sets(st.sampled_from([0, 2, 3])))
    x = net.input("x", *("NCHW"[i] if i in hidden else d for i, d in enumerate(shape)))
    values = [x]
    for _ in range(draw(st.integers(3, 12))):
        v = draw(st.sampled_from(values[-3:]))
        kind = draw(st.sampled_from(sorted(LAYERS)))
        same = [o for o in values if o.shape == v.shape and o is not v]
        other = draw(st.sampled_from(same)) if same else v
        values.append(LAYERS[kind](net, rng, v, other))
    more = draw(st.lists(st.sampled_from(values), max_size=2))
    return net.graph(*dict.fromkeys([values[-1], *more])), shape


def _conv(net, rng, v, other, group=1, kernel=3, bias=True):
    C = v.shape[1]
    OC, group = (C, C) if group > 1 else (int(rng.integers(1, 6)), 1)
    w = normal(rng, OC, C // group, kernel, kernel) / np.float32((C // group * kernel * kernel) ** 0.5)
    return net("Conv", v, w, *([eighths(rng, OC)] if bias else []), pads=(kernel // 2,) * 4, group=group)


def _transpose(net, rng, v, other):
    OC = int(rng.integers(1, 4))
    return net("ConvTranspose", v, normal(rng, v.shape[1], OC, 3, 3) / 4, pads=(1, 1, 1, 1))


def _norm(net, rng, v, other):
    C = v.shape[1]
    gamma, beta, mean, root = powers(rng, C), eighths(rng, C), eighths(rng, C), powers(rng, C)
    return net("BatchNormalization", v, gamma, beta, mean, root * root, epsilon=0.0)


def _constant(op, first=False):
    def layer(net, rng, v, other):
        form = [(), (1,), (1, 1, 1), (v.shape[1], 1, 1), (1, v.shape[1], 1, 1)][rng.integers(5)]
        c = powers(rng, *form) if op in ("Mul", "Div") else eighths(rng, *form)
        return net(op, c, v) if first else net(op, v, c)

    return layer


def _hard_swish(net, rng, v, other):
    gate = net("Clip", net("Add", v, 3.0), 0.0, 6.0)
    if rng.integers(2):
        return net("Div", net("Mul", v, gate), 6.0)
    return net("Mul", net("Div", gate, 6.0), v)


def _padded_conv(net, rng, v, other):
    padded = net("Pad", v, np.int64([0, 0, 1, 0, 0, 0, 1, 1]))
    return net("Conv", padded, normal(rng, 3, v.shape[1], 3, 3) / 4, pads=(0, 1, 0, 0))


def _concat(net, rng, v, other):
    """A Concat whose operands begin at a block of channels or in the middle of one."""
    w = normal(rng, int(rng.choice([16, 20])), v.shape[1], 1, 1)
    wide = net("Conv", other if other.shape == v.shape else v, w)
    constant = [eighths(rng, v.shape[0], 2, *v.shape[2:])] if known(v) else []
    return net("Concat", wide, v, *constant, axis=1)


def _split(net, rng, v, other):
    C = v.shape[1]
    at = min(int(rng.choice([1, 16])), C)
    parts = net("Split", v, np.int64([at, C - at]), axis=1, results=2) if at < C else [v]
    return parts[-1]


def _slice(net, rng, v, other):
    begin = int(rng.choice([0, 16])) % v.shape[1]
    return net("Slice", v, np.int64([begin]), np.int64([1 << 30]), np.int64([1]))


def _reshape(net, rng, v, other):
    if not known(v):
        return v
    rows = net("Reshape", v, np.int64([-1, v.shape[-1]]))
    return net("Reshape", net("Relu", rows) if rng.integers(2) else rows, np.int64(v.shape))


def _transpose_axes(net, rng, v, other):
    last_first = net("Transpose", v, perm=(0, 2, 3, 1))
    return net("Transpose", net("Relu", last_first) if rng.integers(2) else last_first, perm=(0, 3, 1, 2))


def known(v):
    return all(isinstance(d, int) for d in v.shape)


#: name -> (net, rng, value, another value of its shape if there is one) -> value
LAYERS = {
    "add": lambda net, rng, v, other: net("Add", v, other),
    "add_constant": _constant("Add"),
    "add_to_constant": _constant("Add", first=True),
    "average": lambda net, rng, v, other: net("AveragePool", v, kernel_shape=(3, 3), pads=(1, 1, 1, 1)),
    "concat": lambda net, rng, v, other: net("Concat", v, other, axis=1),
    "concat_blocks": _concat,
    "conv": _conv,
    "conv1": lambda net, rng, v, other: _conv(net, rng, v, other, kernel=1, bias=False),
    "depthwise": lambda net, rng, v, other: _conv(net, rng, v, other, group=2),
    "div": _constant("Div"),
    "dropout": lambda net, rng, v, other: net("Dropout", v),
    "hard_swish": _hard_swish,
    "identity": lambda net, rng, v, other: net("Identity", v),
    "max_pool": lambda net, rng, v, other: net("MaxPool", v, kernel_shape=(3, 3), pads=(1, 1, 1, 1)),
    "mul": lambda net, rng, v, other: net("Mul", v, other),
    "mul_constant": _constant("Mul"),
    "norm": _norm,
    "padded": _padded_conv,
    "relu": lambda net, rng, v, other: net("Relu", v),
    "relu6": lambda net, rng, v, other: net("Clip", v, 0.0, 6.0),
    "reshape": _reshape,
    "silu": lambda net, rng, v, other: net("Mul", v, net("Sigmoid", v)),
    "slice": _slice,
    "split": _split,
    "sub": _constant("Sub"),
    "sub_from": _constant("Sub", first=True),
    "transpose": _transpose_axes,
    "transposed_conv": _transpose,
}
