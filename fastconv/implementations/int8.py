"""What the implementations on bytes share: the parameters of quantized sums, and weights as the register tile reads them."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np

from ..graph import Node, Value
from ..ops.base import Op
from ..ops.quantized import Quantized, Rounding, Store, operand_of, store_of
from ..plan.binder import Binder
from ..plan.implementation import Implementation
from ..plan.layout import CHANNELS_LAST
from ..plan.packing import Packing
from ..plan.select import Selection, Target
from ..plan.view import NO_VIEW, View
from ..weights import Weights

OpT = TypeVar("OpT", bound=Op)

#: bytes of a pixel that one instruction multiplies with a lane's weights
GROUP = 4
#: the bytes of a pixel that AMX multiplies at a time
SEGMENT = 64
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

    def centring(self, node: Node, w: Quantized) -> dict[str, Any]:
        """The options of `centred` for the node's weights."""
        return {"axis": self.channels_axis(node), "G": 1, "merge": 1, "zero": tuple(w.zero.reshape(-1).tolist())}

    def form_of(self, node: Node, target: Target) -> str:
        """The form of the node's weights."""
        w = node.input(1).dims
        merge = self.centring(node, self.sums(node).w)["merge"]
        return weights_form(target.kernels.conv_int8, math.prod(w) // w[self.channels_axis(node)] * merge)

    def products(self, node: Node, target: Target) -> str:
        kernel, w, form = target.kernels.conv_int8, self.sums(node).w, self.form_of(node, target)
        return (
            "tiles" if form == "tiles" else "pairs" if takes_pairs(kernel, w, Order(form), self.centring(node, w)) else "dots"
        )

    def sums_fields(
        self, node: Node, binder: Binder, sums: Sums, order: Order, block: int = CHANNELS_LAST.block
    ) -> dict[str, Any]:
        """The fields of the weights and of the store; the output channels of a group are filled up to a multiple of `block`."""
        kernel, shared = binder.kernels.conv_int8, self.centring(node, sums.w)
        V, _, flip, *_ = kernel.packing()
        G, w = shared["G"], sums.w.integers.constant
        assert w is not None
        pairs = takes_pairs(kernel, sums.w, order, shared)
        form = order._replace(form="bytes") if pairs else order
        wei = binder.pack("int8", pack_int8, w, V=V, block=block, order=form, **shared)
        bias, offset = sums.bias.astype(np.int32).tobytes(), flip - int(sums.x.zero)
        start = binder.pack("start", pack_start, w, block=block, bias=bias, offset=offset, **shared)
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


def centred(w: np.ndarray | Weights, axis: int, G: int, merge: int, zero: tuple[int, ...]) -> np.ndarray:
    """Weights less their zero points, int16 of G OC IC T: groups, output channels, input channels and taps.

    `merge` neighbouring groups of the operator are one, with zeros between them.
    """
    array = np.moveaxis(np.asarray(w), axis, 0)
    wide = array.astype(np.int16).reshape(len(array), array.shape[1], -1)
    wide -= np.array(zero, np.int16).reshape(-1, 1, 1)
    OC, IC, T = wide.shape
    if merge == 1:
        return wide.reshape(G, OC // G, IC, T)
    out = np.zeros((G, merge, OC // G // merge, merge, IC, T), np.int16)
    for m in range(merge):
        out[:, m, :, m] = wide.reshape(G, merge, -1, IC, T)[:, m]
    return out.reshape(G, OC // G, merge * IC, T)


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


def in_groups(w: np.ndarray, order: Order) -> np.ndarray:
    """Weights G OC IC T as int8 of G OC K GROUP, in the order of the groups of bytes that a tile reads.

    Weights that int8 does not hold are the sum of several, and their groups are read as often.
    """
    parts = in_parts(w)
    G, OC, IC, T = w.shape
    taps = [p.swapaxes(2, 3) for p in parts]
    if order.form == "tiles":
        runs = [_padded(t, order.width).reshape(G, OC, T // order.run, -1) for t in taps]
        groups = [_padded(r, -(-r.shape[-1] // SEGMENT) * SEGMENT).reshape(G, OC, -1, GROUP) for r in runs]
        return np.concatenate(groups, axis=2).astype(np.int8)
    full = IC // CHANNELS_LAST.block * CHANNELS_LAST.block
    blocks = [t[..., :full].reshape(G, OC, -1, GROUP) for t in taps]
    tails = [_padded(t[..., full:], -(-(IC - full) // GROUP) * GROUP).reshape(G, OC, -1, GROUP) for t in taps]
    return np.concatenate([*blocks, *tails], axis=2).astype(np.int8)


def _padded(w: np.ndarray, width: int) -> np.ndarray:
    """The array with zeros on the last axis, up to `width`."""
    return np.pad(w, [*[(0, 0)] * (w.ndim - 1), (0, width - w.shape[-1])])


def in_parts(w: np.ndarray) -> list[np.ndarray]:
    """Integers as the sum of as few arrays as int8 can hold."""
    parts = [w.clip(-128, 127)]
    while (rest := w - sum(parts)).any():
        parts.append(rest.clip(-128, 127))
    return parts


def parts(w: Quantized) -> int:
    """How many times the groups are read, see `in_parts`."""
    constant = np.asarray(w.integers.constant)
    zeros = w.zero.reshape(-1, *[1] * (constant.ndim - 1 - w.axis)) if w.zero.size > 1 else w.zero
    return len(in_parts(constant.astype(np.int16) - zeros))


def are_small(w: np.ndarray | Weights, order: Order, **options: Any) -> bool:
    """Whether no two neighbouring weights of a group can pass 16 bits when they are multiplied with bytes, see pyx/dot.pxd."""
    groups = np.abs(in_groups(centred(w, **options), order).astype(np.int16))
    return bool((groups[..., 0::2] + groups[..., 1::2] <= 128).all())


def takes_pairs(kernel: ModuleType, w: Quantized, order: Order, options: dict[str, Any]) -> bool:
    """Whether the kernel multiplies the weights by `dot_pairs`, see pyx/dot.pxd; `options` as in `centred`."""
    _, _, _, has_pairs, _ = kernel.packing()
    return has_pairs and order.form != "tiles" and are_small(np.asarray(w.integers.constant), order, **options)


def pack_int8(w: np.ndarray | Weights, V: int, block: int, order: Order, **options: Any) -> Packing:
    """Weights in the order in which the tile reads them: [group][panel][K][vector][lane][GROUP], int8 or int16; for AMX
    [group][panel][segment][vector][16 groups][lane][GROUP]. `options` as in `centred`.
    """
    G = options["G"]
    OC = w.shape[options["axis"]] // G
    vectors = filled_up(OC, block) // V
    groups = in_groups(centred(w, **options), order)
    K = groups.shape[2]

    def fill(dst: np.ndarray) -> None:
        lanes = np.zeros((G, vectors * V, K, GROUP), np.int8)
        lanes[:, :OC] = groups
        at = 0
        for g in range(G):
            for begin, width in panels(vectors):
                panel = lanes[g, begin * V : (begin + width) * V].reshape(width, V, K, GROUP)
                if order.form == "tiles":
                    part = panel.reshape(width, V, -1, SEGMENT // GROUP, GROUP).transpose(2, 0, 3, 1, 4)
                elif order.form == "words":
                    halves = np.stack([panel[..., 0::2], panel[..., 1::2]], axis=3).astype(np.int16)  # J V K half 2
                    part = halves.transpose(2, 0, 3, 1, 4)
                else:
                    part = panel.transpose(2, 0, 1, 3)
                data = np.ascontiguousarray(part).view(np.int8).reshape(-1)
                dst[at : at + data.size] = data
                at += data.size

    return Packing(G * vectors * V * K * GROUP * (2 if order.form == "words" else 1), [fill], np.dtype(np.int8))


def pack_start(w: np.ndarray | Weights, block: int, bias: bytes, offset: int, **options: Any) -> Packing:
    """Where the sums of each lane start: the bias, and `offset` times the sum of the weights."""
    G, OC = options["G"], w.shape[options["axis"]]
    lanes = filled_up(OC // G, block)

    def fill(dst: np.ndarray) -> None:
        total = centred(w, **options).sum(axis=(2, 3), dtype=np.int64) * offset
        start = np.zeros((G, lanes), np.int64)
        start[:, : OC // G] = np.frombuffer(bias, np.int32).reshape(G, -1) + total
        dst[...] = start.astype(np.int32).reshape(-1)

    return Packing(G * lanes, [fill], np.dtype(np.int32))


def panels(vectors: int) -> list[tuple[int, int]]:
    """(first vector, vectors) of each panel, as pyx/panels.pxd has them."""
    starts = range(0, max(vectors - 1, 1), 2)
    return [(b, 2 if vectors - b > 3 else vectors - b) for b in starts]
