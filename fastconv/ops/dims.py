"""Arithmetic on dimensions for shape rules. A dimension is an int, a symbol, or None if nothing is known.

What cannot be valid for any value of the unknown dimensions raises ModelError.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from ..dtypes import kind
from ..errors import ModelError
from ..graph import Dim, Shape, Value, shape_text

#: the name of an axis of a product of tensors: a letter, or a number for the axes of an ellipsis or a batch
AxisName = str | int

#: the most dimensions that every supported NumPy has
MAX_RANK = 32
#: the most sizes, axes or parts that an input gives
MOST_SIZES = 1 << 16


def check(condition: bool, message: str) -> None:
    """Raise ModelError if a condition that every valid model meets does not hold."""
    if not condition:
        raise ModelError(message)


def check_rank(value: Value, name: str, least: int, most: int | None = None) -> None:
    """Raise if a known rank is not between `least` and `most` (None: exactly `least`)."""
    most = least if most is None else most
    if value.shape is not None and not least <= len(value.shape) <= most:
        wanted = f"{least}" if least == most else f"{least} to {most}"
        raise ModelError(f"{name}: expected rank {wanted}, got rank {len(value.shape)}, shape {shape_text(value.shape)}")


def check_rank_least(value: Value, name: str, least: int) -> None:
    """Raise if a known rank is below `least`."""
    check_rank(value, name, least, MAX_RANK)


def check_dtype(value: Value | None, name: str, kinds: str) -> None:
    """Raise if a known dtype is none of `kinds`: f float, i and u integers, b bool."""
    if value is not None and value.dtype is not None and kind(value.dtype) not in kinds:
        words = {"f": "float", "i": "integer", "u": "unsigned integer", "b": "bool"}
        raise ModelError(f"{name}: expected {' or '.join(words[k] for k in kinds)}, got {np.dtype(value.dtype)}")


def check_scalar(value: Value | None, name: str) -> None:
    """Raise if a known shape does not have exactly one element."""
    if value is not None and value.shape is not None and any(isinstance(d, int) and d != 1 for d in value.shape):
        raise ModelError(f"{name}: expected a scalar, got shape {shape_text(value.shape)}")


def axis_index(axis: int, rank: int, name: str = "axis") -> int:
    """An axis, which may count from the end, as 0 to rank - 1."""
    if not -rank <= axis < rank:
        raise ModelError(f"{name}: expected {-rank} to {rank - 1} for rank {rank}, got {axis}")
    return axis % rank


def axis_indices(axes: Iterable[int], rank: int, name: str = "axes") -> tuple[int, ...]:
    """Axes, which may count from the end, as 0 to rank - 1, in the order given; ModelError if one comes twice."""
    out = tuple(axis_index(a, rank, name) for a in axes)
    check(len(set(out)) == len(out), f"{name}: expected distinct axes, got {out}")
    return out


def as_shape(sizes: Sequence[int], name: str) -> tuple[int, ...]:
    """Sizes that the model computed, as a shape; ModelError if NumPy cannot have it."""
    check(len(sizes) <= MAX_RANK, f"{name}: expected at most {MAX_RANK} dimensions, got {len(sizes)}")
    check(all(d >= 0 for d in sizes), f"{name}: expected sizes of 0 or more, got {tuple(sizes)}")
    return tuple(sizes)


def size_along(shape: Shape, axis: int) -> Dim:
    """The size along an axis; None if the rank is unknown."""
    return None if shape is None else shape[axis]


def unify(a: Dim, b: Dim, name: str) -> Dim:
    """The more specific of two descriptions of one dimension; ModelError if they contradict each other."""
    if isinstance(a, int) and isinstance(b, int) and a != b:
        raise ModelError(f"{name}: expected {a}, got {b}")
    return b if a is None or isinstance(b, int) else a


def broadcast(*shapes: Shape) -> Shape:
    """The shape that NumPy's broadcasting gives; None if the rank of an operand is not known."""
    known = [s for s in shapes if s is not None]
    if len(known) < len(shapes):
        return None
    rank = max(map(len, known), default=0)
    out: list[Dim] = []
    for dims in zip(*((1,) * (rank - len(s)) + s for s in known), strict=True):
        others = {d for d in dims if d != 1}
        sizes = {d for d in others if isinstance(d, int)}
        check(len(sizes) < 2, f"shapes {', '.join(map(shape_text, known))} do not broadcast")
        # beside a size other than 1, an unknown dimension can only be that size or 1
        out.append(sizes.pop() if sizes else others.pop() if len(others) == 1 else None if others else 1)
    return tuple(out)


