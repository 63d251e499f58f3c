"""Means and variances. Those of no elements are NaN, without the warnings of NumPy's methods."""

from __future__ import annotations

from .base import Array, Results

Axes = int | tuple[int, ...] | None


def mean(x: Array, axis: Axes, keepdims: bool = True) -> Results:
    """The mean over the axes."""
    return x.mean(axis, keepdims=keepdims) if x.size else x.sum(axis, keepdims=keepdims) / 0


def variance(x: Array, axis: Axes, keepdims: bool = True) -> Results:
    """The mean square of the distance from the mean."""
    return x.var(axis, keepdims=keepdims) if x.size else mean(x, axis, keepdims)
