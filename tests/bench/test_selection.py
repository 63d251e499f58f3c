"""bench/bench_selection.py: which implementations it compares, and when it says that one is faster."""

import bench_selection
import pytest

from fastconv import kernels
from fastconv.bench import layers, timing

ISA = kernels.load().sources["conv_direct"]


def test_a_layer_for_a_batch():
    layer = layers.parse("conv 1 16 9 8 32 3 3 1 1 1 1 2 c", "net")
    eight = layers.with_batch(layer, 8)
    assert (eight.label, eight.count, eight.x_shape) == ("net/c-n8", 2, (8, 16, 9, 8))
    assert eight.flops == 8 * layer.flops
    assert layers.with_batch(layer, 1) is layer


def test_what_the_selection_estimates_to_be_slower_is_compared_too():
    small = layers.parse("conv 1 8 5 5 8 3 3 1 1 1 1 1 c", "net")
    assert timing.Kernel(timing.Case(small, "auto", ISA, 1)).algorithm == "direct"
    assert timing.algorithms(small, ISA) == ["winograd", "direct", "im2col"]


def test_cases_are_those_of_every_batch():
    cases = list(timing.cases(["alexnet"], (layers.Conv,), [ISA], ["auto"], [1, 2], [1, 8]))
    assert [c.id for c in cases[:4]] == [
        f"alexnet-conv1{batch}-auto-t{threads}-{ISA}" for batch in ("", "-n8") for threads in (1, 2)
    ]
    assert len({c.id for c in cases}) == len(cases) == 20


def test_cases_of_weights_of_16_bits_are_those_of_packed_layers():
    kinds = layers.Conv, layers.Linear
    cases = list(timing.cases(["alexnet"], kinds, [ISA], ["direct", "strided", "gemm"], [1], [1], ["float32", "bf16"]))
    full, narrow = (next(c for c in cases if c.id == f"alexnet-fc6-{w}gemm-t1-{ISA}") for w in ("", "bf16-"))
    assert [c.algorithm for c in cases if c.weights == "bf16"] == ["gemm"] * 3
    assert (narrow.info["layer"], narrow.info["algorithm"]) == (full.info["layer"], "gemm-bf16")
    assert narrow.info["bytes"] == full.info["bytes"] - 2 * 9216 * 4096


@pytest.mark.parametrize(
    "ours, others, ratio",
    [
        ([2, 2, 2], [1, 1, 1], 2),
        ([1, 9, 1], [1, 1, 1], 1),  # one turn was disturbed
        ([4, 2, 8], [2, 2, 4], 1),  # the best turns are alike
        ([1, 2, 4], [2, 1, 2], 1),
    ],
)
def test_one_is_slower_by_median_and_by_best(ours, others, ratio):
    assert bench_selection.ratio(ours, others) == ratio


@pytest.mark.parametrize("slower, rounds", [(1.2, 3), (1.0, 1)])
def test_a_slow_choice_fails_and_only_after_several_attempts(monkeypatch, slower, rounds):
    layer = layers.parse("conv 1 16 12 12 16 1 1 1 0 1 1 1 c", "net")
    clock = iter(range(10**6))
    monkeypatch.setattr(bench_selection, "Cool", lambda threads: lambda: next(clock))
    monkeypatch.setattr(bench_selection, "seconds", lambda run: slower if run.algorithm == "pointwise" else 1.0)
    rows = []
    case = timing.Case(layer, "auto", ISA, 1)
    if slower > bench_selection.SLACK:
        with pytest.raises(AssertionError, match=r"net/c: pointwise takes 1\.20 times as long as direct"):
            bench_selection.bench_selection(case, lambda *row: rows.append(row))
    else:
        bench_selection.bench_selection(case, lambda *row: rows.append(row))
    assert next(clock) == rounds * bench_selection.TURNS * 3  # pointwise, direct, im2col
    [(_, _, cells)] = rows
    assert cells[-1] == ("**slow**" if slower > bench_selection.SLACK else "")
