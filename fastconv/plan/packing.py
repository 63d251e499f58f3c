"""Pack weights: where they lie, and the jobs that pack them, on all threads.

A pack function says how large its result is and gives the jobs that fill it. The binder takes memory at once, as its address
stands in the arguments of steps, and runs all jobs together when every step is bound. A job reads its weights as it runs.
"""

from __future__ import annotations

import contextlib
import math
import mmap
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..weights import Scaled, Weights
from .arena import ALIGN

HUGE_PAGE = 1 << 21
#: bytes of weights that a job reads: they stay in the caches until they are packed
JOB_BYTES = 1 << 20
#: bytes of the smallest and of the largest slab
SMALL_SLAB, LARGE_SLAB = 1 << 18, 1 << 25

FLOAT32 = np.dtype(np.float32)

#: a part of the packing: it fills its part of the packed weights, given all of them
Job = Callable[[np.ndarray], None]


class Packing(NamedTuple):
    """Packed weights to be made: how many elements they have, and the jobs that fill all of them."""

    size: int
    jobs: Sequence[Job]
    dtype: np.dtype[Any] = FLOAT32


def empty_aligned(shape: tuple[int, ...], dtype: Any = FLOAT32) -> np.ndarray:
    """An uninitialised array that begins at a multiple of 64 bytes, in huge pages where it fills them."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    align = ALIGN if size < HUGE_PAGE else HUGE_PAGE
    if align == HUGE_PAGE and hasattr(mmap, "MADV_HUGEPAGE"):
        try:  # private: a forked child would write to a shared mapping of its parent
            memory = mmap.mmap(-1, size + align, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except (OSError, OverflowError):
            raise MemoryError(f"no memory for an array of {size:,} bytes") from None
        raw = np.frombuffer(memory, np.uint8)
        start = -raw.ctypes.data % align
        with contextlib.suppress(OSError):  # the operating system may have no huge pages
            memory.madvise(mmap.MADV_NOHUGEPAGE)  # for the ends, which would fill one in part
            memory.madvise(mmap.MADV_HUGEPAGE, start, size // HUGE_PAGE * HUGE_PAGE)
    else:
        raw = np.empty(size + align, np.uint8)
        start = -raw.ctypes.data % align
    array: np.ndarray = raw[start : start + size].view(dtype).reshape(shape)
    return array


class Slabs:
    """Memory for many arrays: those smaller than a huge page lie one behind the other in slabs that fill huge pages."""

    def __init__(self) -> None:
        self._slab = np.empty(0, np.uint8)
        self._total = 0

    def take(self, size: int, dtype: np.dtype[Any] = FLOAT32) -> np.ndarray:
        """An array of `size` elements, aligned to 64 bytes."""
        nbytes = size * dtype.itemsize
        room = -(-nbytes // ALIGN) * ALIGN
        if room >= HUGE_PAGE:
            return empty_aligned((size,), dtype)
        if room > self._slab.size:
            self._slab = empty_aligned((max(room, min(max(self._total, SMALL_SLAB), LARGE_SLAB)),), np.uint8)
            self._total += self._slab.nbytes
        array, self._slab = self._slab[:nbytes], self._slab[room:]
        return array.view(dtype)


def factors(w: np.ndarray | Weights, axis: int) -> tuple[np.ndarray | Weights, np.ndarray]:
    """Weights, and a factor (float64) for each index of the axis, whose products are w."""
    return (w.source, w.scale) if isinstance(w, Scaled) and w.axis == axis else (w, np.ones(w.shape[axis]))


def ranges(count: int, multiple: int, itemsize: int, least: int = 1) -> list[tuple[int, int]]:
    """Ranges of `count` items of `itemsize` bytes: about JOB_BYTES each, `least` or more, from multiples of `multiple` on."""
    step = multiple * max(JOB_BYTES // max(multiple * itemsize, 1), 1)
    starts = range(0, max(count - least + 1, 1), step)
    return list(zip(starts, [*starts[1:], count], strict=True))
