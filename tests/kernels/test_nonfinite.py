"""NaN and infinities at every position, in every kernel of every instruction set, by NumPy's rules; the caller's mode.

An odd value at each position of an image is one image of a batch, so that one run tries all of them.
"""

import textwrap

import numpy as np
import pytest

from fastconv.ops import (
    arg_max,
    average_pool,
    binary,
    conv,
    conv_transpose,
    elementwise,
    gemm,
    global_pool,
    matmul,
    max_pool,
    normalization,
    pad,
    reduce,
    resize,
    softmax,
    top_k,
    transpose,
)

from ..model.test_threads import openmp, python
from ..support.harness import ISAS, choice, reference, run_node

ODD = [np.nan, np.inf, -np.inf]
rng = np.random.default_rng(0)


def floats(*shape):
    return rng.uniform(0.5, 2, shape).astype(np.float32)


def at_each_position(x, value):
    """Copies of x (1 …) along axis 0, each with the value at another position."""
    batch = np.repeat(x, x.size, 0)
    batch.reshape(x.size, -1)[np.arange(x.size), np.arange(x.size)] = value
    return batch


IMAGE, WIDE = (1, 5, 4, 5), (1, 19, 2, 3)
LAYERS = {
    "first": (conv.Conv(pads=(1, 1, 1, 1)), (1, 3, 4, 5), [floats(5, 3, 3, 3), floats(5)]),
    "direct": (conv.Conv(pads=(1, 1, 1, 1), strides=(2, 1)), IMAGE, [floats(19, 5, 3, 3)]),
    "pointwise": (conv.Conv(), WIDE, [floats(6, 19, 1, 1)]),
    "depthwise": (conv.Conv(pads=(1, 1, 1, 1), group=19), WIDE, [floats(19, 1, 3, 3)]),
    "groups": (conv.Conv(pads=(1, 1, 1, 1), group=4), (1, 12, 3, 3), [floats(20, 3, 3, 3)]),
    "phases": (conv_transpose.ConvTranspose(strides=(2, 2), pads=(1, 1, 1, 1)), IMAGE, [floats(5, 6, 3, 3)]),
    "im2col": (conv.Conv(pads=(1, 1, 1, 1)), IMAGE, [floats(7, 5, 3, 3)]),
    "gemm": (gemm.Gemm(), (1, 21), [floats(21, 37), floats(37)]),
    "matmul": (matmul.MatMul(), (1, 3, 21), [floats(21, 37)]),
    "max pool": (max_pool.MaxPool(kernel_shape=(3, 3), pads=(1, 1, 1, 1), strides=(2, 2)), IMAGE, []),
    "average pool": (average_pool.AveragePool(kernel_shape=(3, 3), pads=(1, 1, 1, 1)), IMAGE, []),
    "global max": (global_pool.GlobalMaxPool(), WIDE, []),
    "global average": (global_pool.GlobalAveragePool(), WIDE, []),
    "group norm": (normalization.GroupNormalization(num_groups=2), (1, 4, 3, 3), [floats(4), floats(4)]),
    "instance norm": (normalization.InstanceNormalization(), IMAGE, [floats(5), floats(5)]),
    "layer norm": (normalization.LayerNormalization(), (1, 2, 19), [floats(19), floats(19)]),
    "softmax": (softmax.Softmax(), (1, 2, 19), []),
    "log softmax": (softmax.LogSoftmax(), (1, 2, 19), []),
    "resize": (resize.Resize(mode="nearest"), IMAGE, [None, np.float32([1, 1, 2, 2])]),
    "pad": (pad.Pad(), IMAGE, [np.int64([0, 0, 1, 1, 0, 0, 1, 1])]),
    "transpose": (transpose.Transpose(perm=(0, 2, 3, 1)), IMAGE, []),
    "argmax": (arg_max.ArgMax(axis=1), (1, 19), []),
    "top k": (top_k.TopK(), (1, 19), [np.int64([3])]),
    "prelu": (binary.PRelu(), IMAGE, [floats(5, 1, 1)]),
} | {
    name: (getattr(reduce, name)(), (1, 2, 19), [np.int64([2])])
    for name in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare")
} | {
    name: (getattr(elementwise, name)(), (1, 19), [])
    for name in (
        "Abs", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish", "Neg", "Reciprocal", "Relu",
        "Sigmoid", "Softplus", "Sqrt", "Swish", "Tanh",
    )
} | {
    name: (getattr(binary, name)(), (1, 19), [floats(19)]) for name in ("Add", "Sub", "Mul", "Div", "Min", "Max")
}  # fmt: skip


