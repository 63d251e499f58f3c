"""Operators that only move elements: exact in every layout, and in place where the plan promises it."""

import itertools

import numpy as np
import pytest

from fastconv import kernels
from fastconv.graph import Graph, Node, Value
from fastconv.ops import Op
from fastconv.ops.binary import Add
from fastconv.ops.concat import Concat
from fastconv.ops.depth_to_space import DepthToSpace, SpaceToDepth
from fastconv.ops.dropout import Dropout
from fastconv.ops.elementwise import Identity, Relu
from fastconv.ops.expand import Expand
from fastconv.ops.max_pool import MaxPool
from fastconv.ops.pad import Pad
from fastconv.ops.reshape import Flatten, Reshape, Squeeze, Unsqueeze
from fastconv.ops.slice import Slice
from fastconv.ops.split import Split
from fastconv.ops.transpose import Transpose
from fastconv.plan import Target, build
from fastconv.reference import run_references

from ..support.harness import ISAS, THREADS, WITH_BLOCK, Block, choice, refusals, run_node, run_plan, run_threads

COVERS = {
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout"), ("view",)),
    **dict.fromkeys(("Slice", "Split", "Pad", "Concat"), ("blocked", "row-major")),
    **dict.fromkeys(("Expand", "DepthToSpace", "SpaceToDepth"), ("row-major",)),
    "Transpose": ("view", "blocked", "row-major"),
}
EVERY_ISA = pytest.mark.parametrize("isa", ISAS)
GUARDS = pytest.mark.parametrize("guard", [None, "before", "after"])


def numbers(*shape):
    """Distinct numbers."""
    return np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)


def check(op, inputs, isa, name, results=1, run=run_threads, **options):
    ys, plan = run(op, inputs, isa, results=results, **options)
    expected = op.reference(*inputs)
    for y, e in zip(ys, expected if isinstance(expected, tuple) else (expected,), strict=True):
        np.testing.assert_array_equal(y, e)
    assert choice(plan) == name
    return plan


def steps(plan):
    """How many kernels the node's own entry runs."""
    return len(next(e.steps for e in reversed(plan.entries) if e.node is not None))


# ---- views


@EVERY_ISA
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8, bool])
@pytest.mark.parametrize(
    "op, operand",
    [
        (Reshape(), [4, 6]),
        (Reshape(), [-1]),
        (Flatten(axis=2), None),
        (Squeeze(), [0]),
        (Squeeze(), None),
        (Unsqueeze(), [0, 3]),
        (Identity(), None),
    ],
    ids=str,
)
def test_views(isa, op, operand, dtype):
    x = (numbers(1, 2, 3, 4) % 3).astype(dtype)
    inputs = [x] if operand is None else [x, np.array(operand)]
    plan = check(op, inputs, isa, "view", constants=(1,))
    assert steps(plan) == 0


@EVERY_ISA
def test_view_of_a_blocked_tensor(isa):
    for C in (1, 7, 17):
        check(Flatten(), [numbers(2, C, 1, 1)], isa, "view", blocked=(0,))
        check(Reshape(), [numbers(2, C, 3, 5), np.array([0, -1])], isa, "view", blocked=(0,), constants=(1,))


@EVERY_ISA
def test_dropout_is_a_view_where_its_mask_is_not_asked_for(isa):
    x = numbers(1, 2, 3, 4)
    (y,), plan = run_threads(Dropout(), [x], isa)
    np.testing.assert_array_equal(y, x)
    assert (choice(plan), steps(plan)) == ("view", 0)
    (y, mask), _ = run_node(Dropout(), [x], isa, 1, results=2, python=True)
    np.testing.assert_array_equal(y, x)
    assert mask.all()


# ---- Transpose, Slice, Split, Expand, depth and space


