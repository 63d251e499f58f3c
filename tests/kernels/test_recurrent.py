"""RNN, GRU and LSTM on the kernels gemm and recurrent: one time step against the reference, many as a chain of single ones."""

import itertools

import numpy as np
import pytest

from fastconv import kernels
from fastconv.graph import Graph, Node, Value
from fastconv.implementations import IMPLEMENTATIONS
from fastconv.ops.recurrent import GRU, LSTM, RNN
from fastconv.plan import Target, build

from ..support.harness import EPS, ISAS, assert_within, choice, refusals, run_node, run_plan, run_threads, same_bits
from .cases import FORMS, rounding

COVERS = dict.fromkeys(("RNN", "GRU", "LSTM"), ("row-major",))
EVERY_ISA = pytest.mark.parametrize("isa", ISAS)
EVERY = pytest.mark.parametrize("cls", [RNN, GRU, LSTM])
DIRECTIONS = ("forward", "reverse", "bidirectional")


def make(cls, H, **attributes):
    return cls(hidden_size=H, **attributes, **({"linear_before_reset": 1} if cls is GRU else {}))


def operands(cls, T, N, I, H, direction="forward", seed=0):  # noqa: E741
    """x, the constants w, r, b, no lengths, and the states before the first step."""
    rng, D, G = np.random.default_rng(seed), 1 + (direction == "bidirectional"), cls.gates
    shapes = (T, N, I), (D, G * H, I), (D, G * H, H), (D, 2 * G * H)
    x, w, r, b = (rng.standard_normal(s, np.float32) for s in shapes)
    states = [rng.standard_normal((D, N, H), np.float32) for _ in range(cls.states)]
    return [x, w / np.sqrt(np.float32(I)), r / np.sqrt(np.float32(H)), b, None, *states]


# A number with the error that it may have.


def exactly(a):
    return a.astype(np.float64), 0.0


def plus(a, b):
    y = a[0] + b[0]
    return y, a[1] + b[1] + EPS * np.abs(y)


def times(a, b):
    y = a[0] * b[0]
    return y, np.abs(a[0]) * b[1] + np.abs(b[0]) * a[1] + a[1] * b[1] + EPS * np.abs(y)


def apply(form, a):
    y = 1 / (1 + np.exp(-a[0])) if form == "sigmoid" else np.tanh(a[0])
    return y, FORMS[form].bound(y, a[1])


def one_step(cls, x, w, r, b, h, c=None):
    """The states after a step of one direction, with their errors."""
    x, w, r, b = (v.astype(np.float64) for v in (x, w, r, b))

    def sums(a, weights, bias):
        y, scale = a @ weights.T + bias, np.abs(a) @ np.abs(weights).T + np.abs(bias)
        return [(v, rounding(s)) for v, s in zip(*(np.split(q, cls.gates, 1) for q in (y, scale)), strict=True)]

    of_x, of_h = sums(x, w, b[: len(w)]), sums(h.astype(np.float64), r, b[len(w) :])
    if cls is GRU:
        z, reset = (apply("sigmoid", plus(a, s)) for a, s in zip(of_x[:2], of_h, strict=False))
        g = apply("tanh", plus(of_x[2], times(reset, of_h[2])))
        return [plus(times((1 - z[0], z[1]), g), times(z, exactly(h)))]
    gates = [plus(a, s) for a, s in zip(of_x, of_h, strict=True)]
    if cls is RNN:
        return [apply("tanh", gates[0])]
    i, o, forget = (apply("sigmoid", g) for g in gates[:3])
    new = plus(times(forget, exactly(c)), times(i, apply("tanh", gates[3])))
    return [times(o, apply("tanh", new)), new]


def check_step(cls, N, I, H, isa, **options):  # noqa: E741
    """A step in both directions is right, and the last states are its states."""
    inputs = operands(cls, 1, N, I, H, "bidirectional")
    op = make(cls, H, direction="bidirectional")
    (y, *last), plan = run_threads(op, inputs, isa, constants=(1, 2, 3), results=1 + cls.states, **options)
    assert choice(plan) == "row-major"
    assert same_bits(y[0], last[0])
    x, w, r, b, _, *states = inputs
    for d in range(2):
        for got, wanted in zip(last, one_step(cls, x[0], w[d], r[d], b[d], *(s[d] for s in states)), strict=True):
            assert_within(got[d], *wanted)


@EVERY_ISA
@EVERY
def test_every_tail(isa, cls):
    """Units that fill vectors or do not, in pairs or alone; sequences in every tile."""
    V = kernels.load(isa).V
    for H, N in zip((*range(1, 2 * V + 2), 3 * V, 5 * V + 3, 130), itertools.cycle(range(1, 8)), strict=False):
        check_step(cls, N, H % 5 + 1, H, isa)
    for N in (*range(1, 8), 13, 40):
        check_step(cls, N, 7, V + 3, isa)


@EVERY_ISA
@EVERY
@pytest.mark.parametrize("guard", ["before", "after"])
def test_stays_inside_its_memory(isa, cls, guard):
    V = kernels.load(isa).V
    for H, N in ((1, 1), (V - 1, 3), (V, 2), (2 * V + 1, 4)):
        check_step(cls, N, 3, H, isa, guard=guard)


