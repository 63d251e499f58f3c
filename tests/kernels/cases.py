"""Cases for the kernels that sum products, their expected results, and bounds of the error.

A Case is a convolution or a transposed one; its data are a function of it, so that the repr in a failure's note reproduces it.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import zlib
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from fastconv.ops.binary import Add
from fastconv.ops.conv import Conv
from fastconv.ops.conv_transpose import ConvTranspose
from fastconv.ops.elementwise import Clip, Elu, HardSigmoid, HardSwish, LeakyRelu, Relu, Sigmoid, Softplus, Swish, Tanh
from fastconv.ops.quantize import DequantizeLinear, QuantizeLinear

from ..support.harness import EPS, THREADS, assert_within, integers, reference, run_node, run_threads

#: sigmoid and its like cut e^x to 0 below 2^-126: what is lost of x·e^x there
CUT = 88 * float(np.finfo(np.float32).tiny)


class Form(NamedTuple):
    """An activation for the store, and the error that is its own: for an error d of its argument the result is off by less than

        slope * d + (relative * |result| + absolute) * EPS + CUT

    `slope` is its Lipschitz constant. With `exact`, quarters of small integers give what float32 holds exactly.
    """

    op: Any = None
    slope: float = 1
    relative: float = 0
    absolute: float = 0
    exact: bool = False

    def bound(self, expected, error):
        """The largest error allowed, for sums that may be off by `error`."""
        return self.slope * error + (self.relative * np.abs(expected) + self.absolute) * EPS + CUT


# EPS is two roundings, and two ulp at most: vexp is off by less than 2 EPS, every other operation by half an EPS.
FORMS = {
    "none": Form(exact=True),
    "relu": Form(Relu(), exact=True),
    "clip": Form((Clip(), np.array(-3, np.float32), np.array(6, np.float32)), exact=True),
    "leaky_relu": Form(LeakyRelu(alpha=0.25), exact=True),
    # the sum and its product with alpha, both at most 1 where they are not clipped (of alpha · x: 1.5), rounded
    "hard_sigmoid": Form(HardSigmoid(alpha=0.25, beta=0.5), slope=0.25, absolute=1.25, exact=True),
    # x + 3, two products and 1/6 itself, each rounded; the slope is largest at 3
    "hard_swish": Form(HardSwish(), slope=1.5, relative=2),
    # e/(1 + e): 2 for e above and 1 for the e below, as e <= 1; a sum and a quotient
    "sigmoid": Form(Sigmoid(), slope=0.25, relative=4),
    "silu": Form(Swish(), slope=1.1, relative=4.5),
    # (1 - e)/(1 + e) from 0.625 on, where e < 0.29: 1.3 above, 1 below, and a quotient; the polynomial below 0.625 is closer
    "tanh": Form(Tanh(), slope=1, relative=3),
    # alpha (e^x - 1) cancels near 0: the error is that of e^x, which is at most 1, and two roundings of at most 1
    "elu": Form(Elu(alpha=0.5), slope=1, absolute=1.5),
    # e^-|x| has 2 and z = u/(u + 2) 1 more; seven terms of the series 1 in sum (cut after 2^-26), products and sum 1.5
    "softplus": Form(Softplus(), slope=1, relative=6),
    # a step, where the sum is next to the middle of two
    "fake_quantize": Form(
        [(op, np.float32(0.5), np.uint8(100)) for op in (QuantizeLinear(), DequantizeLinear())], absolute=0.5 / EPS, exact=True
    ),
}


def rounding(scale):
    """How far sums may be off whose terms have magnitudes that sum up to `scale`: every output has a scale of its own."""
    return 4 * EPS * scale


@cache
def winograd_rounding(D):
    """How far Winograd's sums may be off: 40 EPS (windows of 6x6, points 0, ±1/√2, ±√2) of the largest `scale` in the tile.

    All pixels of a tile, which are D apart, are computed from all that the tile reads: a small one beside large ones has their
    error.
    """

    def bound(scale):
        H, W = scale.shape[2:]
        around = np.pad(scale, [(0, 0), (0, 0), (3 * D, 3 * D), (3 * D, 3 * D)])
        shifts = range(0, 6 * D + 1, D)
        return 40 * EPS * np.max([around[:, :, i : i + H, j : j + W] for i, j in itertools.product(shifts, shifts)], axis=0)

    return bound


def answer(op, inputs, residual, form, exact, magnitude=None, error=rounding):
    """(the expected result in float64, the largest error allowed).

    The sums may be off by `error` of the sums of their magnitudes, which the reference gives for absolute values (that of
    `magnitude`, where the op itself has factors). With `exact`, every product and sum is a multiple of 1/4 that float32 holds.
    """

    def run(op, arrays, add, activation):
        epilogue = [*([] if add is None else [(Add(), add)]), *([] if activation is None else [activation])]
        return reference(op, arrays, epilogue=epilogue)[0]

    expected = run(op, inputs, residual, form.op)
    if exact and form.exact:
        return expected, 0.0
    sizes = [a if a is None else np.abs(a) for a in (*inputs, residual)]
    scale = run(magnitude or op, sizes[:-1], sizes[-1], None)
    return expected, form.bound(expected, error(scale))


class Case(NamedTuple):
    """One convolution (or `transposed` one) of G groups, ICG to OCG channels each, with everything its store can do."""

    G: int
    ICG: int
    OCG: int
    size: tuple[int, int]
    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    N: int = 1
    bias: bool = True
    residual: bool = False
    form: str = "none"
    exact: bool = True
    guard: str | None = None
    transposed: bool = False
    more: tuple[int, int] = (0, 0)

    @property
    def op(self):
        fields = {"strides": self.strides, "dilations": self.dilations, "pads": self.pads, "group": self.G}
        return ConvTranspose(**fields, output_padding=self.more) if self.transposed else Conv(**fields)

    def data(self):
        """(x, weights and bias; the residual or None)."""
        rng = np.random.default_rng(zlib.crc32(repr(self).encode()))

        def draw(*shape):
            return integers(rng, shape) if self.exact else rng.standard_normal(shape, np.float32)

        IC, OC = self.G * self.ICG, self.G * self.OCG
        x = draw(self.N, IC, *self.size)
        w = draw(IC, self.OCG, *self.kernel) if self.transposed else draw(OC, self.ICG, *self.kernel)
        b = draw(OC) if self.bias else None
        out = self.op.geometry(x.shape, self.kernel).out
        return [x, w, b], draw(self.N, OC, *out) if self.residual else None

    def epilogue(self, residual):
        """The operators that are fused."""
        op = FORMS[self.form].op
        return [*([] if residual is None else [(Add(), residual)]), *([] if op is None else [op])]


@cache
def expected(case, error):
    """The expected result of `case` and the error allowed."""
    inputs, residual = case.data()
    return answer(case.op, inputs, residual, FORMS[case.form], case.exact and error is rounding, error=error)


@cache
def outcome(case, implementation, isa, threads, error):
    """Run a case, check it, and return a digest of its bits."""
    inputs, residual = case.data()
    with noting(case):
        options = {"epilogue": case.epilogue(residual), "guard": case.guard}
        (y,), _ = run_node(case.op, inputs, isa, threads, implementation, (1, 2), **options)
        assert_within(y, *expected(case, error))
    return hashlib.sha1(y).digest()


def check_on_all_threads(cases, implementation, isa, error=rounding):
    """Check every case by one plan, which gives the same bits on 1, 2 and 3 threads: for many cases, as plans take the time."""
    for case in cases:
        inputs, residual = case.data()
        with noting(case):
            options = {"epilogue": case.epilogue(residual), "guard": case.guard}
            (y,), _ = run_threads(case.op, inputs, isa, implementation, (1, 2), **options)
            assert_within(y, *expected(case, error))


def check(cases, implementation, isa, threads, error=rounding):
    """Check every case by a plan for so many threads, which gives the same bits as one for a single thread."""
    for case in cases:
        alone, shared = (outcome(case, implementation, isa, t, error) for t in (THREADS[0], threads))
        with noting(case):
            assert shared == alone, f"{threads} threads differ from {THREADS[0]}"


@contextlib.contextmanager
def noting(case):
    """Name the case in a failure."""
    try:
        yield
    except Exception as e:
        e.add_note(repr(case))
        raise


def input_size(out, kernel, strides, dilations, pads, transposed=False, more=(0, 0)):
    """The size of an input for which a convolution gives about `out` pixels, at least one; strides leave a remainder."""
    size = []
    for i in range(2):
        extent, pad = (kernel[i] - 1) * dilations[i] + 1, pads[i] + pads[i + 2]
        if transposed:
            size.append(max(-(-(out[i] + pad - extent - more[i]) // strides[i]) + 1, 1))
        else:
            size.append(max(out[i] * strides[i] + extent - pad - 1, extent - pad, 1))
    return tuple(size)


def thinned(V, widths):
    """Pairs of output channels, 1 to 2 V + 1, and widths: all widths go with those of output channels at which vectors and
    panels begin and end, and some with each.
    """
    ends = (1, V, V + 1, 2 * V, 2 * V + 1)
    every = itertools.product(range(1, 2 * V + 2), widths)
    return [(oc, width) for oc, width in every if oc in ends or width % 7 == oc % 7]


#: how a kernel of this extent is padded: not, by one, more at one end, by more than itself
PADS = {
    "none": lambda h, w: (0, 0, 0, 0),
    "one": lambda h, w: (1, 1, 1, 1),
    "uneven": lambda h, w: (0, w - 1, h // 2 + 1, 0),
    "large": lambda h, w: (h, w + 1, h + 2, w),
}

#: the factors that every implementation shares
SHARED = {
    "kernel": [(1, 1), (2, 2), (3, 3), (5, 5), (7, 7), (11, 11), (1, 5), (1, 2), (3, 1), (7, 1)],
    "strides": [(1, 1), (2, 2), (3, 3), (4, 4), (1, 2), (3, 1)],
    "dilations": [(1, 1), (2, 2), (3, 3), (1, 2), (4, 1)],
    "pads": list(PADS),
    "out": [(1, 1), (1, 15), (3, 5), (7, 2), (9, 13)],
    "N": [1, 2, 3],
    "bias": [False, True],
    "residual": [False, True],
    "form": list(FORMS),
    "exact": [False, True],
    "guard": [None, "before", "after"],
}


def channels(V):
    """(G, ICG, OCG): tails of both and one to five output blocks, groups that are merged or not, one group for each channel."""
    narrow = [(1, 1, 1), (1, 1, V), (1, 3, V), (1, V, V + 1), (1, V - 1, 2 * V), (1, V + 1, 2 * V + 1)]
    wide = [(1, 2 * V, 3 * V), (1, 2 * V + 1, 5 * V - 1), (1, 2, 5 * V + 2)]
    groups = [(2, V, 2 * V), (2, V, V + 1), (4, V // 4, V // 2), (3, 2, 5), (6, V, V // 2)]
    return [*narrow, *wide, *groups, (V, 1, 1), (V + 1, 1, 2), (V - 1, 1, 3)]


def pairs(seed, transposed=False, **factors):
    """Cases that contain every pair of values of every two factors."""
    for row in pairwise(np.random.default_rng(seed), {**SHARED, **factors}):
        (G, ICG, OCG), out, kind = row.pop("channels"), row.pop("out"), row.pop("pads")
        kernel, strides, dilations = row["kernel"], row["strides"], row["dilations"]
        pads = PADS[kind](*((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)))
        more = row.pop("more", 0)
        if more:  # rows behind the last window are cut off again: where not, they are the reference's
            more = tuple(min(p, max(s, d) - 1) for p, s, d in zip(pads[2:], strides, dilations, strict=True))
        row["more"] = more or (0, 0)
        size = input_size(out, kernel, strides, dilations, pads, transposed, row["more"])
        yield Case(G, ICG, OCG, size, pads=pads, transposed=transposed, **row)


def pairwise(rng, factors):
    """Rows {name: value} with every pair of values of every two factors; each row adds as many new pairs as possible."""
    names = list(factors)
    rest = {
        frozenset([(a, i), (b, j)])
        for a, b in itertools.combinations(names, 2)
        for i in range(len(factors[a]))
        for j in range(len(factors[b]))
    }
    while rest:
        row = dict(min(rest, key=sorted))
        for name in rng.permutation([n for n in names if n not in row]):
            gain = [sum(frozenset([(name, i), other]) in rest for other in row.items()) for i in range(len(factors[name]))]
            best = np.flatnonzero(np.array(gain) == max(gain))
            row[str(name)] = int(rng.choice(best))
        rest -= set(map(frozenset, itertools.combinations(row.items(), 2)))
        yield {name: factors[name][row[name]] for name in names}