@EVERY_ISA
@pytest.mark.parametrize("shape", [(), (7,), (3, 5), (2, 3, 4), (2, 19, 3, 5), (1, 3, 1, 5), (2, 3, 1, 2, 3, 2)])
def test_transpose(isa, shape):
    x = numbers(*shape)
    perms = list(itertools.permutations(range(len(shape))))
    for perm in (None, *perms[:: len(perms) // 50 or 1]):
        order = [i for i in (perm or range(len(shape))[::-1]) if shape[i] > 1]
        check(Transpose(perm=perm), [x], isa, "view" if order == sorted(order) else "row-major")
        if len(shape) == 4 and order != sorted(order):
            check(Transpose(perm=perm), [x], isa, "blocked", blocked=(0,))


@EVERY_ISA
@GUARDS
def test_slice(isa, guard):
    x = numbers(2, 37, 6, 7)
    cases = [
        ([1], [2], [0], None),
        ([0], [16], [1], None),
        ([16], [37], [1], None),
        ([3], [30], [1], None),
        ([5, 1, 2], [-1, -1, 6], [1, 2, 3], [1, 2, 2]),
        ([-1, 5, 6], [-9, -9, 0], [0, 2, 3], [-1, -1, -3]),
        ([32], [99], [1], None),
    ]
    for starts, ends, axes, by in cases:
        inputs = [x, *(None if v is None else np.array(v) for v in (starts, ends, axes, by))]
        check(Slice(), inputs, isa, "row-major", constants=(1, 2, 3, 4), guard=guard)
        plan = check(Slice(), inputs, isa, "blocked", constants=(1, 2, 3, 4), blocked=(0,), guard=guard)
        assert (steps(plan) == 0) == (axes == [1] and starts[0] % 16 == 0)
    back = [x, np.array([30]), np.array([3]), np.array([1]), np.array([-2])]
    check(Slice(), back, isa, "row-major", constants=(1, 2, 3, 4), blocked=(0,), guard=guard)
    long = numbers(1, 1, 3, 4, 1, 3)[..., None, None]
    check(Slice(), [long, np.array([1]), np.array([3]), np.array([3])], isa, "row-major", constants=(1, 2, 3), guard=guard)


@EVERY_ISA
@GUARDS
def test_split(isa, guard):
    x = numbers(2, 38, 3, 5)
    for sizes, axis in (([19, 19], 1), ([16, 22], 1), ([1, 36, 1], 1), ([5, 27, 3, 3], -3), ([1, 1], 0), ([2, 3], 3)):
        inputs, n = [x, np.array(sizes)], len(sizes)
        check(Split(axis=axis), inputs, isa, "row-major", n, constants=(1,), guard=guard)
        name = "blocked" if axis in (1, -3) else "row-major"
        check(Split(axis=axis), inputs, isa, name, n, constants=(1,), blocked=(0,), guard=guard)


@EVERY_ISA
def test_expand(isa):
    for shape, target in (((3, 1), (2, 3, 4)), ((1,), (5, 6)), ((2, 1, 3, 1), (2, 4, 3, 5)), ((3, 4), (1, 1)), ((), (3,))):
        check(Expand(), [numbers(*shape), np.array(target)], isa, "row-major", constants=(1,))


@EVERY_ISA
@pytest.mark.parametrize("mode", ["DCR", "CRD"])
@pytest.mark.parametrize("b", [1, 2, 3])
def test_depth_and_space(isa, mode, b):
    for blocked in ((), (0,)):
        check(DepthToSpace(blocksize=b, mode=mode), [numbers(2, 5 * b * b, 3, 4)], isa, "row-major", blocked=blocked)
        check(SpaceToDepth(blocksize=b, mode=mode), [numbers(2, 5, 3 * b, 4 * b)], isa, "row-major", blocked=blocked)


# ---- Pad


@EVERY_ISA
@GUARDS
@pytest.mark.slow
def test_pad(isa, guard):
    def pads(*amounts):
        return np.array([b for b, _ in amounts] + [a for _, a in amounts])

    x, none = numbers(2, 11, 5, 6) + 1, (0, 0)
    planes = [pads(none, none, p, q) for p, q in [((1, 2), (3, 0)), (none, (2, 1)), ((-1, 2), (1, -2)), ((-2, -2), (0, -5))]]
    for amounts in (*planes, pads((1, 0), (2, 3), none, (-1, 0))):
        for value in (None, np.float32(7)):
            inputs = [x, amounts, value if value is None else np.array(value)]
            check(Pad(), inputs, isa, "row-major", constants=(1, 2), guard=guard)
            if not amounts[[0, 1, 4, 5]].any():
                check(Pad(), inputs, isa, "blocked", constants=(1, 2), blocked=(0,), guard=guard)
    for mode in ("reflect", "edge", "wrap"):
        for amounts in planes:
            check(Pad(mode=mode), [x, amounts], isa, "blocked", constants=(1,), blocked=(0,), guard=guard)
        # also further than the axis is long
        for amounts in (*planes, pads((1, 0), (2, 3), (7, 12), (-1, 9)), pads(none, (-3, 20), (-4, 3), none)):
            check(Pad(mode=mode), [x, amounts], isa, "row-major", constants=(1,), guard=guard)
        check(Pad(mode=mode), [numbers(40), np.array([33, 38])], isa, "row-major", constants=(1,), guard=guard)
        volume = pads(none, none, (1, 2), (3, 0), (2, 4))
        check(Pad(mode=mode), [numbers(1, 2, 3, 4, 5), volume], isa, "row-major", constants=(1,), guard=guard)
    check(Pad(), [x, np.array([1, 2]), None, np.array([-1])], isa, "blocked", constants=(1, 2, 3), blocked=(0,), guard=guard)


# ---- Concat


@EVERY_ISA
@GUARDS
def test_concat(isa, guard):
    shapes = [(2, 5, 3), (2, 1, 3), (2, 7, 3)]
    for constants in ((), (1,)):
        check(Concat(axis=1), [numbers(*s) for s in shapes], isa, "row-major", constants=constants, guard=guard)
    for axis in range(-2, 2):
        check(Concat(axis=axis), [numbers(3, 5), -numbers(3, 5)], isa, "row-major", guard=guard)
    check(Concat(axis=1), [numbers(2, 3)], isa, "row-major", guard=guard)


@EVERY_ISA
@GUARDS
def test_concat_of_channels(isa, guard):
    V = kernels.load(isa).V
    sizes = [(a, b) for a in range(1, 2 * V + 2, 3) for b in (1, V - 1, V, V + 3)] + [(16, 3, 32, 5), (28, 4, 8), (16, 16, 1)]
    for channels in sizes:
        inputs = [numbers(2, C, 3, 5) + 1000 * i for i, C in enumerate(channels)]
        every = tuple(range(len(channels)))
        for constants in ((), (1,)):
            blocked = tuple(set(every) - set(constants))
            check(Concat(axis=1), inputs, isa, "blocked", run=run_node_2, blocked=blocked, constants=constants, guard=guard)
    check(Concat(axis=1), [numbers(2, C, 3, 5) for C in (16, 5, 16)], isa, "blocked", blocked=(1,), guard=guard)
    check(Concat(axis=2), [numbers(2, 3, C, 5) for C in (2, 5)], isa, "row-major", blocked=(0, 1), guard=guard)


def run_node_2(op, inputs, isa, **options):
    """On two threads only, where there are many cases."""
    return run_node(op, inputs, isa, 2, **options)


@EVERY_ISA
@pytest.mark.parametrize("guard", ["before", "after"])
def test_blocked_bytes(isa, guard):
    """Blocks of 16 channels, on every instruction set."""

    def number_bytes(*shape):
        return numbers(*shape).astype(np.uint8)

    x, ints = number_bytes(2, 37, 6, 7), np.array
    for op, inputs in (
        (Slice(), [x, ints([16]), ints([37]), ints([1])]),
        (Slice(), [x, ints([5, 1, 2]), ints([-1, -1, 6]), ints([1, 2, 3]), ints([1, 2, 2])]),
        (Split(axis=1), [x, ints([16, 5, 16])]),
        (Pad(), [x, ints([0, 0, 1, 3, 0, 0, -2, 1]), ints(200, np.uint8)]),
        (Transpose(perm=(0, 2, 3, 1)), [x]),
    ):
        results = 3 if isinstance(op, Split) else 1
        check(op, inputs, isa, "blocked", results, constants=range(1, len(inputs)), blocked=(0,), guard=guard)
    for channels in ((16, 32, 5), (16, 5, 11, 16), (3, 8), (1, 33)):
        parts = [number_bytes(2, C, 3, 5) + np.uint8(i) for i, C in enumerate(channels)]
        for constants in ((), (1,)):
            blocked = set(range(len(parts))) - set(constants)
            check(Concat(axis=1), parts, isa, "blocked", blocked=blocked, constants=constants, guard=guard)
    check(Pad(mode="edge"), [x, ints([0, 0, 1, 3, 0, 0, 2, 1])], isa, "row-major", constants=(1,), blocked=(0,), guard=guard)


@EVERY_ISA
def test_concat_in_place(isa):
    """An operand that begins with a block is written in place; others are copied."""
    for channels, copied in (((16, 32, 5), 0), ((16, 5, 7), 1), ((16, 5, 11, 16), 1)):
        inputs = [numbers(1, C, 2, 2) for C in channels]
        blocked = tuple(range(len(inputs)))
        plan = check(Concat(axis=1), inputs, isa, "blocked", blocked=blocked)
        assert str(plan).count(" in 'y0'[") // 2 == len(inputs) - copied


# ---- several nodes that share memory


class Network:
    """A graph in the making: `net(op, a, b)` adds a node and gives its result."""

    def __init__(self):
        self.nodes, self.inputs, self.arrays = [], [], []

    def input(self, array, block=True):
        v = Value(f"in{len(self.inputs)}", array.shape, array.dtype)
        self.inputs.append(v)
        self.arrays.append(array)
        return self(Block(), v) if block else v

    def __call__(self, op: Op, *operands, results=1):
        values = [Value(f"c{len(self.nodes)}", constant=v) if isinstance(v, np.ndarray) else v for v in operands]
        shapes = op.infer(*values)[:results]
        outputs = [Value(f"v{len(self.nodes)}.{i}", shape, dtype) for i, (shape, dtype) in enumerate(shapes)]
        self.nodes.append(Node(op, values, outputs, f"n{len(self.nodes)}"))
        return outputs[0] if results == 1 else outputs

    def check(self, isa, *outputs):
        graph = Graph(self.inputs, outputs, self.nodes)
        expected = run_references(graph, self.arrays)
        for threads in THREADS:
            plan = build(graph, Target(WITH_BLOCK, kernels.load(isa), threads, pieces=2), {})
            assert not plan.python_steps, str(plan)
            for wanted, y in zip(expected, run_plan(plan, self.arrays, threads), strict=True):
                np.testing.assert_array_equal(y, wanted, str(plan))
        return plan


@EVERY_ISA
@pytest.mark.parametrize("C", [16, 12, 5])
def test_concat_within_concat(isa, C):
    """As in DenseNet: every result is read on its own, and is a part of all that follow."""
    net = Network()
    x = net.input(numbers(1, C, 4, 5))
    grown = [x]
    for i in range(4):
        layer = net(MaxPool(kernel_shape=(3, 3), pads=(1, 1, 1, 1)), net(Relu(), grown[-1]))
        layer = net(Slice(), layer, np.array([0]), np.array([C + i]), np.array([1])) if i % 2 else layer
        grown.append(net(Concat(axis=1), grown[-1], layer))
    net.check(isa, grown[-1], grown[2], net(Relu(), grown[1]))


@EVERY_ISA
@pytest.mark.parametrize("C", [16, 32, 29, 4])
def test_split_and_concat(isa, C):
    """As in ShuffleNet: the halves are read, joined in both orders, and are outputs."""
    net = Network()
    x = net(Relu(), net.input(numbers(2, 2 * C, 4, 3)))
    a, b = net(Split(axis=1), x, np.array([C, C]), results=2)
    pooled = net(MaxPool(kernel_shape=(3, 3), pads=(1, 1, 1, 1)), b)
    joined = net(Concat(axis=1), pooled, a)
    again = net(Concat(axis=1), a, a, joined)
    copied = net(Concat(axis=1), b, joined)  # where b does not begin with a block, it is copied to its place here
    net.check(isa, joined, again, copied, b, x, net(Add(), a, pooled))


@EVERY_ISA
def test_input_in_two_concats(isa):
    net = Network()
    a, b = net(Relu(), net.input(numbers(1, 16, 3, 3))), net(Relu(), net.input(numbers(1, 16, 3, 3) + 500))
    net.check(isa, net(Concat(axis=1), a, b), net(Concat(axis=1), b, a), net(Concat(axis=1), a, a), a)


@EVERY_ISA
def test_views_of_inputs_and_outputs(isa):
    net = Network()
    x = net.input(numbers(2, 3, 4), block=False)
    flat = net(Reshape(), x, np.array([2, 12]))
    y = net(Relu(), flat)
    net.check(isa, flat, net(Reshape(), y, np.array([24])), y, net(Reshape(), flat, np.array([4, 6])), net(Identity(), x))


def test_refusals():
    isa, x = ISAS[-1], numbers(1, 4, 5, 5)
    two = np.array([2])

    def refusal(op, *inputs, **options):
        return refusals(op, [x, *inputs], isa, **options)

    assert refusal(Transpose(perm=(0, 2, 1, 3))) == {"view": "elements change places", "blocked": "the input is not blocked"}
    assert refusals(Pad(), [numbers(*(1,) * 7), np.array([1] * 14)], isa, constants=(1,))["row-major"] == "7 axes"
    by_two = (np.array([0]), np.array([4]), np.array([1]), two)
    assert refusal(Slice(), *by_two, constants=(1, 2, 3, 4), blocked=(0,))["blocked"] == "channels in steps of 2"
    assert refusal(Concat(axis=2), x, blocked=(0,))["blocked"] == "axis 2"
    assert refusals(Concat(axis=0), [x.astype(np.complex64)] * 2, isa)["row-major"] == "dtype complex64"
    assert refusals(Transpose(), [np.zeros((0, 3, 2), np.float32)], isa)["row-major"] == "empty tensor"