@EVERY_ISA
@EVERY
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("layout", [0, 1])
def test_many_steps_are_a_chain_of_single_ones(isa, cls, direction, layout):
    """A sequence gives the bits of its time steps run one by one."""
    T, N, H = 4, 5, 19
    x, w, r, b, _, *states = operands(cls, T, N, 6, H, direction)

    def swap(v):
        return v.swapaxes(0, 1) if layout else v

    turned = [swap(x).copy(), w, r, b, None, *(swap(s).copy() for s in states)]
    op = make(cls, H, direction=direction, layout=layout)
    (y, *last), _ = run_threads(op, turned, isa, constants=(1, 2, 3), results=1 + cls.states)
    for d in range(len(w)):
        one = [v[d : d + 1] for v in (w, r, b)]
        now = [s[d : d + 1] for s in states]
        for t in range(T) if direction == "forward" or (direction == "bidirectional" and d == 0) else reversed(range(T)):
            (_, *now), _ = run_node(
                make(cls, H), [x[t : t + 1], *one, None, *now], isa, 1, constants=(1, 2, 3), results=1 + cls.states
            )
            assert same_bits((y.transpose(1, 2, 0, 3) if layout else y)[t, d], now[0][0])
        for got, wanted in zip(last, now, strict=True):
            assert same_bits(swap(got)[d], wanted[0])


@EVERY_ISA
@EVERY
def test_states_left_out_are_zero(isa, cls):
    """Zeros give the same bits, whether they are left out, constant or computed."""
    inputs = operands(cls, 3, 2, 4, 18)
    inputs[3:] = [np.zeros_like(v) if v is not None else None for v in inputs[3:]]
    op, constants = make(cls, 18), (1, 2, 3)
    wanted, _ = run_threads(op, inputs, isa, constants=constants, results=1 + cls.states)
    for given, fixed in ((inputs[:4], constants), (inputs[:3], constants), (inputs, (*constants, 5, 6))):
        got, _ = run_threads(op, given, isa, constants=fixed, results=1 + cls.states)
        for a, b in zip(got, wanted, strict=True):
            assert same_bits(a, b)


@EVERY_ISA
@EVERY
def test_a_sequence_has_the_same_bits_alone_and_among_others(isa, cls):
    x, *others = operands(cls, 3, 14, 5, 33)
    (y,), _ = run_node(make(cls, 33), [x, *others[:3]], isa, 2, constants=(1, 2, 3))
    for n in (0, 1, 2, 7, 13):
        (alone,), _ = run_node(make(cls, 33), [x[:, n : n + 1], *others[:3]], isa, 1, constants=(1, 2, 3))
        assert same_bits(alone, y[:, :, n : n + 1])


@EVERY_ISA
@EVERY
def test_nan_stays_in_its_sequence(isa, cls):
    x, *weights = operands(cls, 4, 5, 3, 9)[:4]
    x[2, 3, 1] = np.nan
    (y,), _ = run_node(make(cls, 9), [x, *weights], isa, 2, constants=(1, 2, 3))
    assert np.isnan(y).nonzero()[0].min() == 2
    assert np.isnan(y[2:, :, 3]).all()
    assert np.isfinite(np.delete(y, 3, axis=2)).all()


@EVERY_ISA
@EVERY
def test_only_the_last_state_is_asked_for(isa, cls):
    inputs = operands(cls, 3, 2, 4, 11, "bidirectional")[:4]
    op = make(cls, 11, direction="bidirectional")
    full, _ = run_node(op, inputs, isa, 1, constants=(1, 2, 3), results=2)
    x = Value("x", inputs[0].shape, inputs[0].dtype)
    node = Node(op, [x, *(Value(n, constant=a) for n, a in zip("wrb", inputs[1:], strict=True))], [None, Value("h")], "y")
    (_, (node.outputs[1].shape, node.outputs[1].dtype), *_) = op.infer(*node.inputs)
    plan = build(Graph([x], [node.outputs[1]], [node]), Target(IMPLEMENTATIONS, kernels.load(isa), 2, pieces=2), {})
    (last,) = run_plan(plan, inputs[:1], 2)
    assert same_bits(last, full[1])


def test_refusals():
    isa, constants = ISAS[-1], (1, 2, 3)
    inputs = operands(LSTM, 2, 3, 4, 5)
    empty = [inputs[0][:0], *inputs[1:]]
    lengths = [*inputs[:4], np.array([2, 1, 2], np.int32), *inputs[5:]]
    for reason, op, given, fixed in (
        ("weights are not constant", LSTM(), inputs[:4], (1, 2)),
        ("dtype float64", LSTM(), [v.astype(np.float64) for v in inputs[:4]], constants),
        ("empty tensor", LSTM(), empty, constants),
        ("sequence_lens", LSTM(), lengths, (*constants, 4)),
        ("sequence_lens", LSTM(), lengths, constants),
        ("peepholes", LSTM(), [*inputs, np.ones((1, 15), np.float32)], (*constants, 7)),
        ("activations sigmoid, relu, tanh", LSTM(activations=("Sigmoid", "Relu", "Tanh")), inputs, constants),
        ("clip", LSTM(clip=1.0), inputs, constants),
        ("input_forget", LSTM(input_forget=1), inputs, constants),
        ("linear_before_reset 0", GRU(), operands(GRU, 2, 3, 4, 5), constants),
    ):
        assert refusals(op, given, isa, constants=fixed) == {"row-major": reason}


def test_full_lengths_are_none():
    inputs = operands(GRU, 2, 3, 4, 5)
    inputs[4] = np.full(3, 2, np.int32)
    _, plan = run_node(make(GRU, 5), inputs, ISAS[-1], 1, constants=(1, 2, 3, 4))
    assert choice(plan) == "row-major"
