"""Resize with scales that float32 rounds, and the input elements of each output element."""

from __future__ import annotations

import numpy as np
import pytest

from ..support.nodes import compute, node

ROW = np.arange(9, dtype=np.float32).reshape(1, 1, 1, 9)


def resize(x, width, how="scales", **attributes):
    if how == "scales":
        return compute("Resize", x, None, np.array([1, 1, 1, width], np.float32), **attributes).ravel().tolist()
    return compute("Resize", x, None, None, np.array([1, 1, 1, width]), **attributes).ravel().tolist()


@pytest.mark.parametrize("scale, size", [(1 / 3, 3), (2 / 3, 6), (0.7, 6), (1 / 9, 1), (7 / 9, 7), (4 / 3, 12)])
def test_a_scale_means_the_fraction_that_it_was_rounded_from(scale, size):
    assert len(resize(ROW, scale)) == size


def test_nearest_by_a_third_takes_every_third():
    floor = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    assert resize(ROW, 1 / 3, **floor) == resize(ROW, 3, "sizes", **floor) == [0, 3, 6]
    assert resize(ROW, 1 / 3) == resize(ROW, 3, "sizes") == [1, 4, 7]


@pytest.mark.parametrize(
    "rounding, expected",
    [
        ("round_prefer_floor", [0, 0, 1, 1]),
        ("round_prefer_ceil", [0, 1, 1, 1]),
        ("floor", [0, 0, 1, 1]),
        ("ceil", [0, 1, 1, 1]),
    ],
)
def test_halves(rounding, expected):
    """Places 0, 0.5, 1, 1.5: halves round down or up, and no place is past the end."""
    x = ROW[..., :2]
    assert resize(x, 2, coordinate_transformation_mode="asymmetric", nearest_mode=rounding) == expected


@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("antialias", [0, 1])
@pytest.mark.parametrize("width", [1, 4, 9, 20])
def test_weights_sum_to_one(mode, antialias, width):
    assert np.allclose(resize(np.full_like(ROW, 3), width, "sizes", mode=mode, antialias=antialias), 3, rtol=1e-6)


def test_linear_is_exact_on_a_ramp():
    y = resize(ROW, 17, "sizes", mode="linear", coordinate_transformation_mode="align_corners")
    assert y == (np.arange(17) / 2).tolist()


def test_identity_is_exact():
    for mode in ("nearest", "linear", "cubic"):
        assert resize(ROW, 9, "sizes", mode=mode) == ROW.ravel().tolist()


def test_taps_are_what_a_kernel_needs():
    op = node("Resize", (1, 1, 2, 4), None, np.array([1, 1, 1, 2], np.float32), mode="linear").op
    taps = op.taps(3, 4, 8, 2.0, None, 4)
    assert taps.places.tolist()[:3] == [[0, 0], [0, 1], [0, 1]]
    np.testing.assert_allclose(taps.weights[:3], [[0.25, 0.75], [0.75, 0.25], [0.25, 0.75]])
    assert not taps.outside.any()


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_integers_round_and_saturate(dtype):
    top = np.iinfo(dtype).max
    x = np.array([0, 0, top, top], dtype).reshape(1, 1, 1, 4)
    scales = np.array([1, 1, 1, 3], np.float32)
    exact = compute("Resize", x.astype(np.float64), None, scales, mode="cubic")
    assert exact.max() > top + 1
    y = compute("Resize", x, None, scales, mode="cubic")
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, np.clip(np.rint(exact), np.iinfo(dtype).min, top))
