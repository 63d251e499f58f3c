"""What the implementations on bytes share: the parameters of quantized sums, and weights as the register tile reads them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import ModuleType
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np

from .. import _pack_int8
from .._pack_int8 import BYTES, TILES, WORDS
from ..graph import Node, Value
from ..ops.base import Op
from ..ops.quantized import Quantized, Rounding, Store, operand_of, store_of
from ..plan.binder import Binder
from ..plan.implementation import Implementation
from ..plan.layout import CHANNELS_LAST
from ..plan.packing import Job, Packing, ranges
from ..plan.select import Selection, Target
from ..plan.view import NO_VIEW, View
from ..weights import Weights

OpT = TypeVar("OpT", bound=Op)

#: bytes of a pixel that one instruction multiplies with a lane's weights
GROUP = 4
#: the bytes of a pixel that AMX multiplies at a time
SEGMENT = 64
#: the forms of packed weights, see pyx/dot.pxd
FORMS = {"bytes": BYTES, "words": WORDS, "tiles": TILES}
#: the least products of a sum for which AMX takes less time than vectors do (Xeon, family 6, model 167)
LEAST_TILES = 48
#: the largest magnitude that int32 holds, and that of the product of a byte and a weight
MOST, PRODUCT = 2**31 - 1, 255 * 128


#: the store of results that stay floats, of a scale that does not change their factors
FLOATS = Store(Rounding(np.float32(1), 0, 0, 255))


class Int8Implementation(Implementation[OpT]):
    """An operator on quantized tensors, whose results are bytes."""

    quantized = True
    dtypes = frozenset({"uint8"})

    def operands(self, node: Node) -> list[Value]:
        x = node.input(0)
        return [next((n.input(0) for n in node.prologue if n.outputs[0] is x), x)]

    def products(self, node: Node, target: Target) -> str:
        return "dots"


def one_scale(node: Node, *inputs: Value) -> str | None:
    """Why inputs of a node are not quantized with one scale each; None if they are."""
    found = [operand_of(node, v) for v in inputs]
    return None if all(q is not None and q.scale.size == 1 for q in found) else "an operand is not bytes with one scale"


def rounding_fields(rounding: Rounding) -> dict[str, int]:
    """A Rounding as the struct of pyx/rounding.pxd."""
    zero = rounding.zero
    return {"zero": zero, "low": rounding.low - zero, "high": rounding.high - zero}


def filled_up(channels: int, block: int = CHANNELS_LAST.block) -> int:
    """Channels with those that fill up their last block."""
    return -(-channels // block) * block


class Sums(NamedTuple):
    """Sums of products of bytes and weights: what is multiplied, the bias in int32 for each output channel, and the store."""

    x: Quantized
    w: Quantized
    bias: np.ndarray
    #: FLOATS if the results are floats
    store: Store

    @property
    def factors(self) -> np.ndarray:
        """What takes the sums of each output channel to the steps of the first rounding, as onnxruntime computes it."""
        scale = self.x.scale * self.w.scale / (self.store.between or self.store.last).scale
        return np.broadcast_to(scale.astype(np.float32), self.bias.shape)


class SumsInt8(Int8Implementation[OpT]):
    """Sums of products of bytes and constant weights, by the kernel conv_int8."""

    #: whether the results stay floats
    floats: ClassVar[bool] = False

    def channels_axis(self, node: Node) -> int:
        """The axis of the weights that is the output channels."""
        raise NotImplementedError

    def refuse(self, node: Node, selection: Selection) -> str | None:
        found = self.find(node)
        return found if isinstance(found, str) else None

    def find(self, node: Node) -> Sums | str:
        """The node's sums, or why there are none."""
        x, w, store = operand_of(node, node.input(0)), operand_of(node, node.input(1)), store_of(node)
        axis = self.channels_axis(node)
        if x is None or x.scale.size > 1:
            return "the source has no scale, or more than one"
        if w is None or w.integers.constant is None:
            return "weights are not constant"
        if w.integers.dtype not in (np.int8, np.uint8):
            return f"weights of dtype {w.integers.dtype}"
        if w.scale.size > 1 and w.axis != axis:
            return f"scales along axis {w.axis} of the weights"
        if self.floats:
            store = None if node.epilogue else FLOATS
        if store is None:
            return "another store than kernels of bytes have" if not self.floats else "the results are not floats"
        OC = w.integers.dims[axis]
        if (bias := bias_of(node, x, w, OC)) is None:
            return "the bias is not constant"
        sums = Sums(x, w, bias, store)
        most = math.prod(w.integers.dims) // OC * PRODUCT * 2 + int(np.abs(bias).max(initial=0))
        if most > MOST or most * float(sums.factors.max(initial=0)) > MOST:
            return "sums of more than 32 bits"
        return sums

    def sums(self, node: Node) -> Sums:
        """The sums of a node that it does not refuse."""
        found = self.find(node)
        assert isinstance(found, Sums)
        return found

    def channels(self, node: Node, w: Quantized) -> Channels:
        """How the output channels lie in the node's weights."""
        return channels_of(w, self.channels_axis(node))

    def form_of(self, node: Node, target: Target) -> str:
        """The form of the node's weights."""
        w = node.input(1).dims
        channels = self.channels(node, self.sums(node).w)
        return weights_form(target.kernels.conv_int8, math.prod(w) // w[channels.axis] * channels.merge)

    def products(self, node: Node, target: Target) -> str:
        kernel, w, form = target.kernels.conv_int8, self.sums(node).w, self.form_of(node, target)
        return (
            "tiles" if form == "tiles" else "pairs" if takes_pairs(kernel, w, Order(form), self.channels(node, w)) else "dots"
        )

    def sums_fields(
        self, node: Node, binder: Binder, sums: Sums, order: Order, block: int = CHANNELS_LAST.block
    ) -> dict[str, Any]:
        """The fields of the weights and of the store; the output channels of a group are filled up to a multiple of `block`."""
        kernel, channels = binder.kernels.conv_int8, self.channels(node, sums.w)
        V, _, flip, *_ = kernel.packing()
        G, w = channels.G, sums.w.integers.constant
        assert w is not None
        pairs = takes_pairs(kernel, sums.w, order, channels)
        form = order._replace(form="bytes") if pairs else order
        wei = binder.pack("int8", pack_int8, w, V=V, block=block, order=form, channels=channels)
        bias, offset = sums.bias.astype(np.int32).tobytes(), flip - int(sums.x.zero)
        start = binder.pack("start", pack_start, w, block=block, bias=bias, offset=offset, channels=channels)
        factor = np.zeros((G, filled_up(len(sums.bias) // G, block)), np.float32)
        factor[:, : len(sums.bias) // G] = sums.factors.reshape(G, -1)
        return {
            "wei": wei, "tiles": order.form == "tiles", "start": start, "factor": binder.constant(factor), "pairs": pairs,
            "OCB": factor.shape[1] // V, "G": G, "floats": self.floats, **store_fields(sums.store),
        }  # fmt: skip


def bias_of(node: Node, x: Quantized, w: Quantized, OC: int) -> np.ndarray | None:
    """The bias in steps of the products' scale, int64; None if it is not constant. One that is on other steps is rounded."""
    floats = node.optional(2)
    if floats is None:
        return np.zeros(OC, np.int64)
    given = operand_of(node, floats)
    constant = floats.constant if given is None else given.integers.constant
    if constant is None or (given is not None and given.zero.any()):
        return None
    scale = (x.scale * w.scale).astype(np.float64)
    own = 1.0 if given is None else given.scale.astype(np.float64)
    ratio = np.asarray(own / scale)
    same = given is not None and np.allclose(ratio, 1, rtol=1e-5, atol=0)
    steps = np.asarray(constant) if same else np.rint(np.asarray(constant) * ratio)
    return np.broadcast_to(steps.reshape(-1), (OC,)).astype(np.int64)


def store_fields(store: Store, add: View = NO_VIEW) -> dict[str, Any]:
    """The fields of a kernel's store of bytes; see pyx/tile_int8.pxd."""
    last, residual, between = store.last, store.residual, store.between
    return {
        "zero": last.zero, "low": last.low, "high": last.high,
        "has_add": residual is not None,
        "between": between is not None,
        "between_low": between.low - between.zero if between else 0,
        "between_high": between.high - between.zero if between else 0,
        "own_scale": float(between.scale / last.scale) if between else 1.0,
        "add_scale": float(residual.scale / last.scale) if residual else 0.0,
        "add_zero": int(residual.zero) if residual else 0,
    }  # fmt: skip


class Channels(NamedTuple):
    """How output channels lie in weights: along `axis`, in G groups, each of which is `merge` groups of the operator.

    `zero` is their zero point, or one for each of them. Weights that int8 does not hold are the sum of several `parts`.
    """

    axis: int
    G: int
    merge: int
    zero: tuple[int, ...]
    parts: int


def channels_of(w: Quantized, axis: int) -> Channels:
    """How the output channels lie in constant weights that are one group."""
    zero, parts = w.zero.reshape(-1), 1
    if w.integers.dtype != np.int8 or zero.any():
        constant = np.asarray(w.integers.constant)
        rows = np.moveaxis(constant, axis, 0).reshape(constant.shape[axis], -1)
        least = int((rows.min(axis=1, initial=0) - zero).min())
        most = int((rows.max(axis=1, initial=0) - zero).max())
        parts = max(-(-most // 127), -(least // 128), 1)
    return Channels(axis, 1, 1, tuple(zero.tolist()), parts)


class Order(NamedTuple):
    """The order of the bytes that a tile reads. `form` is that of the weights: bytes, words or tiles, see pyx/dot.pxd.

    For tiles, runs of bytes that follow each other in the source are read 64 at a time: `run` taps of `width` bytes each.
    Otherwise it is tap by tap: first all whole blocks of channels, then all others, filled up to groups.
    """

    form: str
    run: int = 1
    width: int = 0


def weights_form(kernel: ModuleType, K: int) -> str:
    """The form of the weights of sums of K products: AMX is faster for long ones, as its sums pass through memory."""
    _, form, _, _, has_tiles = kernel.packing()
    return "tiles" if has_tiles and K >= LEAST_TILES else str(form)


def places(order: Order, IC: int, T: int, parts: int) -> np.ndarray:
    """What is in the bytes of the groups that a tile reads: part · IC · T + ic · T + tap, or -1 for nothing."""
    each = np.arange(parts * IC * T).reshape(parts, IC, T).swapaxes(1, 2)
    if order.form == "tiles":
        runs = _filled(each, order.width).reshape(parts, T // order.run, -1)
        return _filled(runs, filled_up(runs.shape[-1], SEGMENT)).reshape(-1)
    full = IC // CHANNELS_LAST.block * CHANNELS_LAST.block
    tails = _filled(each[..., full:], filled_up(IC - full, GROUP))
    return np.concatenate([each[..., :full].reshape(-1), tails.reshape(-1)])


def _filled(each: np.ndarray, width: int) -> np.ndarray:
    """Places with -1 on the last axis, up to `width`."""
    return np.pad(each, [*[(0, 0)] * (each.ndim - 1), (0, width - each.shape[-1])], constant_values=-1)


class Rows:
    """Integer weights as the packer takes them: OC rows of K weights, and the table of places; see pyx/pack_int8.pyx."""

    def __init__(self, w: np.ndarray | Weights, order: Order, channels: Channels):
        self.w, self.axis, self.signed = w, channels.axis, w.dtype == np.int8
        self.OC = w.shape[self.axis]
        K, T = w.size // self.OC, math.prod(w.shape[2:])
        each = places(order, K // T * channels.merge, T, channels.parts)
        whole = K * channels.merge
        self.table = np.where(each < 0, -1, each % whole).astype(np.int32), (each // whole).clip(0).astype(np.uint8)
        self.zero = np.array(np.broadcast_to(channels.zero, self.OC), np.int16)
        merged = np.arange(self.OC) // (self.OC // channels.G // channels.merge) % channels.merge
        self.first = (merged * K).astype(np.int32)

    @property
    def groups(self) -> int:
        """Groups of bytes that a tile reads."""
        return len(self.table[0]) // GROUP

    @property
    def spans(self) -> list[tuple[int, int]]:
        """Ranges of rows that are read together."""
        return ranges(self.OC, self.OC if self.axis else 1, self.w.size // self.OC)

    def some(self, begin: int, end: int) -> tuple[Any, ...]:
        """The packer's arguments for some rows."""
        w = self.w[begin:end] if self.axis == 0 else np.asarray(self.w).T[begin:end]
        rows = w.reshape(end - begin, -1).view(np.uint8)
        return rows, self.signed, self.zero[begin:end], self.first[begin:end], *self.table


def takes_pairs(kernel: ModuleType, w: Quantized, order: Order, channels: Channels) -> bool:
    """Whether the kernel multiplies the weights by `dot_pairs`: none of their products can pass 16 bits, see pyx/dot.pxd."""
    _, _, _, has_pairs, _ = kernel.packing()
    if not has_pairs or order.form == "tiles" or w.integers.constant is None:
        return False
    rows = Rows(w.integers.constant, order, channels)
    return all(_pack_int8.are_small(*rows.some(begin, end)) for begin, end in rows.spans)


def pack_int8(w: np.ndarray | Weights, V: int, block: int, order: Order, channels: Channels) -> Packing:
    """Weights in the order in which the tile reads them: [group][panel][K][vector][lane][GROUP], int8 or int16; for AMX
    [group][panel][segment][vector][16 groups][lane][GROUP].
    """
    rows = Rows(w, order, channels)
    OC, form = rows.OC // channels.G, FORMS[order.form]
    vectors = filled_up(OC, block) // V
    size = rows.groups * V * GROUP * (2 if form == WORDS else 1)  # of a vector of each group

    def job(g: int, some: Sequence[tuple[int, int]]) -> Job:
        """Some panels of group g."""

        def fill(dst: np.ndarray) -> None:
            start, end = some[0][0] * V, min((some[-1][0] + some[-1][1]) * V, OC)
            src, signed, zero, first, where, parts = rows.some(g * OC + min(start, end), g * OC + end)
            for begin, width in some:
                own, at = slice(begin * V - start, (begin + width) * V - start), (g * vectors + begin) * size
                part = dst[at : at + width * size]
                _pack_int8.pack(src[own], signed, zero[own], first[own], where, parts, form, V, width, part)

        return fill

    of_group = panels(vectors)
    spans = ranges(len(of_group), len(of_group) if rows.axis else 1, 2 * size)
    jobs = [job(g, of_group[a:b]) for g in range(channels.G) for a, b in spans]
    return Packing(channels.G * vectors * size, jobs, np.dtype(np.int8))


def pack_start(w: np.ndarray | Weights, block: int, bias: bytes, offset: int, channels: Channels) -> Packing:
    """Where the sums of each lane start: the bias, and `offset` times the sum of the weights."""
    G, OC = channels.G, w.shape[channels.axis]
    lanes = filled_up(OC // G, block)

    def fill(dst: np.ndarray) -> None:
        total = _sums(w, channels.axis) - w.size // OC * np.array(channels.zero)
        start = np.zeros((G, lanes), np.int64)
        start[:, : OC // G] = (np.frombuffer(bias, np.int32) + total * offset).reshape(G, -1)
        dst[...] = start.astype(np.int32).reshape(-1)

    return Packing(G * lanes, [fill], np.dtype(np.int32))


def _sums(w: np.ndarray | Weights, axis: int) -> np.ndarray:
    """The sums of all axes but one."""
    if axis:
        return np.asarray(np.asarray(w).sum(axis=0, dtype=np.int64))
    spans = ranges(len(w), 1, w.size // len(w))
    return np.concatenate([w[a:b].reshape(b - a, -1).sum(axis=1, dtype=np.int64) for a, b in spans])


def panels(vectors: int) -> list[tuple[int, int]]:
    """(first vector, vectors) of each panel, as pyx/panels.pxd has them."""
    starts = range(0, max(vectors - 1, 1), 2)
    return [(b, 2 if vectors - b > 3 else vectors - b) for b in starts]
