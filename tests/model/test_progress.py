"""The shares of work that functions report add up to 1."""

import numpy as np
import pytest

import fastconv

MODEL = fastconv.load(fastconv.data.DIGITS)
X = np.zeros((1, 1, 8, 8), np.float32)


@pytest.mark.parametrize(
    "work",
    [
        lambda advance: MODEL.reference(X, advance=advance),
        lambda advance: MODEL.profile(X, runs=3, advance=advance),
        lambda advance: fastconv.compare(MODEL, X, layers=True, advance=advance),
        lambda advance: fastconv.Report(MODEL, X, runs=2, advance=advance),
    ],
    ids=["reference", "profile", "compare", "report"],
)
def test_shares_add_up(work):
    shares = []
    work(shares.append)
    assert len(shares) > 2
    assert min(shares) > 0
    assert sum(shares) == pytest.approx(1)
