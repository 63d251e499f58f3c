"""ConvTranspose by phases of direct convolution."""

import itertools
from functools import cache

import numpy as np
import pytest

from fastconv import kernels
from fastconv.ops.binary import Add
from fastconv.ops.conv_transpose import ConvTranspose
from fastconv.ops.elementwise import Relu

from ..support.harness import ISAS, assert_within, integers, reference, refusals, run_node, run_threads, same_bits
from .cases import FORMS, Case, answer, channels, check_on_all_threads, pairs, thinned

COVERS = {"ConvTranspose": ("phases",)}
EVERY_ISA = pytest.mark.parametrize("isa", [pytest.param(isa, id=f"conv_transpose-phases-{isa}") for isa in ISAS])


@cache
def tails(V):
    """Output channels x input widths: a phase has about as many pixels as the input."""
    cases, forms = [], [name for name, form in FORMS.items() if form.exact]
    for oc, width in thinned(V, range(1, 2 * 14 + 2)):
        stride = 1 + (oc + width) % 2
        ic, form = (oc + width) % (2 * V + 1) + 1, forms[(oc + width) % len(forms)]
        pads = (1, width % 2, 0, 1)
        cases.append(
            Case(1, ic, oc, (1, width), (2, 3), (1, stride), pads=pads, residual=width % 3 == 0, form=form, transposed=True)
        )
    return cases


@cache
def combinations(V):
    return list(pairs(0, transposed=True, channels=channels(V), more=[False, True]))


@pytest.mark.slow
@EVERY_ISA
def test_every_tail(isa):
    check_on_all_threads(tails(kernels.load(isa).V), "phases", isa)


@pytest.mark.slow
@EVERY_ISA
def test_combinations(isa):
    check_on_all_threads(combinations(kernels.load(isa).V), "phases", isa)


@pytest.mark.slow
@EVERY_ISA
def test_every_kernel_stride_and_dilation(isa):
    """All pairs of phases: with no tap, one or several, any distance apart, and cut at either end."""
    cases = []
    for k, s, d in itertools.product((1, 2, 3, 4, 5, 7), (1, 2, 3, 4), (1, 2, 3, 4, 6)):
        extent = (k - 1) * d + 1
        for before, after in ((0, 0), (extent - 1, 0), (0, extent // 2), (1, 3 * s)):
            # the columns have another kernel and padding than the rows
            rows, columns = -(-(before + after + 1) // s) + 2, -(-after // s) + 3
            cases.append(
                Case(1, 3, 5, (rows, columns), (k, 3), (s, s), (d, 1), (before, after, after, 0), form="relu", transposed=True)
            )
    check_on_all_threads(cases, "phases", isa)


@EVERY_ISA
@pytest.mark.parametrize(
    "fields",
    [
        {"auto_pad": "SAME_UPPER", "strides": (2, 2)},
        {"auto_pad": "SAME_LOWER", "strides": (3, 2)},
        {"auto_pad": "VALID", "strides": (2, 1)},
        {"output_shape": (12, 15), "strides": (2, 2)},
        {"output_shape": (1, 7, 11, 14), "strides": (2, 2), "auto_pad": "SAME_UPPER"},
    ],
    ids=str,
)
def test_other_ways_to_say_the_padding(isa, fields):
    rng = np.random.default_rng(0)
    x, w = integers(rng, (1, 5, 6, 7)), integers(rng, (5, 7, 4, 5))
    op = ConvTranspose(**fields)
    (y,), _ = run_threads(op, [x, w], isa, constants=(1,))
    np.testing.assert_array_equal(y, reference(op, [x, w])[0])


@pytest.mark.slow
@EVERY_ISA
def test_images_do_not_depend_on_the_batch(isa):
    rng = np.random.default_rng(1)
    V = kernels.load(isa).V
    for (G, ICG, OCG), N in itertools.product(channels(V), (2, 3, 7)):
        x = rng.standard_normal((N, G * ICG, 5, 7), np.float32)
        w = rng.standard_normal((G * ICG, OCG, 3, 2), np.float32)
        op = ConvTranspose(group=G, strides=(2, 1), pads=(1, 0, 0, 1))
        (y,), _ = run_node(op, [x, w], isa, 2, constants=(1,))
        for n in range(N):
            (alone,), _ = run_node(op, [x[n : n + 1], w], isa, 2, constants=(1,))
            assert same_bits(alone, y[n : n + 1])


@EVERY_ISA
def test_many_chunks(isa):
    """Phases of more pixels than an item takes."""
    rng = np.random.default_rng(2)
    V = kernels.load(isa).V
    x = rng.standard_normal((2, V + 1, 33, 31), np.float32)
    w, b = rng.standard_normal((V + 1, 3 * V, 4, 4), np.float32), rng.standard_normal(3 * V, np.float32)
    op = ConvTranspose(strides=(2, 2), pads=(1, 1, 1, 1))
    residual = rng.standard_normal(op.reference(x, w).shape, np.float32)
    (y,), _ = run_threads(op, [x, w, b], isa, constants=(1, 2), epilogue=[(Add(), residual), Relu()])
    assert_within(y, *answer(op, [x, w, b], residual, FORMS["relu"], exact=False))


@EVERY_ISA
def test_nan_and_infinity_reach_only_what_they_are_multiplied_for(isa):
    rng = np.random.default_rng(3)
    op = ConvTranspose(strides=(2, 3), pads=(1, 0, 0, 1))
    for value, h, w in itertools.product((np.nan, np.inf, -np.inf), (0, 2), (0, 3)):
        x = rng.standard_normal((2, 5, 3, 4), np.float32)
        x[1, 2, h, w] = value
        wei = rng.standard_normal((5, 6, 3, 4), np.float32)
        (y,), _ = run_node(op, [x, wei], isa, 1, constants=(1,))
        (expected,) = reference(op, [x, wei])
        assert np.isfinite(y[0]).all()
        np.testing.assert_array_equal(y[~np.isfinite(expected)], expected[~np.isfinite(expected)])
        assert np.isfinite(y[np.isfinite(expected)]).all()


@pytest.mark.parametrize("isa", ISAS)
def test_what_it_refuses(isa):
    x, w = np.zeros((1, 8, 5, 5), np.float32), np.zeros((8, 4, 3, 3), np.float32)
    for reason, op, arrays, constants in (
        ("zeros behind the last window", ConvTranspose(strides=(2, 2), output_padding=(1, 1)), [x, w], (1,)),
        ("zeros behind the last window", ConvTranspose(output_shape=(8, 8)), [x, w], (1,)),
        ("weights are not constant", ConvTranspose(), [x, w], ()),
        ("dtype float64", ConvTranspose(), [x.astype(np.float64), w.astype(np.float64)], (1,)),
        ("rank 3", ConvTranspose(), [x[0:1, :, 0], w[:, :, 0]], (1,)),
        ("empty tensor", ConvTranspose(), [x[:0], w], (1,)),
    ):
        assert refusals(op, arrays, isa, constants=constants) == {"phases": reason}
