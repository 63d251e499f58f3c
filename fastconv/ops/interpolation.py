"""Interpolation: weighted sums of the elements around positions that lie between them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from .base import Array

#: an axis's indices and size -> indices inside, and whether the elements there count
Padding = Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]
#: fractional parts of positions -> (offset, weight) of each tap
Weights = Callable[[np.ndarray], list[tuple[int, np.ndarray]]]


def sample(x: Array, places: Array, padding: Padding, weights: Weights) -> Array:
    """The weighted sum of the elements of x (C *size) around each position (rank *out, floats): C *out.

    Along each axis, `weights` gives the taps around a position and their weights, and `padding` moves indices inside.
    """
    taps = []
    for d, place in zip(x.shape[1:], places, strict=True):
        floor = np.floor(place)
        taps.append([(*padding(floor.astype(np.int64) + i, d), w) for i, w in weights(place - floor)])
    y = np.zeros((len(x), *places.shape[1:]), x.dtype)
    for combination in itertools.product(*taps):
        index, inside, weight = zip(*combination, strict=True)
        element = np.where(np.all(inside, axis=0), x[(slice(None), *index)], x.dtype.type(0))
        y += element * np.prod(weight, axis=0).astype(x.dtype)
    return y


def linear(t: Array) -> list[tuple[int, Array]]:
    """(offset, weight) of the taps around positions with fractional part t."""
    return [(0, 1 - t), (1, t)]


def cubic(t: Array) -> list[tuple[int, Array]]:
    """(offset, weight) of the taps around positions with fractional part t."""
    return [(i, cubic_kernel(np.abs(t - i), -0.75)) for i in range(-1, 3)]


def cubic_kernel(t: Array, a: float) -> Any:
    """The weight of an element at distance t, by cubic convolution with coefficient a."""
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0))


def zeros(index: Array, d: int) -> tuple[Array, Array]:
    """The padding with zeros: the indices moved inside, and which of them were inside."""
    return np.clip(index, 0, d - 1), (index >= 0) & (index < d)
