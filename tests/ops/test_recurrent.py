"""RNN, GRU and LSTM beyond ONNX's node cases: directions, lengths, layouts and options, each against an equivalent."""

from __future__ import annotations

import numpy as np
import pytest

from fastconv.errors import ModelError

from ..support.nodes import compute, infer
from ..support.rng import generator

T, N, IN, H = 5, 3, 4, 6
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
STATES = {"RNN": 1, "GRU": 1, "LSTM": 2}
RNG = generator(__name__)
X = RNG.standard_normal((T, N, IN)).astype(np.float32)
LENGTHS = np.array([5, 2, 0], np.int32)


def weights(op, directions=1):
    shapes = ((GATES[op] * H, IN), (GATES[op] * H, H), (2 * GATES[op] * H,))
    return [np.random.default_rng(8).standard_normal((directions, *s)).astype(np.float32) / 2 for s in shapes]


def run(op, x, w, lengths=None, states=(), **attributes):
    return compute(op, x, *w, lengths, *states, outputs=1 + STATES[op], hidden_size=H, **attributes)


def same(got, wanted):
    assert len(got) == len(wanted)
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6, strict=True)


@pytest.fixture(params=sorted(GATES))
def op(request):
    return request.param


def test_the_steps_are_a_chain(op):
    """Two halves, the second starting from the final states of the first, give the result of the whole."""
    w = weights(op)
    y, *last = run(op, X, w)
    begin, *middle = run(op, X[:2], w)
    end, *after = run(op, X[2:], w, None, middle)
    same([y, *last], [np.concatenate([begin, end]), *after])
    np.testing.assert_array_equal(y[-1], last[0])


def test_reverse_is_forward_turned_round(op):
    w = weights(op)
    y, *last = run(op, X[::-1], w)
    same(run(op, X, w, direction="reverse"), [y[::-1], *last])


def test_both_directions_side_by_side(op):
    w = weights(op, 2)
    forward = run(op, X, [v[:1] for v in w])
    reverse = run(op, X, [v[1:] for v in w], direction="reverse")
    both = run(op, X, w, direction="bidirectional")
    same(both, [np.concatenate(pair, int(i == 0)) for i, pair in enumerate(zip(forward, reverse, strict=True))])


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_short_sequences_are_as_alone(op, direction):
    w = weights(op, 1 + (direction == "bidirectional"))
    states = [RNG.standard_normal((len(w[0]), N, H)).astype(np.float32) for _ in range(STATES[op])]
    y, *last = run(op, X, w, LENGTHS, states, direction=direction)
    for n, length in enumerate(LENGTHS):
        alone = run(op, X[:length, n : n + 1], w, None, [s[:, n : n + 1] for s in states], direction=direction)
        same([y[:length, :, n : n + 1], *(v[:, n : n + 1] for v in last)], alone)
        assert not y[length:, :, n].any()


def test_the_sequences_first(op):
    w = weights(op, 2)
    states = [RNG.standard_normal((2, N, H)).astype(np.float32) for _ in range(STATES[op])]
    y, *last = run(op, X, w, LENGTHS, states, direction="bidirectional")
    turned = run(op, X.swapaxes(0, 1), w, LENGTHS, [s.swapaxes(0, 1) for s in states], direction="bidirectional", layout=1)
    same(turned, [y.transpose(2, 0, 1, 3), *(v.swapaxes(0, 1) for v in last)])


def test_activations(op):
    """Other activations, with parameters and clipping."""
    w = weights(op)
    count = {"RNN": 1, "GRU": 2, "LSTM": 3}[op]
    plain = run(op, X, w)
    names = ["Tanh"] if op == "RNN" else ["Sigmoid", "Tanh", "Tanh"][:count]
    same(run(op, X, w, activations=[n.upper() for n in names]), plain)
    scaled = ["ScaledTanh" if n == "Tanh" else n for n in names]
    same(run(op, X, w, activations=scaled, activation_alpha=[1.0] * count, activation_beta=[1.0] * count), plain)
    assert np.abs(run(op, X, w, activations=scaled, activation_alpha=[0.5] * count)[0] - plain[0]).max() > 0.01
    same(run(op, X, w, clip=1e3), plain)
    clipped = run(op, X, w, clip=0.1)[0]
    assert np.abs(clipped).max() <= np.tanh(0.1) + 1e-6
    identity = run(op, X, w, activations=["Affine"] * count, clip=1e-6)[0]
    assert np.abs(identity).max() <= 1e-5