def same_kinds(y, expected):
    """Whether NaN and infinities are where they should be."""
    np.testing.assert_array_equal(np.isnan(y), np.isnan(expected))
    np.testing.assert_array_equal(np.where(np.isinf(y), y, 0), np.where(np.isinf(expected), expected, 0))


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize("name", LAYERS)
def test_every_position(name, value):
    op, shape, others = LAYERS[name]
    x = at_each_position(floats(*shape), value)
    [expected, *_] = reference(op, [x, *others])
    for isa in ISAS:
        constants = tuple(range(1, 1 + len(others)))
        [y, *_], plan = run_node(op, [x, *others], isa, 2, "im2col" if name == "im2col" else None, constants, accuracy="exact")
        if name in ("groups", "depthwise", "pointwise", "phases", "first"):
            assert choice(plan) == name
        same_kinds(y, expected) if y.dtype == np.float32 else np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("size", [3, 5])
def test_winograd_spreads_them_within_an_output_tile(isa, size):
    op, p, M = conv.Conv(pads=(size // 2,) * 4), size // 2, 4 if size == 3 else 2
    w = floats(16, 16, size, size)
    x = floats(1, 16, 12, 12)
    clean = run_node(op, [x, w], isa, 1, "winograd", (1,))[0][0]
    for h, v in ((0, 0), (5, 7), (11, 3)):
        odd = x.copy()
        odd[0, 3, h, v] = np.nan
        y = run_node(op, [odd, w], isa, 1, "winograd", (1,))[0][0]
        spread = np.isnan(y).any((0, 1))
        assert spread[max(h - p, 0) : h + p + 1, max(v - p, 0) : v + p + 1].all(), "every window that holds it"
        rows, columns = (np.flatnonzero(spread.any(axis)) for axis in (1, 0))
        for at, found in ((h, rows), (v, columns)):
            first, last = (at - p) // M * M, (at + p) // M * M + M
            assert max(first, 0) <= found.min()
            assert found.max() < last
        np.testing.assert_array_equal(y[..., ~spread], clean[..., ~spread])


# ---- the state of the thread

#: denormals() is whether the thread's mode keeps denormals
STATE = """
    import signal, sys, threading, time
    import numpy as np

    def denormals():
        return float(np.float32(1e-38) * np.float32(0.1)) != 0 and float(np.float32(1e-45) + np.float32(0)) != 0

    def on_a_thread(f):
        out = []
        t = threading.Thread(target=lambda: out.append(f()))
        t.start()
        t.join()
        return out[0]
"""


def test_importing_leaves_the_floating_point_mode():
    code = "assert denormals()\nimport fastconv, fastconv.functional\nfastconv.load(fastconv.data.DIGITS)\n"
    assert python(textwrap.dedent(STATE) + code + "print(denormals(), on_a_thread(denormals))") == "True True"


@openmp
def test_runs_leave_the_floating_point_mode():
    """After a run, an exception and Ctrl-C, on the main thread and on another."""
    code = """
    import fastconv
    from fastconv import kernels
    from fastconv.graph import Graph, Node, Value
    from fastconv.implementations import IMPLEMENTATIONS
    from fastconv.ops.conv import Conv
    from fastconv.ops.gather import Gather
    from fastconv.plan import Target, build

    def made(op, *values):
        xs = [Value(f"x{i}", v.shape, v.dtype) if c is None else Value(f"x{i}", constant=c) for i, (v, c) in enumerate(values)]
        y = Value("y", *op.infer(*xs)[0])
        inputs = [x for x in xs if x.constant is None]
        plan = build(Graph(inputs, [y], [Node(op, xs, [y])]), Target(IMPLEMENTATIONS, kernels.load(), 2, pieces=2), {})
        assert not plan.python_steps
        return plan, [v for v, c in values if c is None], [np.empty(y.dims, y.dtype)]

    rng = np.random.default_rng(0)
    w = rng.standard_normal((64, 64, 3, 3), np.float32)
    slow = made(Conv(pads=(1,) * 4), (rng.standard_normal((2, 64, 112, 112), np.float32), None), (w, w))
    wrong = made(Gather(), (np.ones((5, 4096), np.float32), None), (np.full(64, 9), None))

    def run(made, threads=2):
        plan, inputs, outputs = made
        plan.run(inputs, outputs, threads)

    def fails():
        try:
            run(wrong)
        except fastconv.ModelError:
            return denormals()

    def interrupted():
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        try:
            while True:
                run(slow)
        except KeyboardInterrupt:
            return denormals()

    def good():
        run(made(Conv(pads=(1,) * 4), (np.ones((1, 64, 8, 8), np.float32), None), (w, w)))
        return denormals()

    print(good(), on_a_thread(good), fails(), on_a_thread(fails), interrupted(), denormals())
    """
    assert python(textwrap.dedent(STATE) + textwrap.dedent(code)) == " ".join(["True"] * 6)
