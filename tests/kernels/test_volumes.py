"""Volumes N C D H W on the kernels for planes: convolutions, pools, Resize, and what goes element by element."""

import itertools

import numpy as np
import pytest

from fastconv import kernels
from fastconv.graph import Graph, Node, Value
from fastconv.ops.average_pool import AveragePool
from fastconv.ops.binary import Add, Sub
from fastconv.ops.concat import Concat
from fastconv.ops.conv import Conv
from fastconv.ops.conv_transpose import ConvTranspose
from fastconv.ops.elementwise import Relu
from fastconv.ops.global_pool import GlobalAveragePool, GlobalMaxPool
from fastconv.ops.max_pool import MaxPool
from fastconv.ops.normalization import GroupNormalization, InstanceNormalization
from fastconv.ops.resize import Resize
from fastconv.ops.slice import Slice
from fastconv.ops.split import Split
from fastconv.plan import Target, build
from fastconv.reference import run_references

from ..support.harness import ISAS, THREADS, WITH_BLOCK, Block, choice, integers, run_node, run_plan, run_threads, same_bits
from . import test_average_pool as average_pools
from . import test_group_norm as group_norms
from . import test_max_pool as max_pools
from . import test_resize as resizes
from .cases import Case, check

EVERY_ISA = pytest.mark.parametrize("isa", ISAS)
GUARDS = pytest.mark.parametrize("guard", [None, "before", "after"])
#: kernel, strides, dilations, pads
WINDOWS = [
    ((3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1, 1, 1, 1)),
    ((3, 3, 3), (2, 2, 2), (1, 1, 1), (0, 1, 1, 2, 0, 1)),
    ((2, 1, 3), (1, 2, 1), (3, 1, 2), (3, 0, 4, 0, 2, 1)),
    ((1, 2, 2), (3, 1, 2), (1, 2, 1), (0, 0, 0, 0, 0, 0)),
    ((4, 2, 1), (1, 1, 1), (1, 1, 1), (4, 1, 0, 5, 2, 0)),
    ((1, 1, 1), (2, 1, 3), (1, 1, 1), (0, 0, 0, 0, 0, 0)),
]


def vectors(isa):
    return kernels.load(isa).V


@pytest.mark.parametrize("threads", THREADS)
@EVERY_ISA
@pytest.mark.parametrize("implementation", ["first", "pointwise", "direct"])
def test_convolutions(implementation, isa, threads):
    V = vectors(isa)
    groups = {"first": [(1, 1, V + 1), (1, 3, 2 * V)]}.get(implementation, [(1, V + 3, 2 * V + 1), (2, V, V), (3, 2, 5)])
    forms = itertools.cycle([("none", None), ("relu", "before"), ("clip", "after")])
    cases = []
    for (G, ic, oc), (kernel, *window) in itertools.product(groups, WINDOWS):
        if implementation == "pointwise" and kernel != (1, 1, 1):
            continue
        for N, size in ((1, (6, 5, 7)), (3, (7, 9, 4))):
            form, guard = next(forms)
            fields = {"N": N, "form": form, "guard": guard, "residual": N == 3}
            cases.append(Case(G, ic, oc, size, kernel, *window, **fields))
    check(cases, implementation, isa, threads)


@pytest.mark.parametrize("threads", THREADS)
@EVERY_ISA
def test_transposed_convolutions(isa, threads):
    V = vectors(isa)
    cases = []
    for (G, ic, oc), (kernel, strides, dilations, pads) in itertools.product(((1, 3, V + 1), (2, V, 2)), WINDOWS):
        for more in ((0, 0, 0), tuple(min(p, s - 1) for p, s in zip(pads[3:], strides, strict=True))):
            fields = {"N": 2, "residual": G == 1, "form": "relu", "more": more, "guard": "after" if any(more) else "before"}
            cases.append(Case(G, ic, oc, (9, 6, 5), kernel, strides, dilations, pads, transposed=True, **fields))
    cases.append(Case(1, V, V, (3, 4, 5), (2, 2, 2), (2, 2, 2), (1, 1, 1), (0,) * 6, transposed=True, more=(0, 0, 0)))
    check(cases, "phases", isa, threads)


