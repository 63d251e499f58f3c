"""Conv by Winograd's algorithm."""

import itertools
from functools import cache

import numpy as np
import pytest

from fastconv import kernels
from fastconv.implementations import conv_winograd
from fastconv.ops.conv import Conv

from ..support.harness import ISAS, THREADS, refusals, run_node, same_bits
from .cases import Case, check, check_on_all_threads, pairs, thinned, winograd_rounding

COVERS = {"Conv": ("winograd",)}
EVERY_ISA = pytest.mark.parametrize("isa", [pytest.param(isa, id=f"conv-winograd-{isa}") for isa in ISAS])
EVERY = pytest.mark.parametrize(
    "isa, threads", [pytest.param(i, t, id=f"conv-winograd-{i}-t{t}") for i, t in itertools.product(ISAS, THREADS)]
)


@pytest.fixture(params=["whole", "steps"])
def way(request, monkeypatch):
    """The algorithm in one step and in several, for any size, in small blocks."""
    monkeypatch.setattr(conv_winograd, "FEW_PRODUCTS", {"whole": 1 << 30, "steps": 0}[request.param])
    monkeypatch.setattr(conv_winograd, "WHOLE_BYTES", 1)
    monkeypatch.setattr(conv_winograd, "STEPS_BYTES", 1)
    monkeypatch.setattr(conv_winograd, "BLOCK_TILES", 5)
    return request.param


@pytest.fixture(params=[4, 2], ids=["4x4", "2x2"])
def M(request, monkeypatch):
    """Both output tiles of a 3x3 kernel for any size."""
    monkeypatch.setattr(conv_winograd, "prefer_small_tiles", lambda large, small: request.param == 2)
    return request.param


#: the kernels that tiles of MxM are for
KERNELS = {4: [3], 2: [3, 5]}


def by_dilation(cases):
    """The cases of each dilation in turn, and the error of their sums."""
    for D, some in itertools.groupby(cases, lambda case: case.dilations[0]):
        yield list(some), winograd_rounding(D)


