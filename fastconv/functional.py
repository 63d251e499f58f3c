"""Single layers as functions, with a choice of algorithm: for trying and testing kernels.

Each call plans and packs anew: a layer that runs more than a few times belongs in a Model.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from . import kernels, naive
from .errors import InputError, ModelError
from .graph import Graph, Node, Value
from .implementations import IMPLEMENTATIONS
from .layer_arguments import float_array, int_pair, int_tuple, padding_sides
from .ops import REGISTRY
from .plan import Target, build
from .threads import resolve

ConvAlgorithm = Literal["auto", "first", "depthwise", "pointwise", "winograd", "direct", "im2col", "groups", "naive"]
PoolAlgorithm = Literal["auto", "blocked", "row-major", "naive"]
LinearAlgorithm = Literal["auto", "gemm", "strided", "naive"]


def conv2d(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None = None,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, ...] = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    *,
    algorithm: ConvAlgorithm = "auto",
    threads: int | None = None,
) -> np.ndarray:
    """2-D convolution (cross-correlation, as ONNX's Conv and torch's conv2d).

    "winograd" needs fewer products than the definition: Lavin and Gray, arXiv:1509.09308. docs/kernels.md describes the others.

    Parameters
    ----------
    x : numpy.ndarray
        (N, IC, IH, IW), float32.
    w : numpy.ndarray
        (OC, IC / groups, KH, KW), float32.
    b : numpy.ndarray, optional
        (OC,), float32.
    stride, dilation : int or tuple of int
        In pixels, one for both axes or (vertical, horizontal).
    padding : int or tuple of int
        Zeros in pixels: one for all sides, (vertical, horizontal), or (top, left, bottom, right).
    groups : int
        Output channel oc reads only the input channels of group oc // (OC / groups).
    algorithm : {"auto", "first", "depthwise", "pointwise", "winograd", "direct", "im2col", "groups", "naive"}
        "auto" takes the best; "naive" is `fastconv.naive.conv2d`.
    threads : int, optional
        The most threads to use; default: as in `load`.

    Returns
    -------
    numpy.ndarray
        (N, OC, OH, OW), float32.

    Raises
    ------
    InputError
        If arguments do not fit together, or the algorithm refuses them; the message has its reason.

    Examples
    --------
    >>> import numpy as np, fastconv
    >>> fastconv.conv2d(np.ones((1, 1, 3, 3), np.float32), np.ones((1, 1, 2, 2), np.float32))[0, 0]
    array([[4., 4.],
           [4., 4.]], dtype=float32)
    """
    if algorithm == "naive":
        return naive.conv2d(x, w, b, stride, padding, dilation, groups)
    x, w = _array("x", x, "N, IC, IH, IW"), _array("w", w, "OC, IC / groups, KH, KW")
    attributes = {
        "strides": int_pair("stride", stride),
        "pads": padding_sides(padding),
        "dilations": int_pair("dilation", dilation),
        "group": int_tuple("groups", groups, 1, (1,))[0],
    }
    return _run("conv2d", "Conv", attributes, x, _constants(w, b), algorithm, threads)


def max_pool2d(
    x: np.ndarray,
    kernel: int | tuple[int, int],
    stride: int | tuple[int, int] | None = None,
    padding: int | tuple[int, ...] = 0,
    dilation: int | tuple[int, int] = 1,
    ceil_mode: bool = False,
    *,
    algorithm: PoolAlgorithm = "auto",
    threads: int | None = None,
) -> np.ndarray:
    """2-D max pooling, as ONNX's MaxPool; a NaN in a window gives NaN.

    Parameters
    ----------
    x : numpy.ndarray
        (N, C, IH, IW), float32.
    kernel : int or tuple of int
        The window in pixels, one for both axes or (KH, KW).
    stride : int or tuple of int, optional
        In pixels, one for both axes or (vertical, horizontal); default: the kernel.
    padding, dilation : int or tuple of int
        As in `conv2d`. Padding is never the largest.
    ceil_mode : bool
        Whether a last window may hang over the end.
    algorithm : {"auto", "blocked", "row-major", "naive"}
        "auto" takes the best; "naive" is `fastconv.naive.max_pool2d`.
    threads : int, optional
        The most threads to use; default: as in `load`.

    Returns
    -------
    numpy.ndarray
        (N, C, OH, OW), float32.

    Raises
    ------
    InputError
        If arguments do not fit together, or the algorithm refuses them; the message has its reason.

    Examples
    --------
    >>> import numpy as np, fastconv
    >>> fastconv.max_pool2d(np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2), 2)
    array([[[[3.]]]], dtype=float32)
    """
    if algorithm == "naive":
        return naive.max_pool2d(x, kernel, stride, padding, dilation, ceil_mode)
    size = int_pair("kernel", kernel)
    attributes = {
        "kernel_shape": size,
        "strides": size if stride is None else int_pair("stride", stride),
        "pads": padding_sides(padding),
        "dilations": int_pair("dilation", dilation),
        "ceil_mode": int(bool(ceil_mode)),
    }
    return _run("max_pool2d", "MaxPool", attributes, _array("x", x, "N, C, IH, IW"), [], algorithm, threads)


def linear(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None = None,
    *,
    algorithm: LinearAlgorithm = "auto",
    threads: int | None = None,
) -> np.ndarray:
    """A fully connected layer: x @ w.T + b, as torch's linear and ONNX's Gemm with transB.

    Parameters
    ----------
    x : numpy.ndarray
        (N, K), float32.
    w : numpy.ndarray
        (OC, K), float32.
    b : numpy.ndarray, optional
        (OC,), float32.
    algorithm : {"auto", "gemm", "strided", "naive"}
        "auto" takes the best; "naive" is `fastconv.naive.linear`.
    threads : int, optional
        The most threads to use; default: as in `load`.

    Returns
    -------
    numpy.ndarray
        (N, OC), float32.

    Raises
    ------
    InputError
        If arguments do not fit together, or the algorithm refuses them; the message has its reason.

    Examples
    --------
    >>> import numpy as np, fastconv
    >>> fastconv.linear(np.ones((1, 3), np.float32), np.ones((2, 3), np.float32))
    array([[3., 3.]], dtype=float32)
    """
    if algorithm == "naive":
        return naive.linear(x, w, b)
    x, w = _array("x", x, "N, K"), _array("w", w, "OC, K")
    if x.shape[1] != w.shape[1]:
        raise InputError(f"linear: x has K = {x.shape[1]}, w has K = {w.shape[1]}")
    return _run("linear", "Gemm", {"transB": 1}, x, _constants(w, b), algorithm, threads)


def _array(name: str, value: Any, axes: str) -> np.ndarray:
    array = float_array(name, value, axes)
    if array.dtype != np.float32:
        raise InputError(f"{name}: expected float32, got {array.dtype}")
    return np.ascontiguousarray(array)


def _constants(w: np.ndarray, b: np.ndarray | None) -> list[np.ndarray]:
    """The weights and, if given, the bias of one value for each output."""
    if b is None:
        return [w]
    b = _array("b", b, "OC")
    if b.shape != w.shape[:1]:
        raise InputError(f"b: expected {len(w)} values, got {len(b)}")
    return [w, b]


def _run(
    function: str,
    op: str,
    attributes: dict[str, Any],
    x: np.ndarray,
    constants: list[np.ndarray],
    algorithm: str,
    threads: int | None,
) -> np.ndarray:
    known = [i.name for i in IMPLEMENTATIONS[REGISTRY[op]] if i.dtypes is None or "float32" in i.dtypes]
    if algorithm not in ("auto", *known):
        raise InputError(f"algorithm: expected auto, {', '.join(known)} or naive, got {algorithm!r}")
    count = resolve(threads).count
    target = Target(IMPLEMENTATIONS, kernels.load(), count, algorithm=None if algorithm == "auto" else algorithm)
    source, others = Value("x", x.shape, x.dtype), [Value("constant", constant=a) for a in constants]
    try:
        made = REGISTRY[op](**attributes)
        result = Value("y", *made.infer(source, *others)[0])
    except ModelError as e:
        raise InputError(f"{function}: {e}") from None
    plan = build(Graph([source], [result], [Node(made, [source, *others], [result])]), target, {})
    entry = next(e for e in plan.entries if e.node)
    if target.algorithm is not None and entry.implementation is None:
        reason = next(r for n, r in entry.refusals if n == algorithm)
        raise InputError(f"algorithm {algorithm!r} refuses: {reason}")
    y = np.empty(result.dims, np.float32)
    plan.run([x], [y], count)
    return y
