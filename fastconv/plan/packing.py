"""Where packed weights lie, and how they come there: piece by piece, on all threads, each read when its turn comes.

A pack function says how large its result is and names the pieces; the plan gives it memory at once, since its address stands
in the steps' arguments, and runs all pieces together when everything is bound.
"""

from __future__ import annotations

import contextlib
import math
import mmap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..weights import Scaled, Weights
from .arena import ALIGN

HUGE_PAGE = 1 << 21
#: bytes of weights that a piece reads: they stay in the caches until they are packed
PIECE = 1 << 20
#: bytes of the smallest and of the largest slab
SMALL_SLAB, LARGE_SLAB = 1 << 18, 1 << 25

#: a part of the work: it fills its part of the packed weights
Piece = Callable[[np.ndarray], None]


@dataclass(frozen=True)
class Packing:
    """Packed weights to be made: their size in floats, and the pieces that fill all of it."""

    size: int
    pieces: Sequence[Piece]


def empty_aligned(shape: tuple[int, ...]) -> np.ndarray:
    """An uninitialised float32 array that begins at a multiple of 64 bytes, in huge pages where it fills them."""
    size = math.prod(shape) * 4
    align = ALIGN if size < HUGE_PAGE else HUGE_PAGE
    if align == HUGE_PAGE and hasattr(mmap, "MADV_HUGEPAGE"):
        try:  # private: a shared mapping would be one and the same in a forked child
            memory = mmap.mmap(-1, size + align, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except (OSError, OverflowError):
            raise MemoryError(f"no memory for an array of {size:,} bytes") from None
        raw = np.frombuffer(memory, np.uint8)
        start = -raw.ctypes.data % align
        with contextlib.suppress(OSError):  # a kernel without huge pages
            memory.madvise(mmap.MADV_NOHUGEPAGE)  # what would fill one in part
            memory.madvise(mmap.MADV_HUGEPAGE, start, size // HUGE_PAGE * HUGE_PAGE)
    else:
        raw = np.empty(size + align, np.uint8)
        start = -raw.ctypes.data % align
    return raw[start : start + size].view(np.float32).reshape(shape)


class Slabs:
    """Memory for many arrays: those smaller than a huge page lie one behind the other, and share theirs."""

    def __init__(self) -> None:
        self._slab = np.empty(0, np.float32)
        self._total = 0

    def take(self, size: int) -> np.ndarray:
        """An array of `size` floats, aligned to 64 bytes."""
        room = -(-size * 4 // ALIGN) * ALIGN // 4
        if room * 4 >= HUGE_PAGE:
            return empty_aligned((size,))
        if room > self._slab.size:
            self._slab = empty_aligned((max(room, min(max(self._total, SMALL_SLAB), LARGE_SLAB) // 4),))
            self._total += self._slab.nbytes
        array, self._slab = self._slab[:size], self._slab[room:]
        return array


def factors(w: np.ndarray | Weights, axis: int) -> tuple[np.ndarray | Weights, np.ndarray]:
    """Weights, and a factor (float64) for each index of the axis, whose products are w."""
    return (w.source, w.scale) if isinstance(w, Scaled) and w.axis == axis else (w, np.ones(w.shape[axis]))


def ranges(count: int, step: int, size: int, least: int = 1) -> list[tuple[int, int]]:
    """Ranges of `count` items of `size` bytes: about PIECE bytes each, from multiples of `step` on, `least` items or more."""
    step *= max(PIECE // max(step * size, 1), 1)
    starts = range(0, max(count - least + 1, 1), step)
    return list(zip(starts, [*starts[1:], count], strict=True))
