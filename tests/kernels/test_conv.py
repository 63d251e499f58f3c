"""Conv by each of its implementations that sum the products of the definition."""

import itertools
from functools import cache

import numpy as np
import pytest

from fastconv import _constants, kernels
from fastconv.graph import Graph, Node, Value
from fastconv.implementations import IMPLEMENTATIONS
from fastconv.ops.binary import Add
from fastconv.ops.conv import Conv
from fastconv.ops.conv_transpose import ConvTranspose
from fastconv.plan import Target, build
from fastconv.reference import run_references

from ..support.harness import (
    ISAS,
    THREADS,
    assert_within,
    constants_of,
    integers,
    make_graph,
    reference,
    refusals,
    run_node,
    run_plan,
    same_bits,
)
from .cases import FORMS, Case, channels, check, check_on_all_threads, input_size, pairs, thinned

COVERS = {"Conv": ("first", "depthwise", "pointwise", "direct", "im2col")}
EVERY = pytest.mark.parametrize(
    "implementation, isa, threads",
    [pytest.param(i, isa, t, id=f"conv-{i}-{isa}-t{t}") for i, isa, t in itertools.product(COVERS["Conv"], ISAS, THREADS)],
)
EVERY_ISA = pytest.mark.parametrize(
    "implementation, isa", [pytest.param(i, isa, id=f"conv-{i}-{isa}") for i, isa in itertools.product(COVERS["Conv"], ISAS)]
)
#: twice the tallest register tile, and one
WIDTHS = range(1, 2 * 14 + 2)


def domain(implementation, V):
    """The channels (and kernels) an implementation is for, as factors of `pairs`."""
    if implementation == "first":
        return {"channels": [(1, ic, oc) for ic, oc in itertools.product((1, 2, 3, 4), (1, V - 1, V, V + 1, 2 * V + 1, 5 * V))]}
    if implementation == "depthwise":
        return {"channels": [(C, 1, 1) for C in (1, 2, V - 1, V, V + 1, 2 * V, 3 * V + 2)]}
    if implementation == "pointwise":
        return {"channels": channels(V), "kernel": [(1, 1)]}
    return {"channels": channels(V)}