@cache
def tails(V, M):
    """Output channels x output tiles of MxM pixels, with every remainder of a tile."""
    cases = []
    for K, (oc, tiles) in itertools.product(KERNELS[M], thinned(V, range(1, 2 * 14 + 2))):
        size = (1 + oc % M, M * tiles - (oc + tiles) % M)
        ic = (oc + tiles) % (2 * V + 1) + 1
        cases.append(Case(1, ic, oc, size, (K, K), pads=(K // 2,) * 4, residual=tiles % 3 == 0, form="relu"))
    return cases


@cache
def combinations(V, M):
    widths = [(1, 1), (1, V), (3, V), (V, V + 1), (V - 1, 2 * V), (V + 1, 2 * V + 1), (2 * V, 3 * V), (2 * V + 1, 5 * V - 1)]
    factors = {
        "channels": [(1, *c) for c in widths],
        "kernel": [(K, K) for K in KERNELS[M]],
        "strides": [(1, 1)],
        "dilations": [(D, D) for D in (1, 2, 3, 4)],
        "out": [(1, 1), (1, 15), (4, 4), (5, 8), (6, 3), (7, 2), (13, 18)],
        "exact": [False],
    }
    return list(pairs(0, **factors))


@cache
def dilated(V, M):
    """Every size of up to two tiles 4 apart and a pixel, at two dilations, padded by half a kernel, by less and by more."""
    cases = []
    for K, D, size in itertools.product(KERNELS[M], (2, 3, 4, 7), range(1, 2 * M * 4 + 2)):
        if size % 2 != D % 2:
            continue
        half, extent = K // 2 * D, (K - 1) * D + 1
        pads = [(half,) * 4, (half - 1, half + 1, half, half - 2), (extent, 0, half, extent + 2)][size % 3]
        least = [max(extent - pads[i] - pads[i + 2], 1) for i in (0, 1)]
        across = max(2 * M * D + 1 - size, 1)
        more = {"N": 1 + size // 8 % 2, "residual": size % 4 < 2, "form": ("none", "silu", "relu")[size // 2 % 3]}
        sizes, guard = (least[0] + size - 1, least[1] + across - 1), ("before", "after")[size // 4 % 2]
        cases.append(Case(1, V + 1, 2 * V + 1, sizes, (K, K), (1, 1), (D, D), pads, guard=guard, **more))
    return cases


@pytest.mark.slow
@EVERY_ISA
def test_every_tail(isa, way, M, monkeypatch):
    if way == "steps":  # all in one block
        monkeypatch.setattr(conv_winograd, "BLOCK_TILES", 30)
    check_on_all_threads(tails(kernels.load(isa).V, M), "winograd", isa, winograd_rounding(1))


@pytest.mark.slow
@EVERY_ISA
def test_combinations(isa, way, M):
    for cases, error in by_dilation(combinations(kernels.load(isa).V, M)):
        check_on_all_threads(cases, "winograd", isa, error)


@pytest.mark.slow
@EVERY_ISA
def test_dilated(isa, way, M):
    for cases, error in by_dilation(dilated(kernels.load(isa).V, M)):
        check_on_all_threads(cases, "winograd", isa, error)


@pytest.mark.slow
@EVERY
def test_sizes(isa, threads):
    """The sizes decide: output tiles of 2x2 or 4x4, in one block or in many."""
    V = kernels.load(isa).V
    sizes = (7, 7), (9, 11), (100, 90)
    made = [
        Case(1, 9 * V, 2 * V, size, (K, K), dilations=(D, D), pads=(D,) * 4)
        for D, K, size in itertools.product((1, 2), (3, 5), sizes)
    ]
    for cases, error in by_dilation(made):
        check(cases, "winograd", isa, threads, error)


@EVERY_ISA
def test_images_do_not_depend_on_the_batch(isa, way, M):
    rng = np.random.default_rng(0)
    V = kernels.load(isa).V
    for K, D, IC, OC, N in itertools.product(KERNELS[M], (1, 2), (3, 2 * V + 1), (V, 3 * V - 1), (2, 3, 7)):
        x, w = rng.standard_normal((N, IC, 9, 11), np.float32), rng.standard_normal((OC, IC, K, K), np.float32)
        op = Conv(pads=(1, 0, 1, 2), dilations=(D, D))
        (y,), _ = run_node(op, [x, w], isa, 2, "winograd", (1,))
        for n in range(N):
            (alone,), _ = run_node(op, [x[n : n + 1], w], isa, 2, "winograd", (1,))
            assert same_bits(alone, y[n : n + 1])


@EVERY_ISA
def test_nan_stays_in_its_tiles(isa, way, M):
    """A NaN may spread over the output tiles that read it, but to no other image. Every NaN of the definition is there."""
    rng = np.random.default_rng(1)
    op = Conv(pads=(1, 1, 1, 1))
    for h, w in itertools.product((0, 3, 4, 8), (0, 5, 10)):
        x, wei = rng.standard_normal((2, 3, 9, 11), np.float32), rng.standard_normal((5, 3, 3, 3), np.float32)
        x[1, 2, h, w] = np.nan
        (y,), _ = run_node(op, [x, wei], isa, 2, "winograd", (1,))
        bad = np.isnan(y).all(axis=1)
        assert (bad == np.isnan(y).any(axis=1)).all()
        assert not bad[0].any()
        assert bad[1][np.isnan(op.reference(x, wei)[1, 0])].all()
        reads = [set(range(max(c // M - (c % M == 0), 0), c // M + (c % M == M - 1) + 1)) for c in (h, w)]
        tiles = {(int(i) // M, int(j) // M) for i, j in np.argwhere(bad[1])}
        assert tiles <= set(itertools.product(*reads))


@EVERY_ISA
def test_weights_may_lie_in_any_order(isa, M):
    rng = np.random.default_rng(2)
    x, w = rng.standard_normal((1, 5, 6, 7), np.float32), rng.standard_normal((3, 3, 5, 4), np.float32).transpose()
    (y,), _ = run_node(Conv(), [x, w], isa, 1, "winograd", (1,))
    (expected,), _ = run_node(Conv(), [x, w.copy("C")], isa, 1, "winograd", (1,))
    assert same_bits(y, expected)


@pytest.mark.parametrize("isa", ISAS)
def test_what_it_refuses(isa):
    x, w = np.zeros((1, 64, 40, 40), np.float32), np.zeros((64, 64, 3, 3), np.float32)
    for reason, op, inputs in (
        ("kernel 5×3", Conv(pads=(2, 1, 2, 1)), [x, np.zeros((64, 64, 5, 3), np.float32)]),
        ("stride 2×1", Conv(strides=(2, 1)), [x, w]),
        ("dilation 1×2", Conv(dilations=(1, 2)), [x, w]),
        ("group 2", Conv(group=2), [x, w[:, :32]]),
        ("dtype float64", Conv(), [x.astype(np.float64), w.astype(np.float64)]),
    ):
        assert refusals(op, inputs, isa, constants=(1,))["winograd"] == reason
    for D in (1, 2, 4):
        assert "winograd" not in refusals(Conv(dilations=(D, D)), [x, w], isa, constants=(1,))
    small = refusals(Conv(), [x[:, :8, :5, :5], w[:, :8]], isa, constants=(1,))
    assert small["winograd"].startswith("estimated ")


def test_tiles_of_few_pixels_are_small():
    """With a dilation of 4, 9 pixels fill tiles of 4 badly: tiles of 2 waste fewer products."""
    for D, size, M in ((1, 9, 4), (4, 9, 2), (4, 16, 4), (2, 16, 4), (8, 16, 2)):
        windows = Conv(dilations=(D, D), pads=(D,) * 4).windows((size, size), (3, 3))
        assert conv_winograd.output_tiles(windows).M == M
