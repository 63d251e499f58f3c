"""What fastconv computes, in plain loops: start reading here.

These three functions are the specification. The tests compare every implementation of Conv, MaxPool and Gemm with them, the
benchmarks time the fast kernels against them, and they are slow on purpose: no blocking, no vectors, no threads, one sum at a
time in the order it is written.

Sizes are upper case, indices lower case, and the names are the same in every layer of the library: N images, IC input and OC
output channels, IH x IW input and OH x OW output pixels, KH x KW kernel taps. Sums are computed in the dtype of the arrays:
float64 inputs give a float64 result.

With `compiled=True` each function runs the same loops compiled by Cython (pyx/naive.pyx, float32 only), some hundred times
faster: "x times naive" in the benchmarks refers to these.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import _naive
from .errors import InputError
from .layer_arguments import float_array, int_pair, int_tuple, padding_sides

__all__ = ["conv2d", "linear", "max_pool2d"]


def conv2d(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    *,
    compiled: bool = False,
) -> np.ndarray:
    """2-D convolution (a cross-correlation, as in every deep learning library): ONNX `Conv` of rank 4.

    OH = (IH + top + bottom - dilation * (KH - 1) - 1) // stride + 1, and OW likewise. Output channel oc reads only the input
    channels of group oc // (OC / groups); groups = IC is a depthwise convolution. V. Dumoulin and F. Visin draw all the cases
    in "A guide to convolution arithmetic for deep learning", arXiv:1603.07285.

    Parameters
    ----------
    x : numpy.ndarray
        [N, IC, IH, IW], floats.
    w : numpy.ndarray
        [OC, IC / groups, KH, KW], of the same dtype.
    b : numpy.ndarray, optional
        [OC], of the same dtype.
    stride, dilation : int or sequence of int
        In pixels, one int or (vertical, horizontal).
    padding : int or sequence of int
        In pixels of zeros, one int, (vertical, horizontal) or (top, left, bottom, right).
    groups : int
        The number of groups that the channels are split into.
    compiled : bool
        Whether to run the same loops compiled; float32 only.

    Returns
    -------
    numpy.ndarray
        [N, OC, OH, OW].

    Raises
    ------
    InputError
        If shapes, dtypes or options do not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.naive import conv2d
    >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> w = np.array([[[[1.0, 0.0], [0.0, -1.0]]]])  # a pixel minus its lower right neighbour
    >>> conv2d(x, w, padding=(0, 0, 1, 1))[0, 0]
    array([[-4., -4.,  2.],
           [-4., -4.,  5.],
           [ 6.,  7.,  8.]])
    """
    x, w = float_array("x", x, "N, IC, IH, IW"), float_array("w", w, "OC, IC / groups, KH, KW")
    (N, IC, IH, IW), (OC, ICG, KH, KW) = x.shape, w.shape
    (SH, SW), (DH, DW), (PT, PL, PB, PR) = int_pair("stride", stride), int_pair("dilation", dilation), padding_sides(padding)
    (G,) = int_tuple("groups", groups, 1, (1,))
    if IC != ICG * G or OC % G:
        raise InputError(f"conv2d: x has {IC} channels and w {OC} filters of {ICG}, which does not make {G} groups")
    OH, OW = _size("conv2d", IH, KH, SH, PT, PB, DH), _size("conv2d", IW, KW, SW, PL, PR, DW)
    b = _bias(b, OC, x, w)
    y = np.empty((N, OC, OH, OW), x.dtype)
    if compiled:
        src, wei, bia = _float32(x, w, b)
        _naive.conv2d(src, wei, bia, y, G, SH, SW, PT, PL, DH, DW)
        return y
    for n in range(N):
        for oc in range(OC):
            first = oc // (OC // G) * ICG  # the group's first input channel
            for oh in range(OH):
                for ow in range(OW):
                    acc = b[oc]
                    for ic in range(ICG):
                        for kh in range(KH):
                            for kw in range(KW):
                                ih = oh * SH - PT + kh * DH
                                iw = ow * SW - PL + kw * DW
                                if 0 <= ih < IH and 0 <= iw < IW:  # padding adds nothing
                                    acc += x[n, first + ic, ih, iw] * w[oc, ic, kh, kw]
                    y[n, oc, oh, ow] = acc
    return y


def max_pool2d(
    x: np.ndarray,
    kernel: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    *,
    compiled: bool = False,
) -> np.ndarray:
    """The largest value of each window: ONNX `MaxPool` of rank 4.

    OH is as in conv2d; with `ceil_mode` the division rounds up, so that a last window may hang over the bottom, but windows
    that would begin below the input are left out. OW likewise. Padding is never the largest: a window of nothing but padding
    gives -inf. A NaN in a window makes its result NaN.

    Parameters
    ----------
    x : numpy.ndarray
        [N, C, IH, IW], floats.
    kernel : int or sequence of int
        The window in pixels, one int or (KH, KW).
    stride : int or sequence of int, optional
        In pixels, one int or (vertical, horizontal); default: `kernel`.
    padding, dilation : int or sequence of int
        As in conv2d.
    ceil_mode : bool
        Whether a last window may hang over the end.
    compiled : bool
        Whether to run the same loops compiled; float32 only.

    Returns
    -------
    numpy.ndarray
        [N, C, OH, OW].

    Raises
    ------
    InputError
        If shapes or options do not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.naive import max_pool2d
    >>> x = np.array([[[[1.0, 5.0, 2.0], [4.0, 3.0, 9.0], [7.0, 8.0, 6.0]]]])
    >>> max_pool2d(x, 2, stride=1)[0, 0]
    array([[5., 9.],
           [8., 9.]])
    >>> max_pool2d(x, 2, ceil_mode=True)[0, 0]
    array([[5., 9.],
           [8., 6.]])
    """
    x = float_array("x", x, "N, C, IH, IW")
    N, C, IH, IW = x.shape
    KH, KW = int_pair("kernel", kernel)
    SH, SW = (KH, KW) if stride is None else int_pair("stride", stride)
    (DH, DW), (PT, PL, PB, PR) = int_pair("dilation", dilation), padding_sides(padding)
    OH, OW = _size("max_pool2d", IH, KH, SH, PT, PB, DH, ceil_mode), _size("max_pool2d", IW, KW, SW, PL, PR, DW, ceil_mode)
    y = np.empty((N, C, OH, OW), x.dtype)
    if compiled:
        (src,) = _float32(x)
        _naive.max_pool2d(src, y, KH, KW, SH, SW, PT, PL, DH, DW)
        return y
    for n in range(N):
        for c in range(C):
            for oh in range(OH):
                for ow in range(OW):
                    best = x.dtype.type(-np.inf)
                    for kh in range(KH):
                        for kw in range(KW):
                            ih = oh * SH - PT + kh * DH
                            iw = ow * SW - PL + kw * DW
                            if 0 <= ih < IH and 0 <= iw < IW:
                                value = x[n, c, ih, iw]
                                if value > best or np.isnan(value):  # nothing is larger than a NaN, so it stays
                                    best = value
                    y[n, c, oh, ow] = best
    return y


def linear(x: np.ndarray, w: np.ndarray, b: np.ndarray | None = None, *, compiled: bool = False) -> np.ndarray:
    """A fully connected layer, x @ w.T + b: ONNX `Gemm` with transB, `torch.nn.functional.linear`.

    Parameters
    ----------
    x : numpy.ndarray
        [N, K], floats.
    w : numpy.ndarray
        [OC, K], of the same dtype.
    b : numpy.ndarray, optional
        [OC], of the same dtype.
    compiled : bool
        Whether to run the same loops compiled; float32 only.

    Returns
    -------
    numpy.ndarray
        [N, OC].

    Raises
    ------
    InputError
        If shapes or dtypes do not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.naive import linear
    >>> linear(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [5.0, 6.0]]), np.array([0.5, -0.5]))
    array([[11.5, 16.5]])
    """
    x, w = float_array("x", x, "N, K"), float_array("w", w, "OC, K")
    (N, K), OC = x.shape, w.shape[0]
    if w.shape[1] != K:
        raise InputError(f"linear: x has K = {K}, w has K = {w.shape[1]}")
    b = _bias(b, OC, x, w)
    y = np.empty((N, OC), x.dtype)
    if compiled:
        src, wei, bia = _float32(x, w, b)
        _naive.linear(src, wei, bia, y)
        return y
    for n in range(N):
        for oc in range(OC):
            acc = b[oc]
            for k in range(K):
                acc += x[n, k] * w[oc, k]
            y[n, oc] = acc
    return y


def _bias(b: Any, OC: int, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """The bias, zeros if it is left out. All three must have one dtype, which the sums then have too."""
    bias = np.zeros(OC, x.dtype) if b is None else float_array("b", b, "OC")
    if bias.shape != (OC,):
        raise InputError(f"b: expected {OC} values, got {bias.size}")
    if not x.dtype == w.dtype == bias.dtype:
        raise InputError(f"x, w and b must have one dtype, got {x.dtype}, {w.dtype} and {bias.dtype}")
    return bias


def _size(name: str, size: int, kernel: int, stride: int, before: int, after: int, dilation: int, ceil: bool = False) -> int:
    """The output's size along one axis."""
    room = size + before + after - dilation * (kernel - 1) - 1
    out = (room + (stride - 1 if ceil else 0)) // stride + 1
    if ceil:
        out = min(out, (size + before - 1) // stride + 1)  # windows that begin before the input's end
    if kernel < 1 or out < 1:
        window = f"kernel {kernel} with dilation {dilation}"
        raise InputError(f"{name}: {window} does not fit {size} pixels with padding {before} and {after}")
    return out


def _float32(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    if arrays[0].dtype != np.float32:
        raise InputError(f"compiled=True takes float32, got {arrays[0].dtype}")
    return tuple(map(np.ascontiguousarray, arrays))
