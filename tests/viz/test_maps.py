"""Activation maps as pictures: colours, the choice of channels, the grid."""

import numpy as np
import pytest

from fastconv import InputError
from fastconv.viz import maps


def test_the_colours_are_viridis():
    matplotlib = pytest.importorskip("matplotlib")
    values = np.linspace(-3, 5, 256)
    expected = matplotlib.colormaps["viridis"](np.linspace(0, 1, 256))[:, :3] * 255
    assert np.abs(maps.colours(values) - expected).max() < 8


@pytest.mark.parametrize("values", [np.zeros(4), np.full(4, 1e300), np.array([True, True])])
def test_equal_numbers_have_one_colour(values):
    assert (maps.colours(values) == (68, 1, 84)).all()


def test_the_range_is_that_of_the_finite_numbers():
    painted = maps.colours([np.nan, -3e38, np.inf, 3e38])
    assert painted.tolist() == [[255] * 3, [68, 1, 84], [255] * 3, [253, 231, 37]]


def test_strongest_first_and_of_equal_ones_the_first():
    activation = np.zeros((5, 2, 2))
    activation[[1, 3, 4], 0, 0] = 1, 7, 1
    assert maps.strongest(activation, 4) == [3, 1, 4, 0]
    assert maps.strongest(activation, 99) == [3, 1, 4, 0, 2]


def test_a_grid_has_the_maps_row_by_row():
    activation = np.random.default_rng(0).standard_normal((5, 3, 4)).astype(np.float32)
    picture = maps.grid(activation, columns=2, channels=[4, 0, 2], size=8)
    assert (picture.shape, picture.dtype) == ((2 * 6 + 2, 2 * 8 + 2, 3), np.uint8)
    np.testing.assert_array_equal(picture[8:14:2, 0:8:2], maps.colours(activation[2]))
    assert (picture[8:, 8:] == 255).all()
    np.testing.assert_array_equal(maps.grid(activation, 1, [1], size=1), maps.colours(activation[1]))


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: maps.grid(np.zeros((1, 3, 4, 4))),
            "^activation: expected numbers of C×H×W, one image's, got float64 1×3×4×4$",
        ),
        (lambda: maps.grid(np.zeros((3, 0, 4))), "^activation: "),
        (lambda: maps.grid(np.zeros((3, 4, 4)), channels=[3]), "^channels: expected indices below 3"),
        (lambda: maps.grid(np.zeros((3, 4, 4)), channels=[]), "^channels: "),
        (lambda: maps.grid(np.zeros((3, 4, 4)), columns=0), "^columns: "),
        (lambda: maps.strongest(np.zeros((3, 4, 4)), 0), "^count: "),
        (lambda: maps.colours(["a"]), "^values: "),
    ],
)
def test_wrong_arguments(call, message):
    with pytest.raises(InputError, match=message):
        call()
