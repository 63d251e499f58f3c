"""The plan: implementations, layouts, memory and order, on handmade and random graphs, with all memory poisoned."""

import gc
import itertools
import re
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastconv import kernels
from fastconv.errors import ModelError
from fastconv.graph import Graph, Node, Value
from fastconv.implementations import IMPLEMENTATIONS
from fastconv.ops import REGISTRY, Op
from fastconv.ops.concat import Concat
from fastconv.ops.reshape import Reshape
from fastconv.plan import Arenas, Target, build
from fastconv.plan.cost import LONG_MICROSECONDS, MOST_PIECES, node_microseconds
from fastconv.plan.implementation import Implementation
from fastconv.plan.layout import ROW_MAJOR
from fastconv.plan.packing import empty_aligned
from fastconv.plan.view import ARENA, FIRST_INPUT
from fastconv.reference import run_references
from fastconv.specialise import specialise

from ..support.graphs import Net, eighths, networks, normal
from ..support.harness import ISAS, check_tenants, poisoned, run_plan, same_bits
from ..support.quantized import Quantized, quantized_graph
from ..support.rng import generator

EVERY_ISA = pytest.mark.parametrize("isa", ISAS)
RNG = generator(__name__)
X = normal(RNG, 2, 3, 8, 8)


def plan_of(graph, *shapes, isa=ISAS[-1], threads=3, packed=None, arenas=None, **target):
    """The plan of a graph for inputs of these shapes (none: the graph's own)."""
    graph = specialise(graph, shapes or [v.dims for v in graph.inputs])
    target = Target(IMPLEMENTATIONS, kernels.load(isa), threads, **{"pieces": 2} | target)
    return build(graph, target, {} if packed is None else packed, arenas)


def check(graph, *arrays, isa=ISAS[-1], tolerance=1e-5):
    """The plan, after checking its results against the references in float64, and the same bits for any number of threads."""
    plan = plan_of(graph, *(a.shape for a in arrays), isa=isa)
    first = run_plan(plan, arrays, 1)
    for threads in (1, 2, 3):
        for a, b in zip(run_plan(plan, arrays, threads), first, strict=True):
            assert same_bits(a, b), f"{threads} threads"
    for y, expected in zip(first, run_references(graph, arrays), strict=True):
        assert y.shape == expected.shape
        np.testing.assert_allclose(y, expected, rtol=0, atol=tolerance * np.abs(expected).max(initial=1))
    return plan


