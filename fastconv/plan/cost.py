"""The cost models of selection and scheduling: every constant that decides by estimated time, and where it comes from.

Estimates choose between algorithms, share steps among threads and split batches. They never depend on the number of threads
where that would change which sums are computed: the same input gives the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..graph import Node, Value

# ---- between algorithms

#: an implementation is taken if its estimated time is at most this share of that of the next one in the price list. The rest
#: is a margin for the estimate's error: bench/bench_selection.py compares choices with measured times on any CPU
WORTHWHILE_SHARE = 0.85
#: the vectors that two ports multiply and add in a cycle
FMAS_A_CYCLE = 2
#: bytes of weights that come from memory in a cycle: 15 to 18 GB/s a core at 2.6 to 3 GHz (EPYC Zen 3, Xeon)
WEIGHT_BYTES_A_CYCLE = 6
#: cycles a vector that Winograd's transforms take for each element of a window, of an input and of an output channel: fitted to
#: measured layers (Zen 3)
INPUT_TRANSFORM, OUTPUT_TRANSFORM = 4.2, 3.6
#: the time of Winograd's products by that of direct convolution's, for equally many: fitted likewise
WINOGRAD_PRODUCTS = 1.1
#: with fewer output tiles than this, products wait for their own sums
LATENCY_TILES = 4


def direct_cycles(products: int, V: int) -> float:
    """Estimated cycles of a direct convolution with `products` multiply-adds and vectors of V floats."""
    return products / (FMAS_A_CYCLE * V)


def winograd_cycles(W: int, tiles: int, IC: int, OC: int, V: int) -> float:
    """Estimated cycles of a Winograd convolution with windows of W×W and `tiles` output tiles."""
    products = W * W * IC * OC * tiles / (FMAS_A_CYCLE * V) * max(1.0, LATENCY_TILES / tiles)
    transforms = W * W * tiles * (IC * INPUT_TRANSFORM + OC * OUTPUT_TRANSFORM) / V
    weights = W * W * IC * OC * 4 / WEIGHT_BYTES_A_CYCLE
    return max(WINOGRAD_PRODUCTS * products, weights) + transforms


#: with fewer tiles of 4x4 pixels than this in an image, reading their weights takes longer than their products (Zen 3, on
#: ResNet's 7x7 maps)
FEW_LARGE_TILES = 6
#: the products of a tile of 4x4 pixels by those of one of 2x2
LARGE_TILE_PRODUCTS = 36 / 16


def prefer_small_tiles(large: int, small: int) -> bool:
    """Whether F(2x2, 3x3) with `small` output tiles takes less time than F(4x4, 3x3) with `large` ones."""
    return large < FEW_LARGE_TILES or large * LARGE_TILE_PRODUCTS > small


#: the least output channels for which a strided 1x1 convolution gathers its pixels first (Zen 3, and a Xeon with AVX-512)
GATHER_CHANNELS = 256


# ---- between threads

#: a step estimated below this is run by one thread: to wake the others and to wait for them takes about as long
WHOLE_MICROSECONDS = 15.0
#: a thread's share of a step has at most so many pieces, of so many estimated microseconds or more: with small pieces threads
#: wait less for each other, but each piece has a start of its own
MOST_PIECES, PIECE_MICROSECONDS = 16, 25.0
#: but for pieces that would take longer: signals are seen between two pieces
LONG_MICROSECONDS = 10e3
#: cautious rates of one thread, a microsecond: operations on floats, those on bytes (a fifth of the peak of vpdpbusd, and more
#: than that of vpmaddwd: too many pieces cost more than too few), and bytes to and from memory
FLOPS, BYTE_OPS, BYTES = 40e3, 200e3, 8e3


def node_microseconds(node: Node) -> float:
    """A rough time on one thread for a kernel that computes the node; unknown sizes count for nothing."""
    values = dict.fromkeys((*node.operands, *node.results))
    known = [v for v in values if v.known]
    operations = node.op.flops(node) if len(known) == len(values) else 0
    return microseconds(operations / (BYTE_OPS if node.prologue else FLOPS), known)


def microseconds(computing: float, values: Iterable[Value]) -> float:
    """A rough time on one thread for a computation of so many microseconds on these values."""
    return computing + nbytes(values) / BYTES


def pieces(microseconds: float, threads: int, steps: int) -> int:
    """How many pieces each thread has of each of some steps that take one thread so long; 0: they are not shared."""
    if microseconds < WHOLE_MICROSECONDS:
        return 0
    each = microseconds / threads
    return max(min(max(1, int(each / PIECE_MICROSECONDS)), MOST_PIECES), pieces_alone(each, steps))


def pieces_alone(microseconds: float, steps: int) -> int:
    """How many pieces there are of each step if one thread runs it."""
    return 1 + int(microseconds / steps / LONG_MICROSECONDS)


# ---- between image by image and all images at once

#: for each level of cache: bytes that are taken to stay in it from one layer to the next, and what a byte costs that does not
#: (from the next level: on a Xeon of 2024, L3 gives twice what memory gives, and on desktops more)
CACHES = ((1 << 20, 0.25), (16 << 20, 1.0))


def miss_cost(size: int) -> float:
    """The cost of reading `size` bytes again after all of them were read in turn."""
    return sum(size * cost for room, cost in CACHES if size > room)


# ---- whether to warn of references

#: what kernels would take for all nodes that run their references, in estimated microseconds, from which on it is worth a
#: warning: 160 kB read and written, or 800,000 operations. NumPy takes a few times that for the simplest functions, hundreds of
#: times that for convolutions. Below it the way into Python, some ten microseconds a node, is most of the cost
WARNING_MICROSECONDS = 20.0


def nbytes(values: Iterable[Value]) -> int:
    """The bytes of tensors or constants."""
    return sum(math.prod(v.dims) * (v.dtype.itemsize if v.dtype else 4) for v in values)
