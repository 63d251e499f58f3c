"""Convolution of bytes: those that the rule of integers gives, on every instruction set and for any number of threads."""

import zlib
from typing import NamedTuple

import numpy as np
import pytest

from fastconv import kernels
from fastconv.graph import Value
from fastconv.implementations import IMPLEMENTATIONS
from fastconv.implementations.int8 import panels
from fastconv.ops.conv import Conv
from fastconv.ops.elementwise import Relu
from fastconv.plan import Target, build

from ..support.quantized import Quantized, expected, products, quantized_graph, run_quantized

COVERS = {"Conv": ("direct-int8", "pointwise-int8", "first-int8")}
ISAS = kernels.available("conv_int8")


class Case(NamedTuple):
    """A convolution: groups, channels, kernel, stride, padding, dilation, size of the map, images."""

    IC: int
    OC: int
    K: int = 1
    stride: int = 1
    pad: int = 0
    dilation: int = 1
    group: int = 1
    size: tuple[int, int] = (7, 9)
    N: int = 1
    store: str = ""  # "residual", "between": the residual is added to rounded sums
    relu: bool = False
    zero: int = 131  # of the source
    weights: str = (
        "channels"  # "one" scale; "uint8" with zero points; "wide": more than 8 bits without them; "small", "extreme"
    )
    bias: bool = True

    def __str__(self):
        default = Case(0, 0)
        given = zip(self._fields, self, default, strict=True)
        return "-".join(f"{name}={value}" for name, value, usual in given if value != usual).replace(" ", "")


CASES = {
    "direct-int8": [
        Case(16, 32, 3, pad=1),
        Case(17, 31, 3, pad=1, relu=True, store="between"),
        Case(64, 48, 3, 2, 1, size=(15, 15), store="residual"),
        Case(33, 16, 3, pad=2, dilation=2, N=2),
        Case(32, 64, 3, pad=1, size=(7, 7), store="between"),  # two rows of 7
        Case(32, 64, 3, pad=1, size=(9, 7), zero=0),
        Case(40, 80, (1, 5), pad=(0, 2), size=(4, 40)),
        Case(64, 32, 3, pad=1, group=2, size=(8, 8)),
        Case(12, 24, 3, pad=1, group=3, relu=True),
        Case(16, 16, 3, pad=1, weights="uint8"),
        Case(20, 24, 3, pad=1, weights="wide", zero=255),
        Case(16, 32, 3, pad=1, weights="small", bias=False),
        Case(64, 32, 3, pad=1, weights="extreme", zero=0),
    ],
    "pointwise-int8": [
        Case(64, 32),
        Case(48, 80, size=(14, 14), store="between"),
        Case(5, 3, N=3),
        Case(100, 50, stride=2, size=(9, 11), relu=True),
        Case(128, 48, size=(23, 23), store="residual", weights="one"),
        Case(1024, 16, size=(3, 3)),
        Case(24, 96, size=(1, 1), zero=1),
    ],
    "first-int8": [
        Case(3, 32, 3, 2, 1, size=(17, 33)),
        Case(3, 64, 7, 2, 3, size=(21, 20), N=2),
        Case(1, 20, 5, size=(11, 12)),
        Case(4, 17, 3, 4, 1, size=(19, 19)),
        Case(2, 8, 3, dilation=2, size=(9, 9)),
    ],
}