@cache
def tails(implementation, V):
    """Output channels x output widths: every register tile, with input channels, strides and forms in turn."""
    cases, forms = [], [name for name, form in FORMS.items() if form.exact]
    for oc, ow in thinned(V, WIDTHS):
        strides = (1, 1 + (oc + ow // 14) % (3 if implementation == "depthwise" else 2))
        kernel = (1, 1) if implementation == "pointwise" else (2, 3)
        pads = (0, 0, 0, 0) if implementation == "pointwise" else (1, 1, 0, 1)
        ic = (ow + oc) % (4 if implementation == "first" else 2 * V + 1) + 1
        G, ICG, OCG = (oc, 1, 1) if implementation == "depthwise" else (1, ic, oc)
        width = (ow - 1) * strides[1] + kernel[1] - pads[1] - pads[3]
        form = forms[(oc + ow) % len(forms)]
        cases.append(Case(G, ICG, OCG, (1, max(width, 1)), kernel, strides, pads=pads, residual=ow % 3 == 0, form=form))
    return cases


@cache
def combinations(implementation, V):
    return list(pairs(COVERS["Conv"].index(implementation), **domain(implementation, V)))


def vectors(isa):
    return kernels.load(isa).V


@pytest.mark.slow
@EVERY_ISA
def test_every_tail(implementation, isa):
    check_on_all_threads(tails(implementation, vectors(isa)), implementation, isa)


@pytest.mark.slow
@EVERY_ISA
def test_combinations(implementation, isa):
    check_on_all_threads(combinations(implementation, vectors(isa)), implementation, isa)


def test_combinations_hold_every_activation():
    others = {"axes", "offset_bits", "widest_panel", "float32_weights", "bf16_weights", "float16_weights"}
    assert {name.lower() for name in constants_of(_constants)} - others == set(FORMS) - {"none", "relu"}


@EVERY
def test_many_chunks(implementation, isa, threads):
    """More pixels than an item takes, in panels of two, three and one blocks."""
    V = vectors(isa)
    cases = []
    for blocks, size in itertools.product((1, 3, 5), ((23, 25), (40, 7))):
        kernel, pads = ((1, 1), (0, 0, 0, 0)) if implementation == "pointwise" else ((3, 3), (1, 1, 1, 1))
        ICG = {"depthwise": 1, "first": 3}.get(implementation, 2 * V + 1)
        G, OCG = (blocks * V, 1) if implementation == "depthwise" else (1, blocks * V)
        cases += [Case(G, ICG, OCG, size, kernel, strides, pads=pads, N=2, form="relu") for strides in ((1, 1), (2, 2))]
    check(cases, implementation, isa, threads)


@pytest.mark.slow
@EVERY
def test_long_sums(implementation, isa, threads):
    """More products than a K block: many channels, with and without a tail, and kernels of many taps."""
    V = vectors(isa)
    many = {"pointwise": [(2400, (1, 1)), (4003, (1, 1))], "first": [(3, (25, 24))]}.get(
        implementation, [(300, (3, 3)), (405, (3, 3))]
    )
    large = [] if implementation == "pointwise" else [(1, (35, 35)), (2, (1, 1500))]
    cases = []
    for (ic, kernel), blocks in itertools.product([*many, *large], (1, 2, 3)):
        size = tuple(k + 3 for k in kernel)
        G, ICG, OCG = (blocks * V, 1, 1) if implementation == "depthwise" else (1, ic, blocks * V)
        cases += [Case(G, ICG, OCG, size, kernel, residual=True, form=f, exact=f == "relu") for f in ("relu", "sigmoid")]
    check(cases, implementation, isa, threads)


@pytest.mark.slow
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("implementation", ["first", "direct"])
def test_pixels_that_only_seem_to_be_neighbours(implementation, isa):
    """A register tile whose first and last pixel are as far apart as in one row, but belong to two rows."""
    cases = []
    for out, k, stride in itertools.product(range(1, 15), (1, 2, 3, 4, 7, 11), (2, 4)):
        size = input_size((4, out), (k, k), (stride, stride), (1, 1), (0, 0, 0, 0))
        cases += [Case(1, 2, 2 * vectors(isa), (size[0], size[1] - r), (k, k), (stride, stride)) for r in (0, stride - 1)]
    check(cases, implementation, isa, 1)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("implementation", ["pointwise", "direct"])
def test_strided_pixels_that_are_gathered_first(implementation, isa, threads):
    V = vectors(isa)
    cases = [
        Case(G, ic, 256 // G + 8 * (G == 1), (9, 12), (1, 1), strides, pads=pads, N=2, residual=True, form="relu")
        for (G, ic), strides, pads in itertools.product(
            ((1, 1), (1, 2 * V), (1, V + 3), (2, V)), ((2, 2), (1, 3), (3, 2)), ((0, 0, 0, 0), (1, 2, 0, 1))
        )
    ]
    check(cases, implementation, isa, threads)
    x, w = np.zeros((1, 8, 4, 4), np.float32), np.zeros((256, 8, 1, 1), np.float32)
    graph, _ = make_graph(Conv(strides=(2, 2)), [x, w], constants=(1,))
    plan = build(graph, Target(IMPLEMENTATIONS, kernels.load(isa), threads, algorithm=implementation), {})
    steps = next(e.steps for e in plan.entries if e.node is not None)
    assert len(steps) == 2, "a gathering step, and the convolution"


@pytest.mark.slow
@EVERY_ISA
def test_images_do_not_depend_on_the_batch(implementation, isa):
    rng = np.random.default_rng(0)
    for (G, ICG, OCG), N in itertools.product(domain(implementation, vectors(isa))["channels"], (2, 3, 7)):
        kernel = (1, 1) if implementation == "pointwise" else (3, 2)
        x = rng.standard_normal((N, G * ICG, 9, 11), np.float32)
        w = rng.standard_normal((G * OCG, ICG, *kernel), np.float32)
        op = Conv(group=G, strides=(1, 2), pads=(1, 0, 0, 2))
        (y,), _ = run_node(op, [x, w], isa, 2, implementation, (1,))
        for n in range(N):
            (alone,), _ = run_node(op, [x[n : n + 1], w], isa, 2, implementation, (1,))
            assert same_bits(alone, y[n : n + 1])


@EVERY_ISA
def test_nan_and_infinity_reach_only_what_reads_them(implementation, isa):
    rng = np.random.default_rng(1)
    V = vectors(isa)
    IC = {"first": 3, "depthwise": V + 1}.get(implementation, V + 1)
    kernel = (1, 1) if implementation == "pointwise" else (3, 3)
    G = IC if implementation == "depthwise" else 1
    op = Conv(group=G, pads=(1, 1, 1, 1), strides=(1, 2))
    for value, c, h, w in itertools.product((np.nan, np.inf, -np.inf), (0, IC - 1), (0, 4), (0, 3, 7)):
        x = rng.standard_normal((2, IC, 5, 8), np.float32)
        x[1, c, h, w] = value
        wei = rng.standard_normal((V + 1, IC // G, *kernel), np.float32)
        (y,), _ = run_node(op, [x, wei], isa, 1, implementation, (1,))
        expected = op.reference(x.astype(np.float64), wei.astype(np.float64))
        assert np.isfinite(y[0]).all()
        np.testing.assert_array_equal(np.isfinite(y), np.isfinite(expected))
        np.testing.assert_array_equal(y[~np.isfinite(y)], expected[~np.isfinite(y)])


@EVERY_ISA
@pytest.mark.parametrize("form", FORMS)
def test_activations_at_special_values(implementation, isa, form):
    """The convolution is exact, so the error is the activation's alone."""
    steps = np.concatenate([np.linspace(-9, 9, 289), np.geomspace(1e-40, 1e30, 141), -np.geomspace(1e-40, 1e30, 141)])
    values = [0.0, -0.0, np.inf, -np.inf, np.nan, 87.33, 87.34, 88.72, 88.73, -87.33, -87.34, -88.72, -104, 3e38, -3e38]
    x = np.concatenate([values, steps]).astype(np.float32).reshape(1, 1, 1, -1)
    w = np.ones((1, 1, 1, 1), np.float32)
    case = Case(1, 1, 1, x.shape[2:], (1, 1), form=form)
    (y,), _ = run_node(Conv(), [x, w], isa, 1, implementation, (1,), epilogue=case.epilogue(None))
    (expected,) = reference(Conv(), [x, w], epilogue=case.epilogue(None))
    with np.errstate(invalid="ignore"):
        bound = FORMS[form].bound(expected, 0)
    assert_within(y, expected, bound)


@EVERY_ISA
@pytest.mark.parametrize("residual", ["itself", "another"])
def test_between_others(implementation, isa, residual):
    """Source, residual and result have halos that other nodes want: transposed convolutions, and the same with more padding."""
    rng = np.random.default_rng(2)
    C = 3 if implementation == "first" else vectors(isa) + 1
    G = C if implementation == "depthwise" else 1
    kernel = (1, 1) if implementation == "pointwise" else (3, 3)
    x, r = (Value(name, (2, C, 6, 7), np.dtype(np.float32)) for name in ("x", "r"))

    def apply(op, source, *shape):
        w = Value("w", constant=integers(rng, shape, -2, 2))
        return Node(op, [source, w], [Value("y", *op.infer(source, w)[0])])

    def halo(source):
        return apply(ConvTranspose(), source, C, 2, 5, 4)

    main = apply(Conv(group=G, pads=tuple(k // 2 for k in kernel * 2)), x, C, C // G, *kernel)
    main.epilogue.append(Node(Add(), [main.outputs[0], x if residual == "itself" else r], [Value("z", x.shape, x.dtype)]))
    (y,) = main.results
    nodes = [main, apply(Conv(group=G, pads=(3, 4, 5, 6)), x, C, C // G, *kernel), halo(x), halo(r), halo(y)]
    graph = Graph([x, r], [n.results[0] for n in nodes], nodes)
    # what a first layer reads is in planes, what it adds is blocked: it leaves a source that is both to another
    left = implementation == "first" and residual == "itself"
    plan = build(graph, Target(IMPLEMENTATIONS, kernels.load(isa), 2, "exact", None if left else implementation), {})
    ran = [e.algorithm for e in plan.entries if e.node]
    assert ran == ["direct" if left else implementation, implementation, *["phases"] * 3], str(plan)
    arrays = [integers(rng, v.shape, -3, 3) for v in graph.inputs]
    for given, wanted in zip(run_plan(plan, arrays, 2), run_references(graph, arrays), strict=True):
        np.testing.assert_array_equal(given, wanted)


@EVERY_ISA
def test_weights_may_lie_in_any_order(implementation, isa):
    """Constants with any strides, as a folded Transpose leaves them."""
    rng = np.random.default_rng(4)
    C = 4
    G, kernel = (C, (3, 2)) if implementation == "depthwise" else (1, (1, 1) if implementation == "pointwise" else (3, 2))
    x, w, b = integers(rng, (1, C, 5, 6)), integers(rng, (*kernel[::-1], C // G, C)).transpose(), integers(rng, (2 * C,))[::2]
    (y,), _ = run_node(Conv(group=G), [x, w, b], isa, 1, implementation, (1, 2))
    np.testing.assert_array_equal(y, Conv(group=G).reference(x, w, b))


@EVERY_ISA
def test_another_image_of_the_model_shares_packed_weights(implementation, isa):
    """Weights packed for one plan serve another input size."""
    rng = np.random.default_rng(3)
    C = 3 if implementation == "first" else vectors(isa)
    G, kernel = (C, (3, 3)) if implementation == "depthwise" else (1, (1, 1) if implementation == "pointwise" else (3, 3))
    w, b = integers(rng, (C, C // G, *kernel)), integers(rng, (C,))
    packed = {}
    for size in ((5, 6), (9, 4)):
        x = integers(rng, (1, C, *size))
        op = Conv(group=G, pads=(1, 1, 1, 1))
        graph, arrays = make_graph(op, [x, w, b], constants=(1, 2))
        # as in a model, the constants are the same arrays in both plans
        plan = build(graph, Target(IMPLEMENTATIONS, kernels.load(isa), 1, algorithm=implementation), packed)
        count = len(packed)
        (y,) = run_plan(plan, arrays, 1)
        np.testing.assert_array_equal(y, op.reference(x, w, b))
    assert len(packed) == count


@pytest.mark.parametrize("isa", ISAS)
def test_who_refuses_what(isa):
    x, w = np.zeros((1, 8, 5, 5), np.float32), np.zeros((8, 8, 3, 3), np.float32)

    def reasons(op, x, w, *b, constants=(1, 2), **options):
        given = refusals(op, [x, w, *b], isa, constants=constants, **options)
        return {name: reason for name, reason in given.items() if name in COVERS["Conv"]}

    everyone = dict.fromkeys(COVERS["Conv"])
    strided = Conv(strides=(2, 2))
    assert reasons(strided, x, w) == {
        "first": "8 input channels",
        "depthwise": "8 filters over 8 of 8 channels",
        "pointwise": "kernel 3×3",
    }
    assert reasons(strided, x[:, :4], w[:, :4]) == {}
    assert reasons(Conv(), x[:, :4], w[:, :4], blocked=(0,))["first"] == "the source is blocked"
    assert reasons(Conv(group=2), x[:, :4], w[:, :2])["first"] == "group 2"
    assert reasons(Conv(group=8), x, w[:, :1]) == {"first": "8 input channels"}
    assert reasons(Conv(), x, w[:, :, :1, :1]) == {
        "first": "8 input channels", "depthwise": "8 filters over 8 of 8 channels"
    }  # fmt: skip
    for reason, op, arrays, constants in (
        ("weights are not constant", Conv(), [x, w], ()),
        ("weights are not constant", Conv(), [x, w, w[:, 0, 0, 0]], (1,)),
        ("dtype float64", Conv(), [x.astype(np.float64), w.astype(np.float64)], (1,)),
        ("rank 3", Conv(), [x[0:1, :, 0], w[:, :, 0]], (1,)),
        ("empty tensor", Conv(), [x[:0], w], (1,)),
    ):
        assert reasons(op, *arrays, constants=constants) == dict.fromkeys(everyone, reason)
