"""The naive versions against a formulation that shares nothing with them: windows cut by NumPy, summed by einsum in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastconv import naive
from fastconv.errors import InputError

EPS = np.finfo(np.float32).eps


def window_starts(size, extent, stride, before, after, ceil_mode=False):
    """The starts of the windows in the padded input, found by walking over it."""
    end = before + size + after
    if not ceil_mode:
        return list(range(0, end - extent + 1, stride))
    # one more window while the last has not reached the end, but none that begins behind the input
    return [at for at in range(0, before + size, stride) if at == 0 or at - stride + extent < end]


def windows(x, kernel, stride, padding, dilation, fill, ceil_mode=False):
    """Every window of x, [N, C, OH, OW, KH, KW], with `fill` in the padding."""
    (KH, KW), (SH, SW), (DH, DW), (top, left, bottom, right) = kernel, stride, dilation, padding
    EH, EW = DH * (KH - 1) + 1, DW * (KW - 1) + 1
    rows = window_starts(x.shape[2], EH, SH, top, bottom, ceil_mode)
    cols = window_starts(x.shape[3], EW, SW, left, right, ceil_mode)
    # ceil_mode's last window may hang over the padding: EH and EW more hold any window that begins inside
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom + EH), (left, right + EW)), constant_values=fill)
    every = np.lib.stride_tricks.sliding_window_view(x, (EH, EW), axis=(2, 3))
    return every[:, :, rows][:, :, :, cols][..., ::DH, ::DW]


def einsum_conv2d(x, w, b, stride, padding, dilation, groups):
    OC, ICG, KH, KW = w.shape
    cut = windows(np.float64(x), (KH, KW), stride, padding, dilation, 0.0)
    N, _, OH, OW = cut.shape[:4]
    cut = cut.reshape(N, groups, ICG, OH, OW, KH, KW)
    w = np.float64(w).reshape(groups, OC // groups, ICG, KH, KW)
    return np.einsum("ngihwkl,goikl->ngohw", cut, w).reshape(N, OC, OH, OW) + np.float64(b)[:, None, None]


def integers(rng, *shape):
    """Small integers as float32: their sums are exact in any order."""
    return rng.integers(-8, 9, shape).astype(np.float32)


sizes = st.integers(1, 3)
pairs = st.tuples(sizes, sizes)
paddings = st.tuples(*[st.integers(0, 3)] * 4)


@st.composite
def conv_cases(draw):
    groups, ICG, OCG = draw(sizes), draw(sizes), draw(sizes)
    kernel, dilation, padding = draw(pairs), draw(pairs), draw(paddings)
    extent = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    pixels = [
        draw(st.integers(max(1, e - p), max(1, e - p) + 3))
        for e, p in zip(extent, (padding[0] + padding[2], padding[1] + padding[3]), strict=True)
    ]
    shapes = (draw(st.integers(1, 2)), groups * ICG, *pixels), (groups * OCG, ICG, *kernel)
    return *shapes, draw(st.booleans()), draw(pairs), padding, dilation, groups, draw(st.integers(0, 2**32 - 1))


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(conv_cases())
def test_conv2d_is_exact_on_integers(case):
    x_shape, w_shape, has_bias, stride, padding, dilation, groups, seed = case
    rng = np.random.default_rng(seed)
    x, w, b = integers(rng, *x_shape), integers(rng, *w_shape), integers(rng, w_shape[0])
    expected = einsum_conv2d(x, w, b if has_bias else 0 * b, stride, padding, dilation, groups)
    for compiled in (False, True):
        y = naive.conv2d(x, w, b if has_bias else None, stride, padding, dilation, groups, compiled=compiled)
        assert y.dtype == np.float32
        np.testing.assert_array_equal(y, expected)


@st.composite
def pool_cases(draw):
    kernel, stride, dilation, padding = draw(pairs), draw(pairs), draw(pairs), draw(paddings)
    extent = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    pixels = [draw(st.integers(e, e + 6)) for e in extent]
    return pixels, kernel, stride, padding, dilation, draw(st.booleans()), draw(st.integers(0, 2**32 - 1))


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(pool_cases())
def test_max_pool2d(case):
    pixels, kernel, stride, padding, dilation, ceil_mode, seed = case
    rng = np.random.default_rng(seed)
    x = integers(rng, 2, 2, *pixels)
    x[rng.random(x.shape) < 0.1] = np.nan
    x[rng.random(x.shape) < 0.1] = -np.inf
    expected = windows(x, kernel, stride, padding, dilation, -np.inf, ceil_mode).max(axis=(4, 5))
    for compiled in (False, True):
        y = naive.max_pool2d(x, kernel, stride, padding, dilation, ceil_mode, compiled=compiled)
        assert y.dtype == np.float32
        np.testing.assert_array_equal(y, expected)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 20), st.booleans(), st.integers(0, 2**32 - 1))
def test_linear_is_exact_on_integers(N, OC, K, has_bias, seed):
    rng = np.random.default_rng(seed)
    x, w, b = integers(rng, N, K), integers(rng, OC, K), integers(rng, OC)
    expected = np.einsum("nk,ok->no", np.float64(x), np.float64(w)) + (b if has_bias else 0)
    for compiled in (False, True):
        y = naive.linear(x, w, b if has_bias else None, compiled=compiled)
        assert y.dtype == np.float32
        np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("compiled", [False, True])
def test_rounding_is_that_of_one_float32_sum(compiled):
    rng = np.random.default_rng(0)
    x, w, b = (rng.standard_normal(s).astype(np.float32) for s in ((1, 20, 6, 6), (4, 20, 3, 3), (4,)))
    options = (1, 1), (1, 1, 1, 1), (1, 1), 1
    error = abs(naive.conv2d(x, w, b, padding=1, compiled=compiled) - einsum_conv2d(x, w, b, *options))
    # Higham's bound for a sum of K products and a bias in any order: every term is rounded at most K + 1 times
    terms = einsum_conv2d(abs(x), abs(w), abs(b), *options)
    assert (error <= (20 * 3 * 3 + 1) * EPS * terms).all()


def test_float64_stays_float64():
    rng = np.random.default_rng(0)
    x, w, b = rng.standard_normal((1, 3, 5, 5)), rng.standard_normal((2, 3, 3, 3)), rng.standard_normal(2)
    y = naive.conv2d(x, w, b)
    assert y.dtype == np.float64
    np.testing.assert_allclose(y, einsum_conv2d(x, w, b, (1, 1), (0, 0, 0, 0), (1, 1), 1), rtol=0, atol=28 * 2.0**-52 * 40)
    assert naive.max_pool2d(x, 2).dtype == naive.linear(x[0, 0], w[:, 0, 0, :].repeat(2, 1)[:, :5]).dtype == np.float64


@pytest.mark.parametrize("compiled", [False, True])
def test_any_strides_and_read_only_arrays(compiled):
    rng = np.random.default_rng(0)
    x, w = integers(rng, 2, 6, 5, 3), integers(rng, 3, 3, 3, 4)
    x.flags.writeable = w.flags.writeable = False
    xt, wt = x.transpose(0, 3, 1, 2), w.transpose(3, 2, 0, 1)
    expected = naive.conv2d(np.ascontiguousarray(xt), np.ascontiguousarray(wt))
    np.testing.assert_array_equal(naive.conv2d(xt, wt, compiled=compiled), expected)
    pooled = naive.max_pool2d(np.ascontiguousarray(xt), 2)
    np.testing.assert_array_equal(naive.max_pool2d(xt, 2, compiled=compiled), pooled)


@pytest.mark.parametrize("compiled", [False, True])
def test_the_short_forms_of_the_options(compiled):
    rng = np.random.default_rng(0)
    x, w = integers(rng, 1, 2, 7, 8), integers(rng, 2, 2, 2, 2)
    full = naive.conv2d(x, w, None, (2, 2), (1, 1, 1, 1), (2, 2), compiled=compiled)
    np.testing.assert_array_equal(naive.conv2d(x, w, None, 2, 1, 2, compiled=compiled), full)
    sides = naive.conv2d(x, w, padding=(1, 2, 1, 2), compiled=compiled)
    np.testing.assert_array_equal(naive.conv2d(x, w, padding=(1, 2), compiled=compiled), sides)
    strided = naive.max_pool2d(x, (2, 3), (2, 3), compiled=compiled)
    np.testing.assert_array_equal(naive.max_pool2d(x, (2, 3), compiled=compiled), strided)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_window_of_padding_alone_is_minus_infinity(compiled):
    y = naive.max_pool2d(np.zeros((1, 1, 1, 1), np.float32), 1, padding=1, compiled=compiled)
    np.testing.assert_array_equal(y[0, 0], np.where(np.eye(3)[1][:, None] * np.eye(3)[1], 0, -np.inf))


@pytest.mark.parametrize("compiled", [False, True])
def test_an_empty_batch_has_an_empty_result(compiled):
    x, w = np.zeros((0, 3, 4, 4), np.float32), np.zeros((2, 3, 3, 3), np.float32)
    assert naive.conv2d(x, w, compiled=compiled).shape == (0, 2, 2, 2)
    assert naive.max_pool2d(x, 2, compiled=compiled).shape == (0, 3, 2, 2)


def zeros(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


X, W = zeros(1, 4, 5, 5), zeros(6, 2, 3, 3)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: naive.conv2d(X[0], W), r"x: expected floats \[N, IC, IH, IW\], got float32 4×5×5"),
        (lambda: naive.conv2d(X.astype(int), W), r"x: expected floats .*, got int64"),
        (lambda: naive.conv2d(X, W), "x has 4 channels and w 6 filters of 2, which does not make 1 groups"),
        (lambda: naive.conv2d(X, W[:5], groups=2), "w 5 filters of 2, which does not make 2 groups"),
        (lambda: naive.conv2d(X, W, groups=0), "groups: expected 1 ints of at least 1, got 0"),
        (lambda: naive.conv2d(X, W, zeros(5), groups=2), r"b: expected 6 values, got 5"),
        (lambda: naive.conv2d(X, W.astype(np.float64), groups=2), "one dtype, got float32, float64 and float32"),
        (lambda: naive.conv2d(X, W, stride=0, groups=2), "stride: expected 1 or 2 ints of at least 1, got 0"),
        (lambda: naive.conv2d(X, W, stride=1.5, groups=2), "stride: expected 1 or 2 ints of at least 1, got 1.5"),
        (lambda: naive.conv2d(X, W, padding=(1, 1, 1), groups=2), "padding: expected 1 or 2 or 4 ints of at least 0"),
        (lambda: naive.conv2d(X, W, padding=-1, groups=2), "padding: expected 1 or 2 or 4 ints of at least 0, got -1"),
        (lambda: naive.conv2d(X, W, dilation=(1, 3), groups=2), "conv2d: kernel 3 with dilation 3 does not fit 5 pixels"),
        (lambda: naive.conv2d(X, zeros(6, 2, 0, 3), groups=2), "conv2d: kernel 0 with dilation 1 does not fit 5 pixels"),
        (lambda: naive.conv2d(*map(np.float64, (X, W)), groups=2, compiled=True), "compiled=True takes float32, got float64"),
        (lambda: naive.max_pool2d(X, 6), "max_pool2d: kernel 6 with dilation 1 does not fit 5 pixels"),
        (lambda: naive.max_pool2d(X, (2, 2, 2)), "kernel: expected 1 or 2 ints"),
        (lambda: naive.linear(zeros(2, 3), zeros(4, 5)), "linear: x has K = 3, w has K = 5"),
        (lambda: naive.linear(zeros(2, 3), zeros(4, 3), zeros(3)), r"b: expected 4 values, got 3"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(InputError, match=message):
        call()
