"""Functions of the bytes of one tensor on the kernel table: the reference's for every byte."""

import numpy as np
import pytest

from fastconv import kernels
from fastconv.graph import Graph, Node, Value
from fastconv.implementations import IMPLEMENTATIONS
from fastconv.ops.binary import Add, Max, Mul, PRelu
from fastconv.ops.elementwise import Exp, HardSwish, Identity, LeakyRelu, Sigmoid, Sqrt, Swish, Tanh
from fastconv.ops.quantize import DequantizeLinear, QuantizeLinear
from fastconv.plan import Target, build

from ..support.harness import choice, run_plan, same_bits
from ..support.quantized import Quantized, expected, quantized_graph, refusal, run_quantized

COVERS = {op.key(): ("table", "table-row-major") for op in IMPLEMENTATIONS if op.by_element}
ISAS = kernels.available("table")
EVERY_ISA = pytest.mark.parametrize("isa", ISAS)
EVERY_BYTE = np.arange(256, dtype=np.uint8)
RESULT = (np.float32(0.01), 5)


def check(op, x, isa, zero=77, name="table-row-major", others=(), **options):
    graph, arrays = quantized_graph(op, [Quantized(x, np.float32(0.03), zero), *others], RESULT, **options)
    y, plan = run_quantized(graph, arrays, isa)
    assert same_bits(y, expected(graph, arrays))
    assert choice(plan) == name


@EVERY_ISA
@pytest.mark.parametrize(
    "op, others",
    [
        (Sigmoid(), ()),
        (HardSwish(), ()),
        (Swish(), ()),
        (Tanh(), ()),
        (LeakyRelu(alpha=0.1), ()),
        (Exp(), ()),
        (Sqrt(), ()),  # NaN below 0
        (Identity(), ()),
        (PRelu(), [np.float32([0.2])]),
        (Max(), [np.full((1, 1, 1, 1, 1), 0.3, np.float32)[0]]),
        (Add(), [np.array(0.4, np.float32)]),
    ],
    ids=str,
)
def test_functions(isa, op, others):
    for zero in (0, 1, 128, 255):
        check(op, EVERY_BYTE.reshape(1, 1, 4, 64), isa, zero, others=others)
    check(op, EVERY_BYTE.reshape(2, 1, 1, 128), isa, 9, others=others, activations=[Tanh()])


@EVERY_ISA
@pytest.mark.parametrize("op", [Sigmoid(), Identity()], ids=str)
def test_channels_last(isa, op):
    """Every tail of the channels and of the vectors."""
    for C in (1, 3, 8, 15, 16, 17, 31, 32, 33, 64, 100):
        x = np.resize(EVERY_BYTE, (2, C, 3, 5))
        graph, arrays = quantized_graph(op, [Quantized(x, np.float32(0.03), 40, blocked=True)], RESULT)
        y, plan = run_quantized(graph, arrays, isa)
        assert same_bits(y, expected(graph, arrays))
        assert choice(plan) == "table"


@EVERY_ISA
@pytest.mark.parametrize("guard", ["before", "after"])
def test_lengths(isa, guard):
    for n in (1, 7, 8, 9, 15, 63, 64, 65, 127, 130):
        graph, arrays = quantized_graph(Sigmoid(), [Quantized(np.resize(EVERY_BYTE, n), np.float32(0.03), 9)], RESULT)
        y, _ = run_quantized(graph, arrays, isa, (2,), guard=guard)
        assert same_bits(y, expected(graph, arrays))


@EVERY_ISA
@pytest.mark.parametrize("given, wanted", [("uint8", "int8"), ("int8", "uint8"), ("int8", "int8")])
def test_signed_bytes(isa, given, wanted):
    """To steps of another type, scale and zero point; and of a tensor that is read twice."""
    x = Value("x", (256,), np.dtype(given))
    constants = [Value(f"c{i}", constant=np.asarray(c)) for i, c in enumerate((np.float32(0.03), np.array(5, given)))]
    last = [
        Value("s", constant=np.asarray(np.float32(0.05))),
        Value("z", constant=np.array(-3 if wanted == "int8" else 90, wanted)),
    ]
    first, second, product, y = (Value(name, (256,), np.dtype(np.float32)) for name in "abpy")
    y.dtype = np.dtype(wanted)
    node = Node(Mul(), [first, second], [product], "node")
    node.prologue = [Node(DequantizeLinear(), [x, *constants], [v]) for v in (first, second)]
    node.epilogue = [Node(QuantizeLinear(), [product, *last], [y])]
    graph, array = Graph([x], [y], [node]), np.arange(256).astype(np.uint8).view(given)
    plan = build(graph.copy(), Target(IMPLEMENTATIONS, kernels.load(isa), 1, algorithm="table-row-major"), {})
    (found,) = run_plan(plan, [array], 1)
    assert same_bits(found, expected(graph, [array]))
    assert choice(plan) == "table-row-major"


def test_refusals():
    x, isa = Quantized(EVERY_BYTE.reshape(1, 4, 8, 8), np.float32(0.1), 3), ISAS[-1]

    def why(op, *operands, name="table-row-major", **options):
        graph, _ = quantized_graph(op, list(operands), RESULT, **options)
        return refusal(graph, name, isa)

    assert why(Mul(), x, x) == "2 operands"
    assert why(PRelu(), x, np.ones((4, 1, 1), np.float32)) == "elements have functions of their own"
    assert why(Sigmoid(), x, name="table") == "the input is row-major"
    scales = Quantized(x.array, np.ones(4, np.float32), 3, axis=1)
    assert why(Sigmoid(), scales) == "elements have functions of their own"
