"""Single layers as functions, with a choice of algorithm: for trying and testing kernels.

Each call plans and packs anew: what runs more than a few times belongs in a Model.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import kernels, naive
from .errors import InputError, ModelError
from .graph import Graph, Value
from .ops.base import REGISTRY, NodeSpec, make_node
from .passes.infer_shapes import infer_shapes
from .plan import Plan, Target, build
from .threads import resolve


def conv2d(x: np.ndarray, w: np.ndarray, b: np.ndarray | None = None, stride: int | tuple[int, int] = 1,
           padding: int | tuple[int, ...] = 0, dilation: int | tuple[int, int] = 1, groups: int = 1, *, algorithm: str = "auto",
           threads: int | None = None) -> np.ndarray:
    """2-D convolution (cross-correlation, as ONNX's Conv and torch's conv2d).

    x: (N, IC, IH, IW); w: (OC, IC / groups, KH, KW); b: (OC,); all float32. padding: one int, (vertical, horizontal), or
    (top, left, bottom, right). Returns (N, OC, OH, OW). algorithm: "auto", "direct", "pointwise", "first", "depthwise",
    "im2col" or "naive"; one that refuses these shapes raises InputError with its reason.

    >>> import numpy as np, fastconv
    >>> fastconv.conv2d(np.ones((1, 1, 3, 3), np.float32), np.ones((1, 1, 2, 2), np.float32))[0, 0]
    array([[4., 4.],
           [4., 4.]], dtype=float32)
    """
    if algorithm == "naive":
        return naive.conv2d(x, w, b, stride, padding, dilation, groups)
    pads = _pads(padding)
    attributes = {"strides": _pair(stride, "stride"), "pads": pads, "dilations": _pair(dilation, "dilation"), "group": groups}
    return _run("Conv", attributes, x, {"w": w, "b": b}, algorithm, threads)


def max_pool2d(x: np.ndarray, kernel: int | tuple[int, int], stride: int | tuple[int, int] | None = None,
               padding: int | tuple[int, ...] = 0, dilation: int | tuple[int, int] = 1, ceil_mode: bool = False, *,
               algorithm: str = "auto", threads: int | None = None) -> np.ndarray:
    """2-D max pooling; a NaN in a window gives NaN.

    x: (N, C, IH, IW), float32; stride defaults to the kernel. Returns (N, C, OH, OW). algorithm: "auto", "blocked" or "naive".

    >>> import numpy as np, fastconv
    >>> fastconv.max_pool2d(np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2), 2)
    array([[[[3.]]]], dtype=float32)
    """
    if algorithm == "naive":
        return naive.max_pool2d(x, kernel, stride, padding, dilation, ceil_mode)
    size = _pair(kernel, "kernel")
    attributes = {
        "kernel_shape": size,
        "strides": size if stride is None else _pair(stride, "stride"),
        "pads": _pads(padding),
        "dilations": _pair(dilation, "dilation"),
        "ceil_mode": int(ceil_mode),
    }
    return _run("MaxPool", attributes, x, {}, algorithm, threads)


def linear(x: np.ndarray, w: np.ndarray, b: np.ndarray | None = None, *, algorithm: str = "auto", threads: int | None = None
           ) -> np.ndarray:
    """A fully connected layer: x @ w.T + b.

    x: (N, K); w: (OC, K); b: (OC,); all float32. Returns (N, OC). algorithm: "auto", "gemm" or "naive".

    >>> import numpy as np, fastconv
    >>> fastconv.linear(np.ones((1, 3), np.float32), np.ones((2, 3), np.float32))
    array([[3., 3.]], dtype=float32)
    """
    if algorithm == "naive":
        return naive.linear(x, w, b)
    return _run("Gemm", {"transB": 1}, x, {"w": w, "b": b}, algorithm, threads)


def _pair(value: int | tuple[int, ...], name: str) -> tuple[int, int]:
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or not all(isinstance(v, int) and v > 0 for v in pair):
        raise InputError(f"{name}: expected an int or two ints of 1 or more, got {value!r}")
    return pair  # type: ignore[return-value]


def _pads(padding: int | tuple[int, ...]) -> tuple[int, ...]:
    pads = (padding,) * 4 if isinstance(padding, int) else tuple(padding)
    pads = pads * 2 if len(pads) == 2 else pads
    if len(pads) != 4 or not all(isinstance(p, int) and p >= 0 for p in pads):
        raise InputError(f"padding: expected an int, two or four ints of 0 or more, got {padding!r}")
    return pads


def _run(op: str, attributes: dict[str, Any], x: np.ndarray, constants: dict[str, np.ndarray | None], algorithm: str,
         threads: int | None) -> np.ndarray:
    arrays = {"x": x, **{k: v for k, v in constants.items() if v is not None}}
    for name, a in arrays.items():
        if not isinstance(a, np.ndarray) or a.dtype != np.float32:
            raise InputError(f"{name}: expected a float32 array, got {getattr(a, 'dtype', type(a).__name__)}")
    x = np.ascontiguousarray(x)
    isa = kernels.load()
    count = resolve(threads).count
    plan = _build(op, attributes, x, constants, algorithm, Target(isa, count, algorithm=None if algorithm == "auto" else algorithm))
    y = np.empty(plan.graph.outputs[0].dims, np.float32)
    plan.run([x], [y], count)
    return y


def _build(op: str, attributes: dict[str, Any], x: np.ndarray, constants: dict[str, np.ndarray | None], algorithm: str, target: Target
           ) -> Plan:
    known = {i.name for i in REGISTRY[op].implementations}
    if target.algorithm is not None and target.algorithm not in known:
        raise InputError(f"algorithm: expected auto, {', '.join(sorted(known))} or naive, got {algorithm!r}")
    source, result = Value("x", x.shape, x.dtype), Value("y")
    inputs: list[Value | None] = [source, *(None if v is None else Value(k, constant=v) for k, v in constants.items())]
    try:
        graph = Graph([source], [result], [make_node(NodeSpec(op, dict(attributes), inputs, [result], 22))])
        infer_shapes(graph)
    except ModelError as e:
        raise InputError(str(e)) from None
    plan = build(graph, target, {})
    choice = next(e.task.choice for e in plan.entries if e.task.choice)
    if target.algorithm is not None and choice.implementation is None:
        reason = next(r for n, r in choice.refusals if n == algorithm)
        raise InputError(f"algorithm {algorithm!r} refuses: {reason}")
    return plan