def broadcasts_to(shape: Shape, target: Shape, name: str) -> None:
    """Raise if `shape` cannot be broadcast to `target` without changing it."""
    if shape is None or target is None:
        return
    fits = len(shape) <= len(target) and all(
        s == 1 or not isinstance(s, int) or not isinstance(t, int) or s == t
        for s, t in zip(reversed(shape), reversed(target), strict=False)
    )
    check(fits, f"{name}: expected a shape that broadcasts to {shape_text(target)}, got {shape_text(shape)}")


def product(dims: Iterable[Dim]) -> int | None:
    """The product; None if a dimension is not an int."""
    sizes = list(dims)
    return math.prod(d for d in sizes if isinstance(d, int)) if all(isinstance(d, int) for d in sizes) else None


def total(dims: Iterable[Dim]) -> Dim:
    """The sum; None if a dimension is not an int, unless it is the only one."""
    sizes = list(dims)
    if len(sizes) == 1:
        return sizes[0]
    return sum(d for d in sizes if isinstance(d, int)) if all(isinstance(d, int) for d in sizes) else None


def to_ints(array: np.ndarray, name: str) -> tuple[int, ...]:
    """The elements of an integer tensor of rank 1 (or a scalar)."""
    if array.ndim > 1 or array.dtype.kind not in "iu":
        raise ModelError(f"{name}: expected an integer tensor of rank 1, got {array.dtype} of shape {shape_text(array.shape)}")
    check(array.size <= MOST_SIZES, f"{name}: expected at most {MOST_SIZES:,} numbers, got {array.size:,}")
    return tuple(int(v) for v in array.reshape(-1))


def to_int(array: np.ndarray, name: str) -> int:
    """The element of an integer scalar (or a tensor of one element)."""
    if array.size != 1 or array.dtype.kind not in "iu":
        raise ModelError(f"{name}: expected an integer scalar, got {array.dtype} of shape {shape_text(array.shape)}")
    return int(array.reshape(()))


def known_ints(value: Value | None, name: str) -> tuple[int, ...] | None:
    """The elements of an integer input of rank 1; None if it is left out or not constant."""
    if value is None:
        return None
    if value.constant is None:
        check_rank(value, name, 0, 1)
        check_dtype(value, name, "iu")
        return None
    return to_ints(np.asarray(value.constant), name)


def constant_of(value: Value | None) -> np.ndarray | None:
    """The constant of an input; None if it is left out or computed."""
    return None if value is None or value.constant is None else np.asarray(value.constant)


def length(value: Value) -> int | None:
    """The number of elements of an input of rank 1; None if unknown."""
    return product(value.shape) if value.shape is not None else None


def unknown(rank: int | None) -> Shape:
    """A shape of unknown dimensions; None if the rank is unknown too."""
    if rank is None:
        return None
    check(rank <= MAX_RANK, f"expected a result of at most {MAX_RANK} dimensions, got {rank}")
    return (None,) * rank


def same_dtype(*values: Value | None) -> np.dtype | None:
    """The one dtype of all values; None if none is known."""
    dtypes = [np.dtype(v.dtype) for v in values if v is not None and v.dtype is not None]
    if len(set(dtypes)) > 1:
        raise ModelError(f"inputs: expected one dtype, got {', '.join(map(str, dtypes))}")
    return dtypes[0] if dtypes else None


def index_array(indices: np.ndarray, size: int, name: str) -> np.ndarray:
    """Indices, which may count from the end, as 0 to size - 1; ModelError for one that is out of range."""
    if indices.size and not (-size <= indices.min() and indices.max() < size):
        bad = indices[(indices < -size) | (indices >= size)].flat[0]
        raise ModelError(f"{name}: expected {-size} to {size - 1}, got {bad}")
    return np.where(indices < 0, indices + size, indices)
