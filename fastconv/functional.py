"""Single layers as functions, with a choice of algorithm: for trying and testing kernels.

Each call plans and packs anew: what runs more than a few times belongs in a Model.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import kernels, naive
from .errors import InputError, ModelError
from .graph import Graph, Node, Value
from .ops.base import REGISTRY
from .plan import Target, build
from .threads import resolve


def conv2d(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None = None,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, ...] = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    *,
    algorithm: str = "auto",
    threads: int | None = None,
) -> np.ndarray:
    """2-D convolution (cross-correlation, as ONNX's Conv and torch's conv2d).

    x: (N, IC, IH, IW); w: (OC, IC / groups, KH, KW); b: (OC,); all float32. padding: one int, (vertical, horizontal), or
    (top, left, bottom, right). Returns (N, OC, OH, OW). algorithm: "auto", "first", "depthwise", "pointwise",
    "winograd", "direct", "im2col" or "naive"; one that refuses these shapes raises InputError with its reason, and so do
    arguments that do not fit together.

    >>> import numpy as np, fastconv
    >>> fastconv.conv2d(np.ones((1, 1, 3, 3), np.float32), np.ones((1, 1, 2, 2), np.float32))[0, 0]
    array([[4., 4.],
           [4., 4.]], dtype=float32)
    """
    if algorithm == "naive":
        return naive.conv2d(x, w, b, stride, padding, dilation, groups)
    x, w = _array("x", x, "N, IC, IH, IW"), _array("w", w, "OC, IC / groups, KH, KW")
    attributes = {
        "strides": naive._pair("stride", stride),
        "pads": naive._sides(padding),
        "dilations": naive._pair("dilation", dilation),
        "group": naive._ints("groups", groups, 1, (1,))[0],
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
    algorithm: str = "auto",
    threads: int | None = None,
) -> np.ndarray:
    """2-D max pooling; a NaN in a window gives NaN.

    x: (N, C, IH, IW), float32; stride defaults to the kernel. Returns (N, C, OH, OW). algorithm: "auto", "blocked" or "naive".

    >>> import numpy as np, fastconv
    >>> fastconv.max_pool2d(np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2), 2)
    array([[[[3.]]]], dtype=float32)
    """
    if algorithm == "naive":
        return naive.max_pool2d(x, kernel, stride, padding, dilation, ceil_mode)
    size = naive._pair("kernel", kernel)
    attributes = {
        "kernel_shape": size,
        "strides": size if stride is None else naive._pair("stride", stride),
        "pads": naive._sides(padding),
        "dilations": naive._pair("dilation", dilation),
        "ceil_mode": int(bool(ceil_mode)),
    }
    return _run("max_pool2d", "MaxPool", attributes, _array("x", x, "N, C, IH, IW"), [], algorithm, threads)


def linear(
    x: np.ndarray, w: np.ndarray, b: np.ndarray | None = None, *, algorithm: str = "auto", threads: int | None = None
) -> np.ndarray:
    """A fully connected layer: x @ w.T + b.

    x: (N, K); w: (OC, K); b: (OC,); all float32. Returns (N, OC). algorithm: "auto", "gemm" or "naive".

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
    array = naive._array(name, value, axes)
    if array.dtype != np.float32:
        raise InputError(f"{name}: expected float32, got {array.dtype}")
    return np.ascontiguousarray(array)


def _constants(w: np.ndarray, b: np.ndarray | None) -> list[np.ndarray]:
    """Weights and, where there is one, the bias of one value for each output."""
    if b is None:
        return [w]
    b = _array("b", b, "OC")
    if b.shape != w.shape[:1]:
        raise InputError(f"b: expected shape {w.shape[:1]}, got {b.shape}")
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
    known = [i.name for i in REGISTRY[op].implementations]
    if algorithm not in ("auto", *known):
        raise InputError(f"algorithm: expected auto, {', '.join(known)} or naive, got {algorithm!r}")
    count = resolve(threads).count
    target = Target(kernels.load(), count, algorithm=None if algorithm == "auto" else algorithm)
    source, others = Value("x", x.shape, x.dtype), [Value("constant", constant=a) for a in constants]
    try:
        made = REGISTRY[op](**attributes)
        result = Value("y", *made.infer(source, *others)[0])
    except ModelError as e:
        raise InputError(f"{function}: {e}") from None
    plan = build(Graph([source], [result], [Node(made, [source, *others], [result])]), target, {})
    choice = next(e.task.choice for e in plan.entries if e.task.choice)
    if target.algorithm is not None and choice.implementation is None:
        reason = next(r for n, r in choice.refusals if n == algorithm)
        raise InputError(f"algorithm {algorithm!r} refuses: {reason}")
    y = np.empty(result.dims, np.float32)
    plan.run([x], [y], count)
    return y
