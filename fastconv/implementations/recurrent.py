"""RNN, GRU and LSTM: the kernel gemm multiplies the inputs of all time steps, then the kernel recurrent takes these in turn."""

from __future__ import annotations

import math

import numpy as np

from ..activation import NO_ACTIVATION
from ..graph import Node, Value
from ..ops.recurrent import GRU, LSTM, Recurrent
from ..plan.binder import Binder, Step
from ..plan.epilogue import activation_fields
from ..plan.implementation import Implementation
from ..plan.layout import ROW_MAJOR, Layout
from ..plan.packing import Packing, empty_aligned
from ..plan.select import Selection, Target
from ..weights import Weights
from .gemm_packed import pack_matrix, pack_vector, sizes

#: most sequences that go through the time steps together: they share a reading of the weights
CHUNK_SEQUENCES = 12


class RecurrentRowMajor(Implementation[Recurrent]):
    """Row-major tensors in float32, the standard's default activations."""

    name = "row-major"

    def refuse(self, node: Node, selection: Selection) -> str | None:
        w, r, b, lengths, peepholes = node.input(1), node.input(2), node.optional(3), node.optional(4), node.optional(7)
        op = self.op(node)
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
        if op.names != op.default_names:
            return f"activations {', '.join(op.names)}"
        if isinstance(op, GRU) and not op.linear_before_reset:
            return "linear_before_reset 0"
        return "input_forget" if isinstance(op, LSTM) and op.input_forget else None

    def layouts(self, node: Node, target: Target) -> tuple[dict[Value, Layout], Layout]:
        return {v: ROW_MAJOR for v in node.operands if v.constant is None}, ROW_MAJOR

    def sizes(self, node: Node) -> tuple[int, int, int, int]:
        """(T, N, D, H) of the node."""
        x, r = node.input(0).dims, node.input(2).dims
        T, N = x[1::-1] if self.op(node).layout else x[:2]
        return T, N, r[0], r[2]

    def rooms(self, node: Node, V: int) -> tuple[int, int, int]:
        """The bytes of the inputs' products, of the cells, and of the states of all time steps where they are no output."""
        T, N, D, H = self.sizes(node)
        units = D * -(-H // V) * V
        return 4 * T * N * self.op(node).gates * units, 4 * N * units, 0 if node.outputs[0] else 4 * T * N * D * H

    def workspace(self, node: Node, target: Target) -> int:
        return sum(self.rooms(node, target.V))

    def bind(self, node: Node, binder: Binder) -> list[Step]:
        x, w, r, b, op = node.input(0), node.input(1), node.input(2), node.optional(3), self.op(node)
        states = (node.optional(5), node.optional(6))
        V, (T, N, D, H), G = binder.target.V, self.sizes(node), op.gates
        rooms, M, OC = self.rooms(node, V), T * N, D * G * -(-H // V) * V
        products = binder.workspace()
        cell, hidden = products + rooms[0], products + rooms[0] + rooms[1]
        # both weights' biases, of which a GRU needs the second one apart
        of_x, of_h = np.split(np.zeros((D, 2 * G * H), np.float32) if b is None else np.asarray(b.constant), 2, axis=1)
        zeros = np.zeros((D, N, H), np.float32)
        begin, cell_begin = (binder.constant(zeros) if v is None else binder.operand(v) for v in states)
        y, last, cell_last = (None if v is None else binder.view(v).address for v in (*node.outputs, None, None)[:3])
        t, n, d, state_n, state_d = (D * H, T * D * H, H, D * H, H) if op.layout else (N * D * H, H, N * H, H, N * H)
        return [
            binder.step(
                binder.kernels.gemm,
                src=binder.view(x).address, dst=products, add=0, has_add=False, act=activation_fields(NO_ACTIVATION),
                wei=binder.pack("recurrent inputs", pack_inputs, w.constant, G=G, V=V),
                bia=binder.constant(pack_vector(by_units(of_x, G, V), 1, OC, V)),
                **sizes(binder.kernels.gemm, M, x.dims[2], OC),
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