@pytest.mark.slow
@EVERY_ISA
@GUARDS
def test_pools(isa, guard):
    rng = np.random.default_rng(0)
    V = vectors(isa)
    for C, (kernel, strides, dilations, pads) in itertools.product((1, V, V + 3), WINDOWS):
        fields = {"kernel_shape": kernel, "strides": strides, "dilations": dilations}
        fields["pads"] = tuple(min(p, (k - 1) * d) for p, k, d in zip(pads, kernel * 2, dilations * 2, strict=True))
        x = rng.standard_normal((2, C, 8, 7, 9), np.float32)
        for ceil in (0, 1):
            max_pools.check(MaxPool(**fields, ceil_mode=ceil), x, isa, guard=guard)
            for inside in (0, 1):
                op = AveragePool(**fields, ceil_mode=ceil, count_include_pad=inside)
                average_pools.check(op, x, isa, guard=guard)
        max_pools.check(GlobalMaxPool(), x, isa, guard=guard)
        average_pools.check(GlobalAveragePool(), x, isa, depth=40, guard=guard)
    x[0, 1, 3, 3, 3], x[1, 0, 0, 6, 8] = np.nan, np.inf
    max_pools.check(MaxPool(kernel_shape=(2, 2, 2), strides=(2, 2, 2)), x, isa)


@EVERY_ISA
def test_images_do_not_depend_on_the_batch(isa):
    rng = np.random.default_rng(1)
    x, w = rng.standard_normal((3, 5, 4, 6, 7), np.float32), rng.standard_normal((7, 5, 3, 3, 3), np.float32)
    ones = np.ones(5, np.float32)
    for op, *others in (
        (Conv(pads=(1,) * 6), w),
        (ConvTranspose(strides=(2, 2, 2)), w[:5]),
        (AveragePool(kernel_shape=(2, 2, 2)),),
        (InstanceNormalization(), ones, ones),
    ):
        constants = tuple(range(1, 1 + len(others)))
        (y,), _ = run_threads(op, [x, *others], isa, constants=constants)
        for n in range(3):
            (alone,), _ = run_threads(op, [x[n : n + 1], *others], isa, constants=constants)
            assert same_bits(alone, y[n : n + 1])


@EVERY_ISA
@GUARDS
def test_resize(isa, guard):
    x = np.random.default_rng(2).standard_normal((2, vectors(isa) + 1, 3, 4, 5), np.float32)
    for mode in ("nearest", "linear", "cubic"):
        for scales in ((2, 2, 2), (1, 2, 3), (0.7, 1.5, 1)):
            resizes.check(Resize(mode=mode), x, isa, scales, guard=guard)
    resizes.check(Resize(mode="linear", coordinate_transformation_mode="align_corners"), x, isa, sizes=(5, 2, 9))


@EVERY_ISA
@GUARDS
def test_normalizations(isa, guard):
    rng = np.random.default_rng(3)
    V = vectors(isa)
    residual = rng.standard_normal((2, V + 2, 3, 4, 5), np.float32)
    for epilogue in ((), (Relu(),), ((Add(), residual),)):
        inputs = group_norms.data(rng, *residual.shape)
        group_norms.check(InstanceNormalization(), inputs, isa, "blocked", epilogue=epilogue, guard=guard)
        group_norms.check(GroupNormalization(num_groups=2), inputs, isa, "blocked", epilogue=epilogue, guard=guard)


@EVERY_ISA
def test_elementwise(isa):
    rng = np.random.default_rng(4)
    shape = (2, vectors(isa) + 3, 3, 4, 5)
    x = rng.standard_normal(shape, np.float32)
    for own in itertools.product(*({d, 1} for d in shape)):
        other = rng.standard_normal(own, np.float32)
        for options in ({"blocked": (0, 1)}, {"blocked": (0,), "constants": (1,)}):
            (y,), plan = run_node(Sub(), [x, other], isa, 2, **options)
            np.testing.assert_array_equal(y, x - other)
            assert choice(plan) == "blocked"
    for other in (x[0, 0], x[0, 0, 0, 0], x[0, :1], x[0, 0, 0, 0, :1]):
        for constants in ((), (1,)):
            (y,), plan = run_node(Sub(), [x, other], isa, 2, blocked=(0,), constants=constants)
            np.testing.assert_array_equal(y, x - other)
            assert choice(plan) == "blocked"


