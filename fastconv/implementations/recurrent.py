"""RNN, GRU and LSTM on two kernels: gemm multiplies the inputs of all steps at once, recurrent goes through the steps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..graph import Node, Value
from ..plan.bind import NO_ACTIVATION, Binder, Step, activation_fields
from ..plan.implementation import Implementation, input_refusal
from ..plan.packing import Packing, empty_aligned
from ..plan.select import NCHW, Target
from ..weights import Weights
from .gemm_packed import pack_matrix, pack_vector, sizes

#: most sequences that go through the steps together: they share a reading of the weights
CHUNK_SEQUENCES = 12


class RecurrentPlain(Implementation):
    """Row-major tensors in float32, the standard's default activations."""

    name = "plain"

    def refuse(self, node: Node, target: Target) -> str | None:
        x, w, r, b, lengths, _, _, peepholes = (*node.inputs, *[None] * 5)[:8]
        op: Any = node.op
        assert x is not None and w is not None and r is not None
        if (reason := input_refusal(x)) is not None:
            return reason
        if any(v is not None and v.constant is None for v in (w, r, b)):
            return "weights are not constant"
        if 0 in w.dims:
            return "empty weights"
        if lengths is not None and (lengths.constant is None or (np.asarray(lengths.constant) != self.sizes(node)[0]).any()):
            return "sequence_lens"
        if peepholes is not None:
            return "peepholes"
        if op.clip is not None:
            return "clip"
        return op.refuse_step() if op.names == op.default_names else f"activations {', '.join(op.names)}"

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, str], str]:
        return {v: NCHW for v in node.operands if v.constant is None}, NCHW

    def sizes(self, node: Node) -> tuple[int, int, int, int]:
        """(T, N, D, H) of the node."""
        x, _, r = node.inputs[:3]
        op: Any = node.op
        assert x is not None and r is not None
        T, N = x.dims[1::-1] if op.layout else x.dims[:2]
        return T, N, r.dims[0], r.dims[2]

    def rooms(self, node: Node, V: int) -> tuple[int, int, int]:
        """The bytes of the inputs' products, of the cells, and of the states of all steps where they are no output."""
        op: Any = node.op
        T, N, D, H = self.sizes(node)
        units = D * -(-H // V) * V
        return 4 * T * N * op.gates * units, 4 * N * units, 0 if node.outputs[0] else 4 * T * N * D * H

    def workspace(self, node: Node, target: Target) -> int:
        return sum(self.rooms(node, target.V))

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, w, r, b, _, *states = (*node.inputs, *[None] * 4)[:7]
        op: Any = node.op
        assert x is not None and w is not None and r is not None and w.constant is not None and r.constant is not None
        V, (T, N, D, H), G = binder.target.V, self.sizes(node), op.gates
        rooms, M, OC = self.rooms(node, V), T * N, D * G * -(-H // V) * V
        products = binder.workspace()
        cell, hidden = products + rooms[0], products + rooms[0] + rooms[1]
        # both weights' biases, of which a GRU needs the second one apart
        of_x, of_h = np.split(np.zeros((D, 2 * G * H), np.float32) if b is None else np.asarray(b.constant), 2, axis=1)
        zeros = np.zeros((D, N, H), np.float32)
        begin, cell_begin = (
            binder.view(v).ref
            if v is not None and v.constant is None
            else binder.constant(zeros if v is None else np.ascontiguousarray(v.constant))
            for v in states
        )
        y, last, cell_last = (None if v is None else binder.view(v).ref for v in (*node.outputs, None, None)[:3])
        t, n, d, state_n, state_d = (D * H, T * D * H, H, D * H, H) if op.layout else (N * D * H, H, N * H, H, N * H)
        return [
            binder.step(
                binder.kernels.gemm,
                src=binder.view(x).ref, dst=products, add=0, has_add=False, act=activation_fields(NO_ACTIVATION),
                wei=binder.pack("recurrent inputs", pack_inputs, w.constant, G=G, V=V),
                bia=binder.constant(pack_vector(by_units(of_x, G, V), 1, OC, V)),
                **sizes(M, x.dims[2], OC),
            ),
            binder.step(
                binder.kernels.recurrent,
                src=products, begin=begin, cell_begin=cell_begin, cell=cell, dst=hidden if y is None else y,
                wei=binder.pack("recurrent states", pack_states, r.constant, G=G, V=V),
                bia=binder.constant(by_units(of_h, G, V)),
                last=last or 0, cell_last=cell_last or 0, has_last=last is not None, has_cell_last=cell_last is not None,
                gates=G, T=T, N=N, D=D, H=H, reverse=op.direction == "reverse",
                src_t=OC if op.layout else N * OC, src_n=T * OC if op.layout else OC,
                dst_t=t, dst_d=d, dst_n=n, state_d=state_d, state_n=state_n,
                begin_zero=states[0] is None or (states[0].constant is not None and not np.asarray(states[0].constant).any()),
                chunk=min(-(-N * D // binder.target.threads), CHUNK_SEQUENCES),
            ),
        ]  # fmt: skip


def by_units(a: np.ndarray, G: int, V: int) -> np.ndarray:
    """An array of D G·H … as D HB G V …: the gates of a vector of units side by side, zeros where H does not fill it."""
    D, GH, *rest = a.shape
    H = GH // G
    out = np.zeros((D, G, -(-H // V) * V, *rest), np.float32)
    out[:, :, :H] = a.reshape(D, G, H, *rest)
    return np.ascontiguousarray(out.reshape(D, G, -1, V, *rest).swapaxes(1, 2))


def pack_inputs(w: np.ndarray | Weights, G: int, V: int) -> Packing:
    """The weights D G·H I of the inputs as those of one product, whose results stand D HB G V."""
    rows = by_units(np.asarray(w), G, V)
    return pack_matrix(rows.reshape(-1, rows.shape[-1]), transposed=True, alpha=1, V=V)


def pack_states(r: np.ndarray | Weights, G: int, V: int) -> np.ndarray:
    """The weights D G·H H of the states as D HB H G V."""
    rows = np.moveaxis(by_units(np.asarray(r), G, V), -1, 2)
    packed = empty_aligned((math.prod(rows.shape),))
    packed.reshape(rows.shape)[...] = rows
    return packed


__all__ = ["RecurrentPlain"]
