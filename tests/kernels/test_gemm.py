"""Gemm and MatMul with constant weights, and products of two computed tensors."""

import itertools
from functools import cache
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import pytest

from fastconv import kernels
from fastconv.ops.binary import Add
from fastconv.ops.einsum import Einsum
from fastconv.ops.gemm import Gemm
from fastconv.ops.matmul import MatMul
from fastconv.weights import Scaled, Widened

from ..support.harness import ISAS, THREADS, assert_within, choice, integers, refusals, run_node, run_threads, same_bits
from .cases import FORMS, answer, noting, pairwise

COVERS = {"Gemm": ("gemm", "strided"), "MatMul": ("gemm", "strided"), "Einsum": ("strided",)}
EVERY = pytest.mark.parametrize(
    "isa, threads", [pytest.param(isa, t, id=f"gemm-{isa}-t{t}") for isa, t in itertools.product(ISAS, THREADS)]
)
#: the types of stored weights that round them
STORED = {"bf16": np.dtype(ml_dtypes.bfloat16), "float16": np.dtype(np.float16)}
EVERY_ISA = pytest.mark.parametrize("isa", [pytest.param(isa, id=f"gemm-{isa}") for isa in ISAS])


class Case(NamedTuple):
    """One product, M x K by K x OC: a Gemm, or a MatMul where `rows` are not one axis."""

    rows: tuple[int, ...]
    K: int
    OC: int
    transposed: bool = False
    alpha: float = 1
    beta: float = 1
    c: tuple[int, ...] | None = None
    residual: bool = False
    form: str = "none"
    exact: bool = True
    guard: str | None = None
    weights: str = "float32"

    @property
    def op(self) -> Any:
        return Gemm(alpha=self.alpha, beta=self.beta, transB=int(self.transposed)) if len(self.rows) == 1 else MatMul()

    def data(self):
        """(the inputs, the residual or None)."""
        rng = np.random.default_rng([len(self.rows), *self.rows, self.K, self.OC])

        def draw(*shape):
            return integers(rng, shape) if self.exact else rng.standard_normal(shape, np.float32)

        b = draw(self.OC, self.K) if self.transposed else draw(self.K, self.OC)
        inputs = [draw(*self.rows, self.K), b]
        if len(self.rows) == 1 and self.c is not None:
            inputs.append(draw(*self.c))
        return inputs, draw(*self.rows, self.OC) if self.residual else None


@cache
def expected(case):
    inputs, residual = case.data()
    if case.weights != "float32":  # alpha is multiplied into the weights before they are rounded
        scaled = (inputs[1] * np.float64(getattr(case.op, "alpha", 1))).astype(np.float32)
        inputs[1] = scaled.astype(STORED[case.weights]).astype(np.float32)
        case = case._replace(alpha=1)
    magnitude = case._replace(alpha=abs(case.alpha), beta=abs(case.beta)).op
    return answer(case.op, inputs, residual, FORMS[case.form], case.exact, magnitude)


@cache
def outcome(case, isa, threads):
    """Run a case, check it, and return its bits."""
    inputs, residual = case.data()
    form = FORMS[case.form].op
    epilogue = [*([] if residual is None else [(Add(), residual)]), *([] if form is None else [form])]
    with noting(case):
        options = {"epilogue": epilogue, "guard": case.guard, "weights": case.weights}
        (y,), _ = run_node(case.op, inputs, isa, threads, constants=(1, 2), **options)
        assert_within(y, *expected(case))
    return y.tobytes()


def check(cases, isa, threads):
    for case in cases:
        alone = outcome(case, isa, THREADS[0])
        with noting(case):
            assert outcome(case, isa, threads) == alone, f"{threads} threads differ from {THREADS[0]}"


@cache
def tails(V):
    """All output channels x rows: every register tile of the kernel, with forms in turn."""
    forms = [name for name, form in FORMS.items() if form.exact]
    cases = []
    for oc, M in itertools.product(range(1, 2 * V + 2), range(1, 2 * 14 + 2)):
        form = forms[(M + oc) % len(forms)]
        cases.append(Case((M,), (M + oc) % 13 + 1, oc, transposed=M % 2 == 0, c=(oc,), residual=M % 3 == 0, form=form))
    return cases


