"""Fully connected layers of bytes: the same bytes as the rule of integers gives."""

import numpy as np
import pytest

from fastconv import kernels
from fastconv.ops.gemm import Gemm
from fastconv.ops.matmul import MatMul

from ..support.quantized import Quantized, expected, products, quantized_graph, run_quantized

COVERS = {"Gemm": ("gemm-int8", "gemm-int8-floats"), "MatMul": ("gemm-int8", "gemm-int8-floats")}
ISAS = kernels.available("conv_int8")


SIZES = [(1, 64, 32), (1, 300, 100), (8, 100, 10), (3, 63, 33), (17, 128, 48), (40, 130, 96), (2, 7, 16)]


def data(form, M, K, OC):
    """(the operator, its operands), as Gemm, with transposed weights, or as MatMul."""
    rng = np.random.default_rng(M * K + OC)
    w = rng.integers(-127, 128, (OC, K)).astype(np.int8)
    scales = rng.uniform(0.005, 0.02, OC).astype(np.float32)
    x = Quantized(rng.integers(0, 256, (M, K)).astype(np.uint8), 0.02, 100)
    transposed = form == "transposed"
    weights = Quantized(
        w if transposed else np.ascontiguousarray(w.T), scales, 3 if K == 63 else 0, 0 if transposed else 1, True
    )
    if form == "matmul":
        return MatMul(), [x, weights]
    bias = rng.integers(-9999, 9999, OC).astype(np.int32)
    return Gemm(transB=int(transposed)), [x, weights, Quantized(bias, np.float32(0.02) * scales, 0, 0, True)]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(("M", "K", "OC"), SIZES)
@pytest.mark.parametrize("form", ["gemm", "transposed", "matmul"])
def test_bytes(form, M, K, OC, isa):
    """Every byte is that of the rule, for rows that fill the kernel's reads and stores and for others."""
    op, operands = data(form, M, K, OC)
    result = (np.float32(np.sqrt(K) * 74 * 74 * 0.01 * 0.02 / 40), 7)
    graph, arrays = quantized_graph(op, operands, result)
    y, plan = run_quantized(graph, arrays, isa)
    assert [e.algorithm for e in plan.entries if e.node] == ["gemm-int8"]
    np.testing.assert_array_equal(y, products(op, operands, result))
    assert np.abs(y.astype(int) - expected(graph, arrays)).max() <= 1


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(("M", "K", "OC"), SIZES)
@pytest.mark.parametrize("form", ["gemm", "matmul"])
def test_results_that_stay_floats(form, M, K, OC, isa):
    """Each is the exact sum times the two scales, rounded as float32."""
    op, operands = data(form, M, K, OC)
    graph, arrays = quantized_graph(op, operands, None)
    y, plan = run_quantized(graph, arrays, isa)
    assert [e.algorithm for e in plan.entries if e.node] == ["gemm-int8-floats"]
    x, w, *bias = operands
    sums = (x.array.astype(np.int64) - x.zero) @ (w.array.astype(np.int64) - w.zero) + (bias[0].array if bias else 0)
    np.testing.assert_array_equal(y, sums.astype(np.float32) * (np.float32(x.scale) * w.scale))
