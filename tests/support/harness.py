"""Run one node in a plan of its own, and compare: shared by the tests of all kernels.

    y, plan = run_node(MaxPool(kernel_shape=(3, 3)), [x], isa="avx2", threads=2)

Everything a kernel might wrongly read is poisoned: the arena and the outputs begin as NaN (all bits set). With `guard`, inputs,
outputs and arena lie against a page that must not be touched, "before" or "after" them. Under AddressSanitizer the buffers in
the arena lie apart, and what touches the memory between them is reported.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import mmap
from unittest import mock

import numpy as np

from fastconv import kernels
from fastconv.graph import Graph, Node, Value
from fastconv.implementations import IMPLEMENTATIONS
from fastconv.implementations.move import BLOCKED_DTYPES
from fastconv.ops.base import Op
from fastconv.plan import Plan, Target, build
from fastconv.plan.arena import Lifetime, assign
from fastconv.plan.implementation import Implementation
from fastconv.plan.packing import empty_aligned
from fastconv.plan.strided import copy_channels
from fastconv.reference import run_references

ISAS = kernels.available("conv_direct")
THREADS = (1, 2, 3)
EPS = float(np.finfo(np.float32).eps)
PAGE = mmap.PAGESIZE
LIBC = ctypes.CDLL(None, use_errno=True)
SANITIZED = hasattr(LIBC, "__asan_poison_memory_region")
RED_ZONE = 256  # bytes between buffers in the arena


class Block(Op, abstract=True):
    """An identity whose result is blocked, as a convolution in front of the node would give it."""

    def infer(self, x):
        return [(x.shape, x.dtype)]

    def reference(self, x):
        return x


class BlockCopy(Implementation):
    name = "block"
    dtypes = BLOCKED_DTYPES

    def refuse(self, node, target):
        return None

    def layouts(self, node, target):
        layout = target.blocked_of(node.inputs[0])
        return {node.inputs[0]: layout}, layout

    def bind(self, node, binder):
        x, y = binder.view(node.inputs[0]), binder.view(node.outputs[0])
        return copy_channels(binder, x, 0, y, 0, y.shape[1])


WITH_BLOCK = IMPLEMENTATIONS | {Block: (BlockCopy(),)}


def make_graph(op, inputs, *, constants=(), blocked=(), epilogue=(), results=1):
    """(Graph of one node, the arrays of the graph's inputs).

    `constants` and `blocked` are indices of inputs that are constant, or come in the blocked layout. `epilogue` lists the ops
    fused into the node: an Op, or a tuple (Op, other operands…), of which scalars are constant and the others inputs; or a list
    of them, those behind the first being fused into it.
    """
    nodes, given, arrays = [], [], []

    def value(array, name, constant=False, block=False):
        if array is None:
            return None
        if constant:
            return Value(name, constant=array)
        v = Value(name, array.shape, array.dtype)
        given.append(v)
        arrays.append(array)
        if block:
            nodes.append(Node(Block(), [v], [Value(f"{name}.blocked", v.shape, v.dtype)]))
            return nodes[-1].outputs[0]
        return v

    def node(op, operands, name):
        shapes = op.infer(*operands)[:results]
        return Node(op, operands, [Value(f"{name}{i}", shape, dtype) for i, (shape, dtype) in enumerate(shapes)], name)

    main = node(op, [value(a, f"x{i}", i in constants, i in blocked) for i, a in enumerate(inputs)], "y")

    def fuse(before, item, name):
        first, *behind = item if isinstance(item, list) else [item]
        op, *others = first if isinstance(first, tuple) else (first,)
        operands = [value(a, f"e{name}.{i}", a is not None and a.ndim == 0) for i, a in enumerate(others)]
        before.epilogue.append(node(op, [before.results[0], *operands], f"z{name}."))
        fused = before.epilogue[-1]
        for i, more in enumerate(behind):
            fuse(fused, more, f"{name}.{i}")

    for k, item in enumerate(epilogue):
        fuse(main, item, f"{k}")
    return Graph(given, main.results, [*nodes, main]), arrays


def reference(op, inputs, *, epilogue=(), results=1):
    """The expected outputs, computed by the references in float64: a list of arrays."""
    graph, arrays = make_graph(op, inputs, epilogue=epilogue, results=results)
    return run_references(graph, arrays)


def run_node(
    op,
    inputs,
    isa,
    threads,
    algorithm=None,
    constants=(),
    *,
    blocked=(),
    epilogue=(),
    results=1,
    guard=None,
    python=False,
    accuracy="default",
    weights="float32",
) -> tuple[list[np.ndarray], Plan]:
    """(outputs, plan) of one node, see make_graph for the operands; a node left to its reference fails, unless `python`."""
    graph, arrays = make_graph(op, inputs, constants=constants, blocked=blocked, epilogue=epilogue, results=results)
    with mock.patch("fastconv.plan.plan.assign", assign_apart) if SANITIZED else contextlib.nullcontext():
        plan = build(graph, Target(WITH_BLOCK, kernels.load(isa), threads, accuracy, algorithm, 2, weights), {})
    assert python or not plan.python_steps, str(plan)
    outputs = run_plan(plan, arrays, threads, guard)
    return outputs, plan


def run_plan(plan, arrays, threads, guard=None):
    """The outputs of a plan, with everything it does not promise to keep poisoned."""
    if SANITIZED and guard is None:
        guard = "after"  # memory that is allocated as usual may have some behind it, to align it
    inputs = [poisoned(a.shape, a.dtype, guard) for a in arrays]
    for own, a in zip(inputs, arrays, strict=True):
        own[...] = a
    outputs = [poisoned(v.dims, v.dtype, guard) for v in plan.graph.outputs]
    arena = poisoned((plan.arena_size // 4,), np.dtype(np.float32), guard)
    plan._arenas.free[:] = [arena]
    with red_zones(plan, arena) if SANITIZED else contextlib.nullcontext():
        plan.run(inputs, outputs, threads)
    return outputs


def assign_apart(lifetimes):
    """As `assign`, but no two buffers share memory, and RED_ZONE bytes or more are free between them."""
    offsets, size = assign([Lifetime(buffer.size + RED_ZONE, 0, 0) for buffer in lifetimes])
    return offsets, max(size - RED_ZONE, 0)


@contextlib.contextmanager
def red_zones(plan, arena):
    """For AddressSanitizer, only the tenants of the arena may be touched."""

    def allow(offset, size, way="unpoison"):
        getattr(LIBC, f"__asan_{way}_memory_region")(ctypes.c_void_p(arena.ctypes.data + offset), ctypes.c_size_t(size))

    allow(0, arena.nbytes, "poison")
    for tenant in plan.tenants:
        allow(tenant.offset, tenant.lifetime.size)
    try:
        yield
    finally:
        allow(0, arena.nbytes)


def run_threads(op, inputs, isa, algorithm=None, constants=(), **options):
    """(outputs, plan), after checking that 1, 2 and 3 threads give the same bits."""
    # a plan has room for as many threads as it was made for
    first, plan = run_node(op, inputs, isa, THREADS[-1], algorithm, constants, **options)
    arrays = [a for i, a in enumerate(inputs) if a is not None and i not in constants]
    arrays += [a for e in options.get("epilogue", ()) if isinstance(e, tuple) for a in e[1:] if a is not None and a.ndim]
    for threads in THREADS[:-1]:
        others = run_plan(plan, arrays, threads, options.get("guard"))
        for a, b in zip(first, others, strict=True):
            assert same_bits(a, b), f"{threads} threads differ from {THREADS[-1]}"
    return first, plan


def check_tenants(plan):
    """Tenants lie in the arena, and those that live at the same time do not overlap; each tensor of it is one."""
    tenants = [(t.offset, t.offset + t.lifetime.size, t.lifetime.first, t.lifetime.last) for t in plan.tenants]
    for i, (begin, end, first, last) in enumerate(tenants):
        assert 0 <= begin <= end <= plan.arena_size
        assert 0 <= first <= last <= len(plan.entries)
        for other_begin, other_end, other_first, other_last in tenants[:i]:
            assert end <= other_begin or other_end <= begin or last < other_first or other_last < first
    assert plan.arena_size - 64 < max((end for _, end, _, _ in tenants), default=0)


def choice(plan):
    """The name of the implementation that runs the node."""
    return next(e.algorithm for e in reversed(plan.entries) if e.node is not None)


def refusals(op, inputs, isa, accuracy="default", **options):
    """Why each implementation refuses the node: {name: reason}."""
    graph, _ = make_graph(op, inputs, **options)
    plan = build(graph, Target(WITH_BLOCK, kernels.load(isa), 1, accuracy), {})
    entry = next(e for e in reversed(plan.entries) if e.node is not None)
    return dict(entry.refusals)


def constants_of(module):
    """The names of the constants of a compiled module."""
    return {name for name in vars(module) if name.isupper()}


def same_bits(a, b):
    """Whether two arrays are equal bit for bit (so that NaN equals itself and 0 is not -0)."""
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def assert_within(y, expected, bound):
    """|y - expected| <= bound everywhere, NaN and infinities exactly where expected has them."""
    assert y.shape == expected.shape, f"shape {y.shape}, expected {expected.shape}"
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(y[~finite], expected[~finite].astype(y.dtype))
    error = np.abs(y[finite].astype(np.float64) - expected[finite])
    allowed = np.broadcast_to(bound, expected.shape)[finite]
    worst = np.argmax(error - allowed) if error.size else 0
    wrong = np.count_nonzero(~(error <= allowed))  # a NaN is wrong too
    assert not wrong, f"{wrong} of {error.size} wrong; error {error.flat[worst]}, allowed {allowed.flat[worst]}"


def integers(rng, shape, low=-8, high=8):
    """Small integers as float32: sums of their products are exact in any order."""
    return rng.integers(low, high + 1, shape).astype(np.float32)


def poisoned(shape, dtype, guard=None):
    """An array with every bit set (NaN for floats); `guard` puts a page that must not be touched before or after it."""
    size = math.prod(shape) * dtype.itemsize
    array = _guarded(size, guard) if guard else empty_aligned((-(-size // 4),)).view(np.uint8)[:size]
    array[...] = 0xFF
    return array.view(dtype).reshape(shape)


def _guarded(size, guard):
    room = -(-size // PAGE) * PAGE
    memory = mmap.mmap(-1, room + 2 * PAGE)
    whole = np.frombuffer(memory, np.uint8)
    for page in (whole.ctypes.data, whole.ctypes.data + PAGE + room):
        if LIBC.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(PAGE), 0):  # PROT_NONE
            raise OSError(ctypes.get_errno(), "mprotect")
    start = {"before": PAGE, "after": PAGE + room - size}[guard]
    return whole[start : start + size]