def data(case):
    """(op, the keywords of quantized_graph)."""
    rng = np.random.default_rng(zlib.crc32(repr(case).encode()))
    KH, KW = case.K if isinstance(case.K, tuple) else (case.K, case.K)
    top, left = case.pad if isinstance(case.pad, tuple) else (case.pad, case.pad)
    op = Conv(strides=(case.stride,) * 2, pads=(top, left) * 2, dilations=(case.dilation,) * 2, group=case.group)
    shape = (case.OC, case.IC // case.group, KH, KW)
    w_zero, dtype = 0, np.int8
    w = rng.integers(-127, 128, shape)
    if case.weights == "uint8":
        w, w_zero, dtype = w + 128, 128, np.uint8
    elif case.weights == "wide":
        w, w_zero, dtype = rng.choice([0, 1, 128, 254, 255], shape), rng.choice([0, 3, 128, 255], case.OC), np.uint8
    elif case.weights == "small":
        w = rng.integers(-64, 65, shape)
    elif case.weights == "extreme":
        w = rng.choice([-128, 127], shape)
    scales = np.float32(0.01) if case.weights == "one" else rng.uniform(0.005, 0.02, case.OC).astype(np.float32)
    w_zero = w_zero if np.ndim(w_zero) or np.ndim(scales) == 0 else np.full(case.OC, w_zero)
    if case.weights == "wide" and np.ndim(scales) == 0:
        scales = np.full(case.OC, scales)
    x = rng.integers(0, 256, (case.N, case.IC, *case.size))
    if case.weights == "extreme":
        x = rng.choice([0, 255], x.shape)
    x = Quantized(x.astype(np.uint8), 0.02, case.zero)
    weights = Quantized(w.astype(dtype), scales, w_zero, 0, True)
    operands = [x, weights]
    if case.bias:
        operands.append(Quantized(rng.integers(-9999, 9999, case.OC).astype(np.int32), np.float32(0.02) * scales, 0, 0, True))
    step = np.float32(np.sqrt(shape[1] * KH * KW) * 74 * 74 * 0.01 * 0.02 / 40)
    dims = op.infer(*(Value("v", q.array.shape, np.dtype(np.float32)) for q in (x, weights)))[0][0]
    residual = Quantized(rng.integers(0, 256, dims).astype(np.uint8), 0.7 * step, 20) if case.store else None
    between = (1.3 * step, 100) if case.store == "between" else None
    return op, {"operands": operands, "result": (step, 7), "between": between, "residual": residual}


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(("name", "case"), [(name, case) for name, cases in CASES.items() for case in cases], ids=str)
def test_bytes(name, case, isa):
    """Every byte is that of the rule, and no further than one step from what the float operator gives."""
    op, options = data(case)
    graph, arrays = quantized_graph(op, **options, activations=[Relu()] if case.relu else [])
    y, plan = run_quantized(graph, arrays, isa, algorithm=name)
    assert plan.entries[-2 if plan.entries[-1].node is None else -1].algorithm == name
    want = products(op, **options, relu=case.relu)
    np.testing.assert_array_equal(y, want)
    assert np.abs(y.astype(int) - expected(graph, arrays)).max() <= 1


def test_panels():
    """The panels are those of pyx/panels.pxd."""
    assert panels(1) == [(0, 1)]
    assert panels(2) == [(0, 2)]
    assert panels(3) == [(0, 3)]
    assert panels(5) == [(0, 2), (2, 3)]
    assert panels(6) == [(0, 2), (2, 2), (4, 2)]


def test_wide_padding_is_refused():
    """A halo of more than a gigabyte is not made for a small source."""
    _, options = data(Case(16, 16, 1))
    wide = Conv(pads=(1 << 23, 0, 1 << 23, 0), strides=(1 << 20, 1))
    graph, _ = quantized_graph(wide, options["operands"], options["result"])
    plan = build(graph, Target(IMPLEMENTATIONS, kernels.load(), 1), {})
    assert {why for e in plan.entries for name, why in e.refusals if name == "direct-int8"} == {"a halo of 2,415,918,240 bytes"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"x": {"scale": 0.0}}, "the source has no scale, or more than one"),
        ({"x": {"scale": np.nan}}, "the source has no scale, or more than one"),
        ({"x": {"scale": np.ones(16, np.float32), "axis": 1}}, "the source has no scale, or more than one"),
        ({"w": {"scale": -0.01}}, "weights are not constant"),
        ({"w": {"constant": False}}, "weights are not constant"),
        ({"w": {"scale": np.ones(16, np.float32), "axis": 1}}, "scales along axis 1 of the weights"),
        ({"result": (1e-9, 0)}, "sums of more than 32 bits"),
        ({"b": np.full(32, 2**31 - 1, np.int32)}, "sums of more than 32 bits"),
    ],
)
def test_what_kernels_do_not_take_is_computed_in_floats(change, reason):
    """The result is that of the float operator, and the plan says why."""
    op, options = data(Case(16, 32, 3, pad=1, weights="one"))
    x, w, b = options["operands"]
    b = b._replace(array=change.get("b", b.array))
    operands = [x._replace(**change.get("x", {})), w._replace(**change.get("w", {})), b]
    graph, arrays = quantized_graph(op, operands, change.get("result", options["result"]))
    y, plan = run_quantized(graph, arrays, ISAS[-1], python=True)
    assert reason in {why for e in plan.entries for name, why in e.refusals if name == "direct-int8"}
    with np.errstate(all="ignore"):
        assert np.abs(y.astype(int) - expected(graph, arrays)).max() <= 1