def conv(net, x, OC=8, kernel=3, **more):
    C = x.shape[1]
    w = normal(RNG, OC, C, kernel, kernel) / np.float32((C * kernel * kernel) ** 0.5)
    return net("Conv", x, w, normal(RNG, OC), **({"pads": (kernel // 2,) * 4} | more))


def implementations(plan):
    return [e.algorithm for e in plan.entries]


def tensor(plan, name, layout):
    return next(
        t for e in plan.entries for t in (*e.reads.values(), *e.writes.values()) if t.value.name == name and t.layout == layout
    )


# ---- any network


def transformer_block(net, x, heads, joint):
    """A block of a vision transformer of N S C: `joint` queries, keys and values come from one product."""
    (_, S, C), D = x.shape, x.shape[2] // heads

    def dense(x, OC):
        w = normal(RNG, x.shape[2], OC) / np.float32(x.shape[2] ** 0.5)
        return net("Add", net("MatMul", x, w), normal(RNG, OC) / 8)

    def norm(x):
        return net("LayerNormalization", x, normal(RNG, C), normal(RNG, C))

    def reshape(x, *shape):
        return net("Reshape", x, np.array(shape))

    y = norm(x)
    if joint:
        qkv = net("Transpose", reshape(dense(y, 3 * C), 0, S, 3, heads, D), perm=(2, 0, 3, 1, 4))
        q, k, v = (net("Squeeze", part, np.array([0])) for part in net("Split", qkv, results=3, num_outputs=3))
        k = net("Transpose", k, perm=(0, 1, 3, 2))
    else:
        heads_first = (reshape(dense(y, C), 0, S, heads, D) for _ in range(3))
        q, k, v = (
            net("Transpose", part, perm=p)
            for part, p in zip(heads_first, ((0, 2, 1, 3), (0, 2, 3, 1), (0, 2, 1, 3)), strict=True)
        )
        q = net("Mul", q, D**-0.25)
        k = net("Mul", k, D**-0.25)
    scores = net("MatMul", q, k)
    weights = net("Softmax", net("Div", scores, D**0.5) if joint else scores)
    y = net("Transpose", net("MatMul", weights, v), perm=(0, 2, 1, 3))
    x = net("Add", x, dense(reshape(y, 0, S, C), C))
    y = dense(norm(x), 4 * C)
    y = net("Mul", net("Mul", y, net("Add", net("Erf", net("Div", y, 2**0.5)), 1.0)), 0.5)
    return net("Add", x, dense(y, C))


@EVERY_ISA
@pytest.mark.parametrize("joint", [False, True])
def test_a_transformer_block_runs_without_python(isa, joint):
    net = Net()
    graph = net.graph(transformer_block(net, net.input("x", "N", 19, 24), 3, joint))
    for N in (1, 3):
        plan = check(graph, normal(RNG, N, 19, 24), isa=isa)
        assert not plan.python_steps
        copies = [e for e in plan.entries if e.node is None or isinstance(e.node.op, REGISTRY["Transpose"])]
        assert len(copies) == joint


@pytest.mark.slow
@settings(max_examples=60, deadline=None, derandomize=True)
@given(networks(), st.sampled_from(ISAS))
def test_random_networks(case, isa):
    graph, shape = case
    check_tenants(check(graph, eighths(np.random.default_rng(0), *shape), isa=isa, tolerance=1e-4))


@EVERY_ISA
def test_a_plan_runs_again_on_what_the_last_run_left(isa):
    net = Net()
    x = net.input("x", 2, 3, 8, 8)
    y = net("Relu", conv(net, x))
    plan = plan_of(net.graph(net("MaxPool", conv(net, y), kernel_shape=(2, 2)), net("CumSum", y, np.array(1))), isa=isa)
    first = run_plan(plan, [X], 2)
    for a in (X[::-1].copy(), np.full_like(X, np.nan), X):
        again = [np.empty_like(y) for y in first]
        plan.run([a], again, 2)
    assert all(map(same_bits, again, first))


def test_runs_at_once_have_an_arena_each():
    net, arenas = Net(), Arenas()
    graph = net.graph(net("Relu", conv(net, net("Selu", conv(net, net.input("x", 2, 3, 8, 8))))))
    plan = plan_of(graph, arenas=arenas)
    inputs = [normal(RNG, *X.shape) for _ in range(8)]
    expected = [run_plan(plan, [x], 1)[0] for x in inputs]
    barrier = threading.Barrier(len(inputs))

    def work(i):
        y = np.empty_like(expected[i])
        barrier.wait()
        for _ in range(20):
            y[...] = np.nan
            plan.run([inputs[i]], [y], 1 + i % 3)
            assert same_bits(y, expected[i])

    with ThreadPoolExecutor(len(inputs)) as pool:
        list(pool.map(work, range(len(inputs))))  # raises what work raises
    assert 1 <= len(arenas.free) <= len(inputs)
    assert len({a.ctypes.data for a in arenas.free}) == len(arenas.free)


# ---- what a graph's inputs and outputs may be


def test_an_output_that_is_an_input():
    net = Net()
    x = net.input("x", 2, 3, 8, 8)
    plan = check(net.graph(x, net("Relu", x)), X)
    y, _ = run_plan(plan, [X], 1)
    assert same_bits(y, X)


def test_a_graph_without_nodes():
    net = Net()
    x = net.input("x", 2, 3)
    plan = check(net.graph(x), X[0, 0, :2, :3])
    assert plan.entries == []
    assert plan.arena_size == 0


def test_outputs_that_are_constant():
    net = Net()
    x = net.input("x", 2, 3, 8, 8)
    plan = check(net.graph(net("Shape", x), net("Relu", x), net("Add", np.float32([1, 2]), 1.0)), X)
    assert [v.dtype for v in plan.graph.outputs] == [np.int64, np.float32, np.float32]


def test_one_value_as_two_outputs():
    net = Net()
    y = conv(net, net.input("x", 2, 3, 8, 8))
    graph = net.graph(y)
    graph.outputs = [y, y]
    check(graph, X)


def test_an_input_that_nobody_reads():
    net = Net()
    _, x = net.input("unused", 5, dtype=np.int64), net.input("x", 2, 3, 8, 8)
    check(net.graph(conv(net, x)), np.arange(5), X)


def test_inputs_and_outputs_of_other_dtypes():
    net = Net()
    a, b = net.input("a", 3, 2, dtype=np.int64), net.input("b", 2, dtype=bool)
    plan = check(
        net.graph(net("Add", a, np.int64([1])), net("Not", b), net("Cast", a, to=1)),
        np.arange(6).reshape(3, 2),
        np.array([1, 0], bool),
    )
    assert [v.dtype for v in plan.graph.outputs] == [np.int64, bool, np.float32]


def test_scalars():
    net = Net()
    x = net.input("x")
    check(net.graph(net("Exp", net("Neg", x)), net("Selu", x)), np.float32(0.5))


def test_an_intermediate_value_that_is_an_output_too():
    net = Net()
    y = conv(net, net.input("x", 2, 3, 8, 8))
    check(net.graph(conv(net, y), y), X)


@pytest.mark.parametrize("shape", [(0, 3, 8, 8), (2, 0, 8, 8), (2, 3, 0, 8)])
def test_empty_tensors(shape):
    net = Net()
    x = net.input("x", *shape)
    y = net("Relu", x)
    z = net("ReduceSum", net("Concat", y, x, axis=1), np.int64([1]), keepdims=0)
    plan = check(net.graph(net("Flatten", y), net("Selu", x), z), np.empty(shape, np.float32))
    assert plan.arena_size == 0


def test_a_batch_of_nothing():
    net = Net()
    x = net.input("x", "N", 3, 8, 8)
    y = net("MaxPool", net("Relu", conv(net, x)), kernel_shape=(2, 2), strides=(2, 2))
    y = net("Add", conv(net, y), y)
    flat = net("Flatten", net("GlobalAveragePool", net("ConvTranspose", y, normal(RNG, 8, 4, 2, 2), strides=(2, 2))))
    graph = net.graph(net("Softmax", net("Gemm", flat, normal(RNG, 4, 10))), y)
    check(graph, X[:0])
    check(graph, X)


# ---- layouts


@EVERY_ISA
def test_a_reorder_is_made_once_for_all_who_want_it(isa):
    net = Net()
    x = net.input("x", 2, 16, 8, 8)
    graph = net.graph(*(conv(net, x, 4, kernel=1) for _ in range(3)), net("CumSum", x, np.array(1)))
    plan = check(graph, normal(RNG, 2, 16, 8, 8), isa=isa)
    assert implementations(plan).count("reorder") == 1 + 3, "one of x, and one of each output"


def test_a_chain_in_one_layout_is_reordered_at_its_ends_alone():
    net = Net()
    x = net.input("x", 2, 16, 8, 8)
    y = net("MaxPool", net("Relu", conv(net, conv(net, x))), kernel_shape=(2, 2))
    plan = check(net.graph(net("Relu", net("Add", y, y))), normal(RNG, 2, 16, 8, 8))
    assert implementations(plan)[0] == "reorder"
    assert implementations(plan)[-1] == "reorder"
    assert implementations(plan).count("reorder") == 2


@pytest.mark.parametrize("C", [1, 3, 7, 8, 9, 16, 17])
def test_reorders_of_every_channel_tail(C):
    for isa in ISAS:
        net = Net()
        x = net.input("x", 2, C, 5, 3)
        check(
            net.graph(net("Selu", conv(net, net("Selu", conv(net, x, C + 1, kernel=1)), C, kernel=1))),
            normal(RNG, 2, C, 5, 3),
            isa=isa,
        )


@EVERY_ISA
def test_a_halo_is_as_wide_as_its_widest_reader_wants(isa):
    net = Net()
    y = net("Relu", conv(net, net.input("x", 2, 3, 8, 8)))
    readers = [
        conv(net, y, kernel=k, **more)
        for k, more in ((1, {}), (3, {}), (5, {"pads": (4, 1, 0, 3)}), (3, {"dilations": (3, 2), "pads": (3, 2, 3, 2)}))
    ]
    plan = check(net.graph(*readers, net("MaxPool", y, kernel_shape=(3, 3), pads=(1, 1, 1, 1)), y), X, isa=isa)
    if set(implementations(plan)) & {"winograd"}:
        plan = plan_of(plan.graph, isa=isa, algorithm="direct")
    assert tensor(plan, y.name, plan.target.blocked).root.halo == (4, 2, 3, 3)


@EVERY_ISA
@pytest.mark.parametrize("algorithm", ["direct", "im2col"])
def test_a_halo_is_zero_whatever_the_arena_held(isa, algorithm):
    """A convolution of ones counts the pixels within the borders, so a halo that is not zero shows."""
    net = Net()
    x = net.input("x", 1, 8, 6, 5)
    ones = np.ones((8, 8, 3, 3), np.float32)
    y = net("Conv", net("Conv", x, ones, pads=(1, 1, 1, 1)), ones, pads=(2, 0, 1, 1), dilations=(1, 2), strides=(2, 1))
    graph = net.graph(y)
    (expected,) = run_references(graph, [np.ones(x.shape)])
    arenas = Arenas()
    plan = plan_of(graph, isa=isa, algorithm=algorithm, arenas=arenas)
    for fill in (0xFF, 0x41):
        arena = poisoned((plan.arena_size,), np.dtype(np.uint8))
        arena[...] = fill
        arenas.clear()
        arenas.give(arena)
        out = np.empty(expected.shape, np.float32)
        plan.run([np.ones(x.shape, np.float32)], [out], 2)
        np.testing.assert_array_equal(out, expected)


class ConcatInPlace(Implementation):
    """Blocked tensors of whole blocks, which their producers write directly into the result."""

    name = "in_place"

    def refuse(self, node, target):
        return None

    def layouts(self, node, target):
        return dict.fromkeys(node.inputs, target.blocked), target.blocked

    def alias(self, node, reads, writes):
        whole, channel = writes[node.results[0]], 0
        for v in node.inputs:
            reads[v].lie_in(whole, channel)
            channel += v.dims[1]

    def bind(self, node, binder):
        return []


class ViewInPlace(Implementation):
    """The same memory under another shape."""

    name = "view"

    def refuse(self, node, target):
        return None

    def layouts(self, node, target):
        return {node.inputs[0]: ROW_MAJOR}, ROW_MAJOR

    def alias(self, node, reads, writes):
        writes[node.results[0]].lie_in(reads[node.inputs[0]])

    def bind(self, node, binder):
        return []


class Joined(Concat, abstract=True):
    pass


class Viewed(Reshape, abstract=True):
    pass


@pytest.fixture
def in_place(monkeypatch):
    monkeypatch.setitem(REGISTRY, "Joined", Joined)
    monkeypatch.setitem(REGISTRY, "Viewed", Viewed)
    monkeypatch.setitem(IMPLEMENTATIONS, Joined, (ConcatInPlace(),))
    monkeypatch.setitem(IMPLEMENTATIONS, Viewed, (ViewInPlace(),))


@EVERY_ISA
def test_tensors_that_lie_in_another(isa, in_place):
    """Two levels of concatenation: all tensors, with their halos, are parts of the outermost one's memory."""
    V = kernels.load(isa).V
    net = Net()
    x = net("Relu", conv(net, net.input("x", 2, 3, 8, 8), V))
    a, b = net("Relu", conv(net, x, 2 * V)), conv(net, x, V, kernel=1)
    inner = net("Joined", a, b, axis=1)
    c = conv(net, inner, V + 3)
    outer = net("Joined", conv(net, x, V), inner, c, axis=1)
    graph = net.graph(conv(net, outer, 5), conv(net, b, 5, kernel=5), a, net("GlobalMaxPool", c))
    plan = check(graph, X, isa=isa)
    whole = tensor(plan, outer.name, plan.target.blocked)
    begins = {v.name: tensor(plan, v.name, plan.target.blocked).channel for v in (inner, a, b, c)}
    assert begins == {inner.name: V, a.name: V, b.name: 3 * V, c.name: 4 * V}
    assert {tensor(plan, v.name, plan.target.blocked).root for v in (inner, a, b, c)} == {whole}
    assert f"in {outer.name!r}[{4 * V}:]" in str(plan)


@EVERY_ISA
@pytest.mark.parametrize("op", ["Split", "Slice"])
@pytest.mark.parametrize("begin", [1, 16])
def test_a_part_that_is_put_together_again(isa, op, begin):
    """A part of a Split is a part of the result too: a view of the whole if possible, else a copy."""
    net = Net()
    x = conv(net, net.input("x", 2, 3, 8, 8), begin + 16)
    if op == "Split":
        part = net("Split", x, np.int64([begin, 16]), axis=1, results=2)[1]
    else:
        part = net("Slice", x, np.int64([begin]), np.int64([begin + 16]), np.int64([1]))
    graph = net.graph(net("Relu", net("Concat", part, x, axis=1)), net("Concat", conv(net, part, 16), part, axis=1))
    check(graph, X, isa=isa)


def test_views_share_memory_and_outputs_that_do_are_copied(in_place):
    net = Net()
    x = net.input("x", 2, 3, 8, 8)
    y = net("Selu", x)
    flat = net("Viewed", y, np.int64([2, -1]))
    again = net("Viewed", flat, np.int64([6, 64]))
    graph = net.graph(flat, net("Softmax", again), y, again, net("Viewed", x, np.int64([-1])))
    plan = check(graph, X)
    roots = {tensor(plan, v.name, ROW_MAJOR).root for v in (y, flat, again)}
    assert len(roots) == 1
    outputs = run_plan(plan, [X], 1)
    assert not any(np.shares_memory(a, b) for i, a in enumerate(outputs) for b in outputs[:i])


# ---- between Python and the kernels


class Kernelless(Op, abstract=True):
    """Doubles its input; has no kernel."""

    def infer(self, x):
        return [(x.shape, x.dtype)]

    def reference(self, x):
        return 2 * x


def test_python_steps_between_compiled_ones(monkeypatch):
    monkeypatch.setitem(REGISTRY, "Kernelless", Kernelless)
    net = Net()
    x = net.input("x", 2, 3, 8, 8)
    y = net("Kernelless", conv(net, x))
    z = net("Kernelless", net("Kernelless", conv(net, y)))
    plan = check(net.graph(net("Relu", conv(net, net("Add", z, y))), net("Kernelless", y)), X)
    assert [e.label for e in plan.python_steps] == [n.label for n in plan.graph.nodes if isinstance(n.op, Kernelless)]
    kinds = ["Python" if e.steps is None else "compiled" for e in plan.entries]
    assert [kind for kind, _ in itertools.groupby(kinds)] == [*["compiled", "Python"] * 3, "compiled"]
    assert "4 Python steps" in str(plan)


def test_a_python_step_that_fails_names_its_node_and_gives_the_arena_back():
    net, arenas = Net(), Arenas()
    x, i = net.input("x", 4), net.input("i", 1, dtype=np.int64)
    plan = plan_of(net.graph(net("Gather", net("Selu", x), i, name="pick")), arenas=arenas)
    for _ in range(3):
        with pytest.raises(ModelError, match="node 'pick'"):
            plan.run([np.zeros(4, np.float32), np.int64([9])], [np.empty(1, np.float32)], 1)
        assert len(arenas.free) == 1
    plan.run([np.float32([0, 1, 2, 3]), np.int64([0])], [out := np.empty(1, np.float32)], 1)
    assert out == 0


def test_a_shape_that_only_the_run_would_know_is_an_error():
    net = Net()
    graph = net.graph(net("NonZero", net.input("x", 4), name="where"))
    with pytest.raises(ModelError, match=r"'where'.* its shape .* not known"):
        plan_of(graph)


# ---- what it remembers


@pytest.mark.slow
def test_weights_are_packed_once_for_all_plans_and_freed_with_the_last():
    net = Net()
    graph = net.graph(conv(net, net("Relu", conv(net, net.input("x", "N", 3, "H", "W")))))
    packed = weakref.WeakValueDictionary()
    plans = [plan_of(graph, (n, 3, 8, 8), packed=packed, accuracy="exact") for n in (1, 2, 3)]
    assert len(packed) == 4, "weights and bias of two convolutions"
    addresses = {key: p.array.ctypes.data for key, p in packed.items()}
    plans.append(plan_of(graph, (4, 3, 8, 8), packed=packed, accuracy="exact"))
    assert {key: p.array.ctypes.data for key, p in packed.items()} == addresses
    del plans[:3]
    gc.collect()
    assert len(packed) == len(addresses)
    plans.clear()
    gc.collect()
    assert not packed


@pytest.mark.slow
def test_a_plan_keeps_what_its_steps_point_to():
    net = Net()
    graph = net.graph(net("Gemm", net("Flatten", conv(net, net.input("x", 2, 3, 8, 8))), normal(RNG, 512, 4), normal(RNG, 4)))
    (expected,) = run_references(graph, [X])
    plan = plan_of(graph)
    del graph, net
    gc.collect()
    rubbish = [np.full(n, np.nan, np.float32) for n in range(100, 20_000, 100)]  # noqa: F841
    np.testing.assert_allclose(run_plan(plan, [X], 1)[0], expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("size", [0, 1, 1000, 1 << 19, (1 << 19) + 1])
def test_arrays_are_aligned(size):
    a = empty_aligned((size,))
    a[...] = 1
    assert not size or a.ctypes.data % 64 == 0
    assert a.dtype == np.float32
    assert a.size == size


def test_no_memory_is_a_memory_error():
    for n in (1 << 46, 1 << 61, 1 << 62):
        with pytest.raises(MemoryError):
            empty_aligned((n,))


def test_places():
    net = Net()
    x = net.input("x", 2, 3, 8, 8)
    y = net("Selu", net("Selu", x))
    plan = plan_of(net.graph(net("Selu", y)))
    places = [[plan.places[t] for t in (*e.reads.values(), *e.writes.values())] for e in plan.entries]
    (source, first), (before, second), (last, result) = places
    assert (source, result) == ((FIRST_INPUT, 0), (FIRST_INPUT + 1, 0))
    assert (before, last) == (first, second)
    assert sorted((first, second)) == [(ARENA, 0), (ARENA, X.nbytes)]
    assert plan.arena_size == 2 * X.nbytes


# ---- work


def test_small_steps_run_whole_and_others_in_pieces_by_their_size():
    def pieces(threads, *shape):
        net = Net()
        plan = plan_of(net.graph(net("Relu", net.input("x", *shape))), threads=threads, pieces=None)
        ((count, alone),) = {(s.pieces, s.alone) for e in plan.entries for s in e.steps}
        return count, alone

    assert pieces(2, 1, 8, 8) == (0, 1)
    assert pieces(2, 1, 150, 150) == (1, 1)
    assert 1 < pieces(2, 1, 400, 400)[0] < pieces(1, 1, 400, 400)[0] <= MOST_PIECES
    assert pieces(2, 1, 3000, 3000) == (MOST_PIECES, 1)


@pytest.mark.parametrize("threads", [1, 2])
def test_no_piece_is_estimated_to_be_long(threads):
    net = Net()
    plan = plan_of(net.graph(net("Relu", net.input("x", 1 << 30))), threads=threads, pieces=None)
    (entry,) = plan.entries
    (step,) = entry.steps
    time = node_microseconds(entry.node)
    assert time / step.alone < LONG_MICROSECONDS
    assert time / threads / step.pieces < LONG_MICROSECONDS


# ---- in words


def test_the_dump_says_how_each_node_runs_and_why_not_otherwise():
    net = Net()
    y = conv(net, net("Relu", conv(net, net.input("x", 2, 3, 8, 8))), name="second")
    plan = plan_of(net.graph(net("Selu", net("Add", y, y, name="twice"), name="selu")), accuracy="exact")
    text = str(plan)
    isa, V = plan.target.kernels.isa, plan.target.V
    sizes = f"arena {plan.arena_size / 1e6:.2f} MB, packed weights {plan.packed_bytes / 1e6:.2f} MB"
    assert text.splitlines()[0] == f"plan for {isa} (V={V}), {len(plan.entries)} entries, {sizes}, 1 Python steps"
    lines = {re.match(r" +\d+ '(.*?)'", line)[1]: line for line in text.splitlines() if re.match(r" +\d+ ", line)}
    assert len(re.findall(r"^ +\d+ '", text, re.M)) == len(plan.entries)
    assert "Conv+Relu first: 'x' 2×3×8×8 planar @arena+" in lines["conv0"]
    assert "reorder: 'x' 2×3×8×8 row-major @input -> 'x' 2×3×8×8 planar @arena+" in lines["x"]
    assert re.search(
        r"'second' Conv direct: 'relu1' 2×8×8×8 nChw\d+c @arena\+\d+ halo 1/1/1/1 -> 'second' 2×8×8×8 nChw\d+c @arena\+\d+$",
        lines["second"],
    )
    assert re.search(r"'selu' Selu reference \(Python\): .* -> 'selu' 2×8×8×8 row-major @output$", lines["selu"])
    assert "        not pointwise: kernel 3×3" in text
    assert "        not first: 8 input channels" in text
    offsets = {m[1]: int(m[2]) for m in re.finditer(r"'(\w+)' [\d×]+ (?:nChw\d+c|planar|row-major) @arena\+(\d+)", text)}
    assert offsets
    assert all(at % 64 == 0 and at < plan.arena_size for at in offsets.values())


def test_an_algorithm_that_was_asked_for_refuses_the_others():
    net = Net()
    plan = plan_of(net.graph(conv(net, net.input("x", 2, 3, 8, 8))), algorithm="im2col")
    assert "im2col" in implementations(plan)
    assert "not direct: im2col was asked for" in str(plan)


def test_a_node_that_names_an_unknown_value_is_the_planner_s_error():
    stray = Value("stray", (2, 3), np.dtype(np.float32))
    y = Value("y", (2, 3), np.dtype(np.float32))
    with pytest.raises(KeyError):
        build(Graph([], [y], [Node(REGISTRY["Relu"](), [stray], [y])]), Target(IMPLEMENTATIONS, kernels.load(), 1), {})


def test_steps_of_bytes_are_estimated_to_take_less_time_than_those_of_floats():
    x, w = Quantized(np.zeros((1, 16, 32, 32), np.uint8)), Quantized(np.zeros((16, 16, 3, 3), np.int8), constant=True)
    graph, _ = quantized_graph(REGISTRY["Conv"](pads=(1,) * 4), [x, w], (1.0, 0))
    (node,) = graph.nodes
    floats = Node(node.op, node.inputs, node.outputs)
    assert node_microseconds(node) < node_microseconds(floats) / 4