@EVERY_ISA
@GUARDS
def test_concat(isa, guard):
    rng = np.random.default_rng(5)
    for channels in ((16, 5), (3, 16, 2)):
        inputs = [integers(rng, (2, C, 2, 3, 4)) for C in channels]
        for constants in ((), (1,)):
            blocked = tuple(i for i in range(len(inputs)) if i not in constants)
            (y,), plan = run_threads(Concat(axis=1), inputs, isa, blocked=blocked, constants=constants, guard=guard)
            np.testing.assert_array_equal(y, np.concatenate(inputs, 1))
            assert choice(plan) == "blocked"


@EVERY_ISA
@GUARDS
def test_parts(isa, guard):
    x = integers(np.random.default_rng(7), (2, 37, 4, 5, 6))
    starts, ends, steps = np.array([3, 0, 4, -1]), np.array([35, 3, 0, -9]), np.array([1, 2, -3, -1])
    inputs = [x, starts, ends, np.arange(1, 5), steps]
    (y,), plan = run_threads(Slice(), inputs, isa, constants=(1, 2, 3, 4), blocked=(0,), guard=guard)
    np.testing.assert_array_equal(y, x[:, 3:35, :3:2, 4:0:-3, ::-1])
    assert choice(plan) == "blocked"
    parts, plan = run_threads(
        Split(axis=-4), [x, np.array([16, 3, 18])], isa, results=3, constants=(1,), blocked=(0,), guard=guard
    )
    for y, wanted in zip(parts, np.split(x, [16, 19], 1), strict=True):
        np.testing.assert_array_equal(y, wanted)
    assert choice(plan) == "blocked"


@EVERY_ISA
def test_between_others(isa):
    """Every operator reads and writes part of the channels of memory with a halo."""
    rng = np.random.default_rng(6)
    C = 16
    x = Value("x", (2, C, 4, 6, 5), np.dtype(np.float32))
    nodes, results = [Node(Block(), [x], [Value("b", x.shape, x.dtype)])], []
    around = nodes[0].outputs[0]

    def add(op, *inputs):
        operands = [v if isinstance(v, Value) or v is None else Value("constant", constant=v) for v in inputs]
        y = Value(f"y{len(nodes)}", *op.infer(*operands)[0])
        nodes.append(Node(op, operands, [y]))
        return y

    def joined(y):
        """A value that a convolution reads, and that is the first operand of a Concat that another one reads."""
        w = integers(rng, (3, 2 * C, 3, 3, 3), -2, 2)
        results.extend(
            (add(Conv(pads=(1, 2, 3) * 2), y, w[:, :C]), add(Conv(pads=(2, 1, 1) * 2), add(Concat(axis=1), y, y), w))
        )

    ones = np.ones(C, np.float32)
    w = integers(rng, (C, C, 2, 2, 2), -2, 2)
    joined(around)
    joined(add(Conv(pads=(1,) * 6), around, w))
    joined(add(ConvTranspose(strides=(2, 2, 2)), around, w))
    joined(add(MaxPool(kernel_shape=(2, 2, 2), strides=(2, 2, 1)), around))
    joined(add(AveragePool(kernel_shape=(2, 2, 2), strides=(2, 2, 2)), around))
    joined(add(Resize(), around, None, np.float32([1, 1, 2, 2, 2])))
    joined(add(InstanceNormalization(), around, ones, ones))
    joined(add(Sub(), around, ones.reshape(-1, 1, 1, 1)))
    graph = Graph([x], results, nodes)
    plan = build(graph, Target(WITH_BLOCK, kernels.load(isa), 2, "exact"), {})
    assert not plan.python_steps, str(plan)
    arrays = [integers(rng, x.shape, -3, 3)]
    for threads in (1, 2):
        for given, wanted in zip(run_plan(plan, arrays, threads), run_references(graph, arrays), strict=True):
            np.testing.assert_allclose(given, wanted, rtol=0, atol=2e-6 * np.abs(wanted).max())