@cache
def combinations(V):
    factors = {
        # more than a chunk has; a row alone streams through eight vectors at once where there are more
        "rows": [(1,), (2,), (7,), (49,), (150,), (1, 1), (2, 3), (2, 1, 5), (3, 50)],
        "K": [1, 3, 64, 257],
        "OC": [1, V, 2 * V + 1, 5 * V, 8 * V, 9 * V - 1, 10 * V, 12 * V + 3, 17 * V, 33 * V + 1],
        "transposed": [False, True],
        "alpha": [1.0, 0.5, -3.0],
        "beta": [1.0, 2.0, -0.25],
        "c": [None, (), (1,), (1, 1), ("OC",), (1, "OC")],
        "residual": [False, True],
        "form": list(FORMS),
        "exact": [False, True],
        "guard": [None, "before", "after"],
        "weights": ["float32", *STORED],
    }
    for row in pairwise(np.random.default_rng(0), factors):
        row["c"] = None if row["c"] is None else tuple(row["OC"] if d == "OC" else d for d in row["c"])
        row["transposed"] &= len(row["rows"]) == 1
        yield Case(**row)


@pytest.mark.slow
@EVERY
def test_every_tail(isa, threads):
    check(tails(kernels.load(isa).V), isa, threads)


@pytest.mark.slow
@EVERY
def test_combinations(isa, threads):
    check(combinations(kernels.load(isa).V), isa, threads)


