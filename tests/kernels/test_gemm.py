"""Gemm and MatMul with constant weights."""

import itertools
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest

from fastconv import kernels
from fastconv.ops.binary import Add
from fastconv.ops.gemm import Gemm
from fastconv.ops.matmul import MatMul

from .cases import FORMS, answer, noting, pairwise
from .harness import ISAS, THREADS, assert_within, integers, refusals, run_node, run_threads, same_bits

COVERS = {"Gemm": ("gemm",), "MatMul": ("gemm",)}
EVERY = pytest.mark.parametrize(
    "isa, threads", [pytest.param(isa, t, id=f"gemm-{isa}-t{t}") for isa, t in itertools.product(ISAS, THREADS)]
)
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
    magnitude = case._replace(alpha=abs(case.alpha), beta=abs(case.beta)).op
    return answer(case.op, inputs, residual, FORMS[case.form], case.exact, magnitude)


@cache
def outcome(case, isa, threads):
    """Run a case, check it, and return its bits."""
    inputs, residual = case.data()
    form = FORMS[case.form].op
    epilogue = [*([] if residual is None else [(Add(), residual)]), *([] if form is None else [form])]
    with noting(case):
        (y,), _ = run_node(case.op, inputs, isa, threads, constants=(1, 2), epilogue=epilogue, guard=case.guard)
        assert_within(y, *expected(case))
    return y.tobytes()


def check(cases, isa, threads):
    for case in cases:
        alone = outcome(case, isa, THREADS[0])
        with noting(case):
            assert outcome(case, isa, threads) == alone, f"{threads} threads differ from {THREADS[0]}"


@cache
def tails(V):
    """Output channels x rows, in full: every tile of the kernel, with forms in turn."""
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
    }
    for row in pairwise(np.random.default_rng(0), factors):
        row["c"] = None if row["c"] is None else tuple(row["OC"] if d == "OC" else d for d in row["c"])
        row["transposed"] &= len(row["rows"]) == 1
        yield Case(**row)


@EVERY
def test_every_tail(isa, threads):
    check(tails(kernels.load(isa).V), isa, threads)


@EVERY
def test_combinations(isa, threads):
    check(combinations(kernels.load(isa).V), isa, threads)


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


@EVERY_ISA
@pytest.mark.parametrize("alpha, beta", [(0.3, 1.0), (1.0, 0.7), (-1e-3, 1e3)])
def test_alpha_and_beta_that_round(isa, alpha, beta):
    """They are multiplied into the constants: one rounding more for each."""
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
        ("weights are not constant", MatMul(), [a, b], (0,)),
        ("dtype float64", Gemm(), [a.astype(np.float64), b.astype(np.float64)], (1,)),
        ("transA", Gemm(transA=1), [a.T, b], (1,)),
        ("empty input", Gemm(), [a[:0], b], (1,)),
        ("empty input", MatMul(), [a[:, :0], b[:0]], (1,)),
        ("C of shape (3, 1)", Gemm(), [a, b, a[:, :1]], (1, 2)),
        ("C of shape (3, 5)", Gemm(), [a, b, a @ b], (1, 2)),
        ("ranks 1 and 2", MatMul(), [a[0], b], (1,)),
        ("ranks 2 and 1", MatMul(), [a, b[:, 0]], (1,)),
        ("ranks 3 and 3", MatMul(), [a[None], b[None]], (1,)),
    ):
        assert refusals(op, inputs, isa, constants=constants) == {"gemm": reason}