def test_one_step_of_a_gru_by_hand():
    w, r, b = (v[0].astype(np.float64) for v in weights("GRU"))
    x, h = X[0].astype(np.float64), RNG.standard_normal((N, H))
    (wz, wr, wh), (rz, rr, rh) = np.split(w, 3), np.split(r, 3)
    bz, br, bh, cz, cr, ch = np.split(b, 6)
    z = 1 / (1 + np.exp(-(x @ wz.T + h @ rz.T + bz + cz)))
    s = 1 / (1 + np.exp(-(x @ wr.T + h @ rr.T + br + cr)))
    for before, inner in ((0, (s * h) @ rh.T + ch), (1, s * (h @ rh.T + ch))):
        y = (1 - z) * np.tanh(x @ wh.T + bh + inner) + z * h
        got = compute("GRU", x[None], w[None], r[None], b[None], None, h[None], hidden_size=H, linear_before_reset=before)
        np.testing.assert_allclose(got[0][0, 0], y, rtol=1e-12)


@pytest.mark.parametrize("input_forget", [0, 1])
def test_one_step_of_an_lstm_by_hand(input_forget):
    w, r, b = (v[0].astype(np.float64) for v in weights("LSTM"))
    x, h, c, p = X[0].astype(np.float64), *RNG.standard_normal((2, N, H)), RNG.standard_normal(3 * H)

    def sigmoid(v):
        return 1 / (1 + np.exp(-v))

    gi, go, gf, gc = np.split(x @ w.T + h @ r.T + b[: 4 * H] + b[4 * H :], 4, axis=1)
    pi, po, pf = np.split(p, 3)
    i = sigmoid(gi + pi * c)
    new = (1 - i if input_forget else sigmoid(gf + pf * c)) * c + i * np.tanh(gc)
    y = sigmoid(go + po * new) * np.tanh(new)
    got = compute(
        "LSTM", x[None], w[None], r[None], b[None], None, h[None], c[None], p[None],
        hidden_size=H, input_forget=input_forget, outputs=3,
    )  # fmt: skip
    np.testing.assert_allclose(got[1][0], y, rtol=1e-12)
    np.testing.assert_allclose(got[2][0], new, rtol=1e-12)


def test_shapes_and_what_cannot_be(op):
    w = weights(op)
    assert infer(op, ("T", "N", IN), *w, hidden_size=H) == ("T", 1, "N", H)
    assert infer(op, ("N", "T", IN), *w, layout=1) == ("N", "T", 1, H)
    for inputs, attributes, message in (
        ([X, *w], {"direction": "sideways"}, "direction: expected one of"),
        ([X, *w], {"direction": "bidirectional"}, "W: shape"),
        (
            [X, *w],
            {"activations": ["Tanh"] * 2, "direction": "bidirectional"},
            "W: shape" if op == "RNN" else "activations: exp",
        ),
        ([X, *w], {"activations": ["Cosine"] * {"RNN": 1, "GRU": 2, "LSTM": 3}[op]}, "are not known"),
        ([X[..., 1:], *w], {}, "W: shape"),
        ([X, *w], {"hidden_size": H + 1}, "hidden size"),
        ([X, w[0], w[1], w[2][:, 1:]], {}, "B: shape"),
        ([X, *w, LENGTHS[1:]], {}, "sequence_lens: shape"),
        ([X, *w, None, np.zeros((1, N, H + 1), np.float32)], {}, "initial_h: shape"),
    ):
        with pytest.raises(ModelError, match=message):
            infer(op, *inputs, **attributes)