@pytest.mark.slow
@EVERY_ISA
def test_a_row_has_the_same_bits_alone_and_among_others(isa):
    rng = np.random.default_rng(1)
    V = kernels.load(isa).V
    for OC, M in itertools.product((1, 2 * V, 7 * V, 12 * V + 1, 40 * V), (2, 5, 13, 50, 97)):
        x, w = rng.standard_normal((M, 130), np.float32), rng.standard_normal((130, OC), np.float32)
        (y,), _ = run_node(Gemm(), [x, w], isa, 2, constants=(1,))
        for m in {0, 1, M // 2, M - 1}:
            (alone,), _ = run_node(Gemm(), [x[m : m + 1], w], isa, 2, constants=(1,))
            assert same_bits(alone, y[m : m + 1])


@EVERY
@pytest.mark.parametrize("weights", STORED)
def test_weights_of_16_bits(isa, threads, weights):
    """They are rounded when they are packed, and nothing else is: one row, several, tails, and several K blocks."""
    V = kernels.load(isa).V
    sizes = itertools.product((1, 2, 50), (7, 400), (1, V + 1, 3 * V, 9 * V - 1, 17 * V))
    check([Case((M,), K, OC, M == 2, -0.3, c=(OC,), exact=False, weights=weights) for M, K, OC in sizes], isa, threads)


@EVERY_ISA
@pytest.mark.parametrize("weights", STORED)
def test_a_row_has_the_same_bits_alone_and_among_others_with_weights_of_16_bits(isa, weights):
    rng = np.random.default_rng(11)
    OC = 12 * kernels.load(isa).V + 1
    x, w = rng.standard_normal((13, 400), np.float32), rng.standard_normal((400, OC), np.float32)
    (y,), plan = run_node(Gemm(), [x, w], isa, 2, constants=(1,), weights=weights)
    (alone,), _ = run_node(Gemm(), [x[5:6], w], isa, 2, constants=(1,), weights=weights)
    assert same_bits(alone, y[5:6])
    (rounded,), full = run_node(Gemm(), [x, w.astype(STORED[weights]).astype(np.float32)], isa, 2, constants=(1,))
    assert same_bits(y, rounded)
    assert 2 * plan.packed_bytes == full.packed_bytes


@EVERY_ISA
@pytest.mark.parametrize("weights", STORED)
def test_every_number_of_16_bits_is_widened_exactly(isa, weights):
    """Infinities, NaN and denormals too; denormals of bf16 are those of float32."""
    w = np.arange(1 << 16, dtype=np.uint16).view(STORED[weights]).astype(np.float32)[None]
    for M, accuracy in itertools.product((1, 2), ("default", "exact")):
        if weights == "float16" or accuracy == "exact":
            inputs, options = [np.ones((M, 1), np.float32), w], {"accuracy": accuracy, "weights": weights}
            (y,), _ = run_node(MatMul(), inputs, isa, 2, constants=(1,), **options)
            np.testing.assert_array_equal(y, np.repeat(w, M, axis=0))


@EVERY_ISA
@pytest.mark.parametrize("dtype", STORED.values(), ids=str)
def test_weights_that_a_file_has_in_16_bits_stay_so(isa, dtype):
    """If nothing scales them, and if widening them takes no longer than reading float32."""
    rng = np.random.default_rng(12)
    w, x = rng.standard_normal((64, 5 * 16)).astype(dtype), rng.standard_normal((3, 64), np.float32)
    wide, widened, kernel = w.astype(np.float32), Widened(w), kernels.load(isa).gemm
    halves = 1 if dtype == np.float16 and not kernel.WIDENS_FLOAT16 else 2
    for op, constant, factor in (
        (Gemm(), widened, halves),
        (Gemm(), widened.T, halves),
        (Gemm(transB=1), widened, halves),
        (Gemm(transB=1), widened.reshape(64, 5, 16).reshape(64, 80), halves),
        (Gemm(), Scaled(widened, np.ones(80), 1), halves),
        (Gemm(), Scaled(widened, np.full(80, 3.0), 1), 1),
        (Gemm(alpha=3.0), widened, 1),
    ):
        array = np.asarray(constant)
        data = np.repeat(x, 2, axis=1)[:, : array.shape[op.transB]]
        (y,), plan = run_node(op, [data, constant], isa, 2, constants=(1,))
        (full,), other = run_node(op, [data, array], isa, 2, constants=(1,))
        assert same_bits(y, full)
        assert factor * plan.packed_bytes == other.packed_bytes
    (y,), _ = run_node(Gemm(), [x, widened], isa, 2, constants=(1,), weights="bf16")
    bf16 = wide if halves == 2 else wide.astype(STORED["bf16"]).astype(np.float32)
    (full,), _ = run_node(Gemm(), [x, bf16], isa, 2, constants=(1,))
    assert same_bits(y, full), "a file's float16 is not rounded to bf16"


@EVERY_ISA
@pytest.mark.parametrize("alpha, beta", [(0.3, 1.0), (1.0, 0.7), (-1e-3, 1e3)])
def test_alpha_and_beta_that_round(isa, alpha, beta):
    """Factors are multiplied into the constants, which rounds each once more."""
    rng = np.random.default_rng(2)
    x, w, c = (rng.standard_normal(shape, np.float32) for shape in ((5, 40), (40, 17), (17,)))
    op = Gemm(alpha=alpha, beta=beta)
    (y,), _ = run_threads(op, [x, w, c], isa, constants=(1, 2))
    assert_within(y, *answer(op, [x, w, c], None, FORMS["none"], False, Gemm(alpha=abs(alpha), beta=abs(beta))))


@EVERY_ISA
def test_nan_and_infinity_stay_in_their_row(isa):
    rng = np.random.default_rng(3)
    V = kernels.load(isa).V
    for M, OC, value in itertools.product((1, 4, 13), (V + 1, 12 * V), (np.nan, np.inf)):
        x, w = rng.standard_normal((M, 9), np.float32), rng.standard_normal((9, OC), np.float32)
        x[M - 1, 5] = value
        (y,), _ = run_node(Gemm(), [x, w], isa, 2, constants=(1,))
        assert np.isfinite(y[: M - 1]).all()
        np.testing.assert_array_equal(y[M - 1], value * w[5])


@pytest.mark.parametrize("isa", ISAS)
def test_what_it_refuses(isa):
    a, b = np.zeros((3, 4), np.float32), np.zeros((4, 5), np.float32)
    for reason, op, inputs, constants in (
        ("weights are not constant", Gemm(), [a, b], ()),
        ("weights are not constant", Gemm(), [a, b, b[0]], (1,)),
        ("constant input", MatMul(), [a, b], (0,)),
        ("dtype float64", Gemm(), [a.astype(np.float64), b.astype(np.float64)], (1,)),
        ("transposed", Gemm(transA=1), [a.T, b], (1,)),
        ("empty tensor", Gemm(), [a[:0], b], (1,)),
        ("empty tensor", MatMul(), [a[:, :0], b[:0]], (1,)),
        ("C of shape (3, 1)", Gemm(), [a, b, a[:, :1]], (1, 2)),
        ("C of shape (3, 5)", Gemm(), [a, b, a @ b], (1, 2)),
        ("ranks 1 and 2", MatMul(), [a[0], b], (1,)),
        ("ranks 2 and 1", MatMul(), [a, b[:, 0]], (1,)),
        ("ranks 3 and 3", MatMul(), [a[None], b[None]], (1,)),
    ):
        assert refusals(op, inputs, isa, constants=constants)["gemm"] == reason


# ---- two computed tensors


def check_strided(op, inputs, isa, exact=True, **options):
    (y,), plan = run_threads(op, inputs, isa, **options)
    assert choice(plan) == "strided"
    residual = next((item[1] for item in options.get("epilogue", ()) if isinstance(item[0], Add)), None)
    form = next((item for item in options.get("epilogue", ()) if not isinstance(item, tuple)), None)
    name = next(name for name, f in FORMS.items() if f.op is form)
    assert_within(y, *answer(op, inputs, residual, FORMS[name], exact))
    return y


@EVERY_ISA
@pytest.mark.parametrize("perm", [None, (0, 2, 1)])
def test_strided_tails(isa, perm):
    """Columns x rows, with B's rows or its columns contiguous, and each K that ends in or behind a line."""
    rng = np.random.default_rng(4)
    V = kernels.load(isa).V
    for N, M in itertools.product((*range(1, V + 2), 2 * V, 2 * V + 1, 3 * V - 1, 5 * V + 2), (1, 2, 7, 14, 15, 31)):
        K = (M + N) % 35 + 1
        b = integers(rng, (2, K, N))
        b = b if perm is None else np.ascontiguousarray(b.transpose(perm))
        check_strided(MatMul(perm_b=perm), [integers(rng, (2, M, K)), b], isa)


@EVERY_ISA
@pytest.mark.parametrize(
    "a, b",
    [
        ((3, 4, 5), (3, 5, 6)),
        ((2, 3, 4, 5), (2, 3, 5, 6)),
        ((2, 3, 4, 5), (5, 6)),
        ((4, 5), (2, 3, 5, 6)),
        ((2, 1, 4, 5), (3, 5, 6)),
        ((3, 4, 5), (2, 1, 5, 6)),
        ((2, 1, 2, 1, 4, 5), (3, 1, 3, 5, 6)),
        ((5,), (2, 5, 6)),
        ((2, 4, 5), (5,)),
        ((5,), (5,)),
        ((1, 1), (3, 1, 1)),
    ],
)
def test_matrices_broadcast(isa, a, b):
    rng = np.random.default_rng(5)
    check_strided(MatMul(), [integers(rng, a), integers(rng, b)], isa)


@EVERY_ISA
def test_what_passes_fold_into_a_product(isa):
    rng = np.random.default_rng(6)
    q, k = integers(rng, (2, 19, 3, 8)), integers(rng, (2, 33, 3, 8))
    op = MatMul(perm_a=(0, 2, 1, 3), perm_b=(0, 2, 3, 1), alpha=0.25)
    check_strided(op, [q, k], isa)
    check_strided(op, [q, k, integers(rng, 33)], isa, constants=(2,))
    w, v = integers(rng, (2, 3, 19, 33)), integers(rng, (2, 33, 3, 8))
    op = MatMul(perm_b=(0, 2, 1, 3), perm_y=(0, 2, 1, 3))
    for form in ("none", "relu", "hard_swish"):
        epilogue = [(Add(), integers(rng, (2, 19, 3, 8))), *([FORMS[form].op] if FORMS[form].op else [])]
        check_strided(op, [w, v], isa, epilogue=epilogue)


@EVERY_ISA
@pytest.mark.parametrize("trans_a, trans_b", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_gemm_of_two_tensors(isa, trans_a, trans_b):
    rng = np.random.default_rng(7)
    a, b = integers(rng, (19, 33)), integers(rng, (33, 21))
    inputs = [a.T.copy() if trans_a else a, b.T.copy() if trans_b else b]
    op = Gemm(transA=trans_a, transB=trans_b, alpha=0.5, beta=2.0)
    check_strided(op, inputs, isa)
    check_strided(op, [*inputs, integers(rng, 21)], isa, constants=(2,))
    check_strided(Gemm(transA=1, transB=trans_b), [a.T.copy(), inputs[1]], isa, constants=(1,))


@EVERY_ISA
@pytest.mark.parametrize(
    "equation, a, b",
    [
        ("bhid,bhjd->bhij", (2, 3, 5, 7), (2, 3, 6, 7)),
        ("bihd,bjhd->bhij", (2, 5, 3, 7), (2, 6, 3, 7)),
        ("bhij,bjhd->bihd", (2, 3, 5, 6), (2, 6, 3, 7)),
        ("ij,jk->ki", (5, 7), (7, 6)),
        ("ij,jk", (5, 7), (7, 6)),
        ("bchw,bkhw->bck", (2, 3, 5, 7), (2, 4, 5, 7)),
        ("bchw,cd->bhwd", (2, 3, 5, 7), (3, 4)),
        ("...ij,...jk->...ik", (2, 3, 4, 5), (3, 5, 6)),
        ("i,j->ij", (5,), (7,)),
        ("ii,ij->ij", (5, 5), (5, 7)),
    ],
)
def test_einsum(isa, equation, a, b):
    rng = np.random.default_rng(8)
    inputs = [integers(rng, a), integers(rng, b)]
    check_strided(Einsum(equation=equation), inputs, isa)


@EVERY_ISA
@pytest.mark.parametrize("guard", ["before", "after"])
def test_strided_stays_inside_its_memory(isa, guard):
    rng = np.random.default_rng(9)
    V = kernels.load(isa).V
    for perm, N in itertools.product((None, (0, 2, 1)), (1, V - 1, V + 1, 2 * V, 3 * V + 1)):
        shape = (2, 9, N) if perm is None else (2, N, 9)
        for M in (1, 5, 20):
            check_strided(MatMul(perm_b=perm), [integers(rng, (2, M, 9)), integers(rng, shape)], isa, guard=guard)
    check_strided(Gemm(transA=1), [integers(rng, (9, 5)), integers(rng, (9, V + 1))], isa, guard=guard)


@EVERY_ISA
def test_long_sums_and_many_rows(isa):
    rng = np.random.default_rng(10)
    for M, K, N in ((3, 1000, 40), (600, 20, 9), (1, 700, 100)):
        inputs = [rng.standard_normal(shape).astype(np.float32) for shape in ((M, K), (K, N))]
        y = check_strided(MatMul(), inputs, isa, exact=False)
        (alone,), _ = run_node(MatMul(), [inputs[0][-1:], inputs[1]], isa, 2)
        assert same_bits(alone, y[-1:])


@pytest.mark.parametrize("isa", ISAS)
def test_what_strided_refuses(isa):
    a, b = np.zeros((3, 4), np.float32), np.zeros((4, 5), np.float32)
    for reason, op, inputs, constants in (
        ("C is not a constant row", Gemm(), [a, b, b[0]], ()),
        ("C is not a constant row", Gemm(), [a, b, a[:, :1]], (2,)),
        ("dtype float64", MatMul(), [a.astype(np.float64), b.astype(np.float64)], ()),
        ("empty tensor", MatMul(), [a[:0], b], ()),
        ("sums over an axis of one operand", Einsum(equation="ij,k->ik"), [a, b[0]], ()),
        ("sums over 2 axes", Einsum(equation="ijk,kjl->il"), [np.stack([a, a]), np.zeros((4, 3, 2), np.float32)], ()),
        ("products of single elements", Einsum(equation="ij,ij->ij"), [a, a], ()),
        ("the last axis of the result is one of both operands", Einsum(equation="ij,kj->ikj"), [a, b.T.copy()], ()),
        ("3 operands", Einsum(equation="ij,jk,k->i"), [a, b, b[0]], ()),
    ):
        assert refusals(op, inputs, isa, constants=constants)["strided"] == reason
