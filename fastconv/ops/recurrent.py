"""RNN, GRU and LSTM: T time steps of N sequences in D directions, with states of H elements."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np

from ..graph import Node, Value, shape_text
from .base import Array, Inferred, Op, Results
from .dims import check, check_rank, same_dtype, unify
from .node_spec import NodeSpec

#: for each activation's name, a function of x, alpha and beta, and the defaults of alpha and beta
ACTIVATIONS: dict[str, tuple[Callable[..., Any], float, float]] = {
    "relu": (lambda x, a, b: np.maximum(x, 0), 0.0, 0.0),
    "tanh": (lambda x, a, b: np.tanh(x), 0.0, 0.0),
    "sigmoid": (lambda x, a, b: 1 / (1 + np.exp(-x)), 0.0, 0.0),
    "affine": (lambda x, a, b: a * x + b, 1.0, 0.0),
    "leakyrelu": (lambda x, a, b: np.where(x < 0, a * x, x), 0.01, 0.0),
    "thresholdedrelu": (lambda x, a, b: np.where(x < a, 0, x), 1.0, 0.0),
    "scaledtanh": (lambda x, a, b: a * np.tanh(b * x), 1.0, 1.0),
    "hardsigmoid": (lambda x, a, b: np.clip(a * x + b, 0, 1), 0.2, 0.5),
    "elu": (lambda x, a, b: np.where(x < 0, a * np.expm1(x), x), 1.0, 0.0),
    "softsign": (lambda x, a, b: x / (1 + np.abs(x)), 0.0, 0.0),
    "softplus": (lambda x, a, b: np.logaddexp(0, x), 0.0, 0.0),
}
Functions = Sequence[Callable[[Any], Any]]
States = Sequence[np.ndarray]
DIRECTIONS = {"forward": (1,), "reverse": (-1,), "bidirectional": (1, -1)}


def _clipped(function: Callable[..., Any], alpha: float, beta: float, most: float, x: np.ndarray) -> Any:
    return function(np.clip(x, -most, most), alpha, beta).astype(x.dtype)


class Recurrent(Op, abstract=True):
    """inputs: x (T N I, with layout N T I), weights (D G·H I) and (D G·H H) for G gates, biases (D 2·G·H), lengths (N), states.

    The results are all states (T D N H, with layout N T D H) and the last ones (D N H, with layout N D H).
    """

    arity = (3, 6)
    parameter_inputs: ClassVar[tuple[int, ...]] = (1, 2, 3)
    output_arity = (0, 2)
    gates: ClassVar[int]
    states: ClassVar[int] = 1
    defaults: ClassVar[tuple[str, ...]]

    activation_alpha: tuple[float, ...] | None = None
    activation_beta: tuple[float, ...] | None = None
    activations: tuple[str, ...] | None = None
    clip: float | None = None
    direction: str = "forward"
    hidden_size: int | None = None
    #: 1: N is the first axis
    layout: int = 0

    @classmethod
    def upgrade(cls, spec: NodeSpec) -> None:
        if spec.opset < 7:
            spec.attributes.pop("output_sequence", None)

    def multiply_adds(self, node: Node) -> int:
        x, w, r = (node.input(i) for i in range(3))
        return math.prod(x.dims[:2]) * (math.prod(w.dims) + math.prod(r.dims))

    def __post_init__(self) -> None:
        check(self.direction in DIRECTIONS, f"direction: expected one of {', '.join(DIRECTIONS)}, got {self.direction!r}")
        names, count = self.names, len(self.defaults) * len(DIRECTIONS[self.direction])
        check(len(names) == count, f"activations: expected {count}, got {len(self.activations or ())}")
        unknown = [name for name in names if name not in ACTIVATIONS]
        check(not unknown, f"activations: {unknown} are not known")

    @property
    def names(self) -> list[str]:
        """The names of the activations of each direction, one after the other; those given beyond them are ignored."""
        count = len(self.defaults) * len(DIRECTIONS[self.direction])
        return [a.lower() for a in (self.activations or self.defaults * 2)[:count]]

    @property
    def default_names(self) -> list[str]:
        """The value of `names` if no activations are given."""
        return [a.lower() for a in self.defaults * len(DIRECTIONS[self.direction])]

    def functions(self) -> list[Callable[[Any], Any]]:
        """The activations of each direction, one after the other; their arguments are clipped."""
        most = np.inf if self.clip is None else self.clip
        functions: list[Callable[[Any], Any]] = []
        for i, name in enumerate(self.names):
            function, *defaults = ACTIVATIONS[name]
            given = [v[i : i + 1] for v in (self.activation_alpha or (), self.activation_beta or ())]
            alpha, beta = (v[0] if v else default for v, default in zip(given, defaults, strict=True))
            functions.append(partial(_clipped, function, alpha, beta, most))
        return functions

    def infer(
        self, x: Value, w: Value, r: Value, b: Value | None = None, lengths: Value | None = None, *more: Value | None
    ) -> Inferred:
        D = len(DIRECTIONS[self.direction])
        for name, v, rank in (("X", x, 3), ("W", w, 3), ("R", r, 3), ("B", b, 2), ("sequence_lens", lengths, 1)):
            if v is not None:
                check_rank(v, name, rank)
        T, N, I = (None,) * 3 if x.shape is None else x.shape  # noqa: E741
        T, N = (N, T) if self.layout else (T, N)
        H = self.hidden_size if r.shape is None else unify(self.hidden_size, r.shape[2], "R: hidden size")
        check(H is None or isinstance(H, str) or H > 0, f"hidden_size: expected 1 or more, got {H}")
        GH = self.gates * H if isinstance(H, int) else None
        state = (N, D, H) if self.layout else (D, N, H)
        extra = (("initial_h", state), ("initial_c", state), ("P", (D, 3 * H if isinstance(H, int) else None)))
        for name, v, shape in (
            ("W", w, (D, GH, I)),
            ("R", r, (D, GH, H)),
            ("B", b, (D, None if GH is None else 2 * GH)),
            ("sequence_lens", lengths, (N,)),
            *((name, v, shape) for (name, shape), v in zip(extra, more, strict=False)),
        ):
            if v is None or v.shape is None:
                continue
            check_rank(v, name, len(shape))
            for given, expected in zip(v.shape, shape, strict=True):
                unify(expected, given, f"{name}: shape {shape_text(v.shape)}, size")
        dtype = same_dtype(x, w, r, b, *more)
        return [((N, T, D, H) if self.layout else (T, D, N, H), dtype), *[(state, dtype)] * self.states]

    def reference(
        self, x: Array, w: Array, r: Array, b: Array | None = None, lengths: Array | None = None, *more: Array | None
    ) -> Results:
        D, H, n = len(w), r.shape[2], len(self.defaults)
        x = x.swapaxes(0, 1) if self.layout else x
        T, N = x.shape[:2]
        check(lengths is None or bool(((lengths >= 0) & (lengths <= T)).all()), f"sequence_lens: expected 0 to {T}")
        *first, p = (*more, *(None,) * (self.states + 1))[: self.states + 1]
        begin = [None if v is None else v.swapaxes(0, 1) if self.layout else v for v in first]
        last = [np.zeros((D, N, H), x.dtype) if v is None else v.copy() for v in begin]
        b = np.zeros((D, 2 * self.gates * H), x.dtype) if b is None else b
        peepholes = np.zeros((D, 3 * H), x.dtype) if p is None else p
        functions, runs = self.functions(), np.ones((N, 1), bool)
        y = np.zeros((T, D, N, H), x.dtype)
        for d, forward in enumerate(DIRECTIONS[self.direction]):
            state = [v[d] for v in last]
            for t in range(T)[::forward]:
                new = self.time_step(x[t], state, w[d], r[d], b[d], peepholes[d], functions[d * n : (d + 1) * n])
                if lengths is not None:
                    runs = (t < lengths)[:, None]
                state = [np.where(runs, after, before) for after, before in zip(new, state, strict=True)]
                y[t, d] = np.where(runs, state[0], 0)
            for v, s in zip(last, state, strict=True):
                v[d] = s
        if self.layout:
            return (y.transpose(2, 0, 1, 3), *(v.swapaxes(0, 1) for v in last))
        return (y, *last)

    def time_step(self, x: Array, state: States, w: Array, r: Array, b: Array, p: Array, f: Functions) -> list[Array]:
        """The states after a time step of one direction, for x N I, states N H, biases 2·G·H, peepholes 3·H and activations."""
        raise NotImplementedError


class RNN(Recurrent):
    gates = 1
    defaults = ("Tanh",)

    activations: tuple[str, ...] | None = ("Tanh", "Tanh")

    def time_step(self, x: Array, state: States, w: Array, r: Array, b: Array, p: Array, f: Functions) -> list[Array]:
        (h,) = state
        of_x, of_h = np.split(b, 2)
        return [f[0](x @ w.T + h @ r.T + of_x + of_h)]


class GRU(Recurrent):
    """The gates are update, reset and hidden."""

    gates = 3
    defaults = ("Sigmoid", "Tanh")

    #: whether the reset gate multiplies the hidden gate's product with the state, instead of the state
    linear_before_reset: int = 0

    def time_step(self, x: Array, state: States, w: Array, r: Array, b: Array, p: Array, f: Functions) -> list[Array]:
        (h,) = state
        of_x, of_h = np.split(b, 2)
        z, s, g = np.split(x @ w.T + of_x, 3, axis=1)
        (rz, rs, rg), (bz, bs, bg) = np.split(r, 3), np.split(of_h, 3)
        z, s = f[0](z + h @ rz.T + bz), f[0](s + h @ rs.T + bs)
        g = f[1](g + (s * (h @ rg.T + bg) if self.linear_before_reset else (s * h) @ rg.T + bg))
        return [(1 - z) * g + z * h]


class LSTM(Recurrent):
    """The gates are input, output, forget and cell; the first three have peepholes."""

    arity = (3, 8)
    parameter_inputs = (1, 2, 3, 7)
    output_arity = (0, 3)
    gates = 4
    states = 2
    defaults = ("Sigmoid", "Tanh", "Tanh")

    #: whether the forget gate is 1 - the input gate
    input_forget: int = 0

    def time_step(self, x: Array, state: States, w: Array, r: Array, b: Array, p: Array, f: Functions) -> list[Array]:
        h, c = state
        of_x, of_h = np.split(b, 2)
        i, o, forget, g = np.split(x @ w.T + h @ r.T + of_x + of_h, 4, axis=1)
        pi, po, pf = np.split(p, 3)
        i = f[0](i + pi * c)
        forget = 1 - i if self.input_forget else f[0](forget + pf * c)
        c = forget * c + i * f[1](g)
        return [f[0](o + po * c) * f[2](c), c]
