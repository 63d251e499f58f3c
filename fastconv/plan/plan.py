"""The Plan: what runs, in order, for one set of input shapes."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterable, MutableMapping, Sequence
from typing import Any

import numpy as np

from .. import _executor
from ..dtypes import kind
from ..errors import Naming, UnsupportedError
from ..evaluate import evaluate
from ..graph import Graph, Node, Value, shape_text
from ..shown import Shown
from .arena import Lifetime, Tenant, assign
from .binder import Binder, Packed, Step
from .cost import microseconds, node_microseconds, pieces, pieces_alone
from .layout import ROW_MAJOR, halo_sides
from .packing import empty_aligned
from .select import Target, select
from .strided import reorder
from .tensors import Boundary, Entry, Tensor, insert_reorders
from .view import ARENA, FAULTS, FIRST_INPUT


class Arenas:
    """Memory for the tensors of a run, kept for the next run of any plan: as many as ran at once, as large as was needed.

    A list's own operations are atomic: there is no lock.
    """

    def __init__(self) -> None:
        self.free: list[np.ndarray] = []

    def take(self, size: int) -> np.ndarray:
        """An arena of `size` bytes or more; one that is too small is given up for it."""
        try:
            arena = self.free.pop()
        except IndexError:
            return empty_aligned((size,), np.uint8)
        return arena if arena.nbytes >= size else empty_aligned((size,), np.uint8)

    def give(self, arena: np.ndarray) -> None:
        """Give an arena back."""
        self.free.append(arena)

    def clear(self) -> None:
        """Let go of the memory that no run is using."""
        self.free.clear()


class Plan(Shown):
    """A graph bound for one input shape. Immutable: any number of threads may call `run` at once, each with its own arena."""

    def __init__(
        self,
        graph: Graph,
        target: Target,
        entries: list[Entry],
        keep: list[Any],
        arena_size: int,
        places: dict[Tensor, tuple[int, int]],
        outputs: dict[Value, Tensor],
        copies: list[tuple[int, Tensor]],
        arenas: Arenas,
        faults: list[tuple[Node, str]],
        images: int = 1,
    ):
        self.graph = graph
        self.images = images
        self.target = target
        self.entries = entries
        self.arena_size = arena_size
        self.places = places
        self._outputs = outputs
        self._copies = copies
        self._keep = keep
        self._arenas = arenas
        self._faults = faults
        self._constants = [(i, v.constant) for i, v in enumerate(graph.outputs) if v.constant is not None]
        self._sections = list(_sections(entries, flush=target.accuracy != "exact"))

    # ---- running

    def run(
        self, inputs: list[np.ndarray], outputs: list[np.ndarray], threads: int, stamps: list[tuple[Entry, float]] | None = None
    ) -> None:
        """Run on contiguous arrays of the graph's inputs' and outputs' shapes and dtypes; outputs are filled. Where the graph
        is for one of several images, the arrays have all of them.

        `stamps` takes each entry with the seconds it took, image after image.
        """
        if self.images == 1:
            return self._run(inputs, outputs, threads, stamps)
        # in threads of their own images there is no Python: no copies of outputs, no stamps
        each = 0 if self._copies or stamps is not None else self.images // threads
        if each:
            self._run_each([a[: threads * each] for a in (*inputs, *outputs)], threads)
        for i in range(threads * each, self.images):
            self._run([a[i : i + 1] for a in inputs], [a[i : i + 1] for a in outputs], threads, stamps)

    def _run_each(self, arrays: list[np.ndarray], threads: int) -> None:
        """Every image is computed by one thread alone: no thread waits for another between two steps."""
        arenas = [self._arenas.take(self.arena_size) for _ in range(threads)]
        try:
            own = np.zeros((threads, FIRST_INPUT + len(arrays)), np.uintp)
            own[:, ARENA] = [a.ctypes.data for a in arenas]
            faults = np.zeros(len(self._faults), np.int64)
            own[:, FAULTS] = faults.ctypes.data
            images = np.stack([a.ctypes.data + a.strides[0] * np.arange(len(a), dtype=np.uintp) for a in arrays], axis=1)
            ((_, program),) = self._sections  # an arena holds the tensors of one image
            assert program is not None, "batches of nodes without kernels run together"
            program.run_each(own, images)
            self._raise(faults)
        finally:
            for arena in arenas:
                self._arenas.give(arena)

    def _run(
        self, inputs: list[np.ndarray], outputs: list[np.ndarray], threads: int, stamps: list[tuple[Entry, float]] | None
    ) -> None:
        arena = self._arenas.take(self.arena_size)
        try:
            faults = np.zeros(len(self._faults), np.int64) if self._faults else None
            buffers = (None, arena, faults, *inputs, *outputs)  # in the order of view.ABSOLUTE, ARENA, FAULTS, FIRST_INPUT
            for entries, program in self._sections:
                if program is None:
                    began = time.perf_counter()
                    self._run_reference(entries[0], buffers)
                    if stamps is not None:
                        stamps.append((entries[0], time.perf_counter() - began))
                elif stamps is None:
                    program.run(buffers, threads)
                else:
                    times = np.zeros(len(program) + 1)
                    program.run(buffers, threads, times)
                    at = 0
                    for e in entries:
                        assert e.steps is not None
                        stamps.append((e, float(times[at + len(e.steps)] - times[at])))
                        at += len(e.steps)
                if faults is not None:
                    self._raise(faults)
            for i, tensor in self._copies:
                outputs[i][...] = self._array(tensor, buffers)
            for i, constant in self._constants:
                outputs[i][...] = constant
        finally:
            self._arenas.give(arena)

    def _raise(self, faults: np.ndarray) -> None:
        """Raise a ModelError for the first value that a step has reported."""
        for value, (node, message) in zip(faults.tolist(), self._faults, strict=True):
            if value:
                raise node.error(message.format(value))

    def _array(self, tensor: Tensor, buffers: Sequence[np.ndarray | None]) -> np.ndarray:
        """A row-major tensor's memory as an array."""
        base, offset = self.places[tensor.root]
        dims, dtype = tensor.value.dims, np.dtype(tensor.value.dtype or np.float32)
        buffer = buffers[base]
        assert buffer is not None, "constants are no tensors"
        memory = buffer.reshape(-1).view(np.uint8)
        return memory[offset : offset + math.prod(dims) * dtype.itemsize].view(dtype).reshape(dims)

    def _run_reference(self, entry: Entry, buffers: Sequence[np.ndarray | None]) -> None:
        assert entry.node is not None
        arrays = {value: self._array(tensor, buffers) for value, tensor in entry.reads.items()}
        with self.graph.budget.scope():
            evaluate(entry.node, arrays, fast=True)
        with Naming(entry.node.error):
            for value, tensor in entry.writes.items():
                array, y = arrays[value], self._array(tensor, buffers)
                if kind(array.dtype) == "f" and kind(y.dtype) in "iu":  # NumPy would cut them off
                    raise UnsupportedError(f"not defined for elements of type {y.dtype}: it computes floats")
                y[...] = array

    # ---- what it is, in words

    @property
    def tenants(self) -> list[Tenant]:
        """What lies in the arena, and during which entries."""
        first, last = _uses(self.entries)
        last |= {tensor.root: len(self.entries) for _, tensor in self._copies}
        tenants = [
            Tenant(t.value.name, offset, Lifetime(t.geometry.nbytes, first[t], last[t]))
            for t, (base, offset) in self.places.items()
            if base == ARENA
        ]
        tenants += [
            Tenant(f"workspace of {e.label}", e.workspace_place[1], Lifetime(e.workspace, i, i))
            for i, e in enumerate(self.entries)
            if e.workspace
        ]
        return tenants

    @property
    def packed_bytes(self) -> int:
        """The memory of the packed weights, which other plans of the model share."""
        return sum({id(p): p.array.nbytes for p in self._keep if isinstance(p, Packed)}.values())

    @property
    def python_steps(self) -> list[Entry]:
        """The entries that re-enter Python."""
        return [e for e in self.entries if e.steps is None]

    def __str__(self) -> str:
        kernels = self.target.kernels
        each = f", for each of {self.images} images" if self.images > 1 else ""
        lines = [
            f"plan for {kernels.isa} (V={kernels.V}), {len(self.entries)} entries, arena {self.arena_size / 1e6:.2f} MB,"
            f" packed weights {self.packed_bytes / 1e6:.2f} MB, {len(self.python_steps)} Python steps{each}"
        ]
        for i, e in enumerate(self.entries):
            lines.append(f"  {i:3d} {self._describe(e)}")
            lines += [f"        not {name}: {reason}" for name, reason in e.refusals]
        return "\n".join(lines)

    def _describe(self, entry: Entry) -> str:
        operators = f"{entry.node.operators} " if entry.node else ""
        python = " (Python)" if entry.steps is None else ""
        python += f" (in floats: {entry.in_floats})" if entry.in_floats else ""
        reads, writes = (", ".join(map(self._place, tensors.values())) for tensors in (entry.reads, entry.writes))
        return f"{entry.label!r} {operators}{entry.algorithm}{python}: {reads} -> {writes}"

    def _place(self, tensor: Tensor) -> str:
        base, offset = self.places[tensor.root]
        where = f"arena+{offset}" if base == ARENA else "input" if base < FIRST_INPUT + len(self.graph.inputs) else "output"
        is_part = tensor.root is not tensor and tensor.layout.is_blocked
        inside = f" in {tensor.root.value.name!r}[{tensor.channel}:]" if is_part else ""
        halo = f" halo {'/'.join(map(str, tensor.root.halo))}" if any(tensor.root.halo) else ""
        return f"{tensor.value.name!r} {shape_text(tensor.value.dims)} {tensor.layout} @{where}{inside}{halo}"


def _sections(entries: Iterable[Entry], flush: bool) -> Iterable[tuple[list[Entry], _executor.Program | None]]:
    """Neighbouring compiled entries with the Program of their steps, and each entry that runs in Python alone, with None."""
    for compiled, group in itertools.groupby(entries, lambda e: e.steps is not None):
        if compiled:
            section = list(group)
            yield section, _program(section, flush)
        else:
            yield from (([e], None) for e in group)


def _program(entries: list[Entry], flush: bool) -> _executor.Program:
    return _executor.Program([s for e in entries for s in e.steps or ()], flush)


def build(
    graph: Graph,
    target: Target,
    packed: MutableMapping[Any, Packed],
    arenas: Arenas | None = None,
    images: int = 1,
    source: Boundary | None = None,
    sink: Boundary | None = None,
) -> Plan:
    """The plan of a graph whose shapes are all known; it computes `images` times what the graph says, one after the other.

    Plans of a model share the weights in `packed` and the `arenas`. `source` and `sink` as in `insert_reorders`.
    """
    choices = select(graph, target, source.layout if source else ROW_MAJOR)
    entries, outputs = insert_reorders(graph, choices, source, sink)
    for entry in entries:
        entry.images = images
        if entry.node and entry.implementation:
            with Naming(entry.node.error):
                entry.workspace = entry.implementation.workspace(entry.node, target)
    places, arena_size, copies = _lay_out(graph, entries, outputs)
    binder = Binder(target, packed, places, graph.budget)
    filled: set[Tensor] = set()
    for entry in entries:
        binder.entry = entry
        entry.steps = _bind(entry, binder, filled)
        if entry.steps is None:
            assert entry.node is not None, "a reorder has steps"
            _hold_constants(entry.node.operands, binder)
    _hold_constants(graph.outputs, binder)
    binder.finish()
    return Plan(
        graph, target, entries, binder.keep, arena_size, places, outputs, copies, arenas or Arenas(), binder.faults, images
    )


def _bind(entry: Entry, binder: Binder, filled: set[Tensor]) -> list[Step] | None:
    """The steps of an entry, those first that fill the halos of tensors it is the first to write; None if it has no kernel."""
    if entry.node is None:
        (src,), (dst,) = entry.reads.values(), entry.writes.values()
        steps = reorder(binder, binder.view_of(src), binder.view_of(dst))
        time = microseconds(0, [*entry.reads, *entry.writes])
    elif entry.implementation is not None:
        with Naming(entry.node.error):
            steps = entry.implementation.bind(entry.node, binder)
            time = node_microseconds(entry.node)
    else:
        return None
    roots = dict.fromkeys(t.root for t in entry.writes.values() if any(t.root.halo) and t.root not in filled)
    filled.update(roots)
    target = binder.target
    steps = [*(step for root in roots for step in _halo_steps(binder, root)), *steps]
    most = max(len(steps), 1)
    count = pieces(time, target.threads, most) if target.pieces is None else target.pieces
    return [s._replace(pieces=count, alone=pieces_alone(time, most)) for s in steps]


def _hold_constants(values: Iterable[Value], binder: Binder) -> None:
    """Read the constants that a reference needs once, not at each run."""
    for v in values:
        if v.constant is not None:
            v.constant = binder.array(v.constant)


def _lay_out(
    graph: Graph, entries: list[Entry], outputs: dict[Value, Tensor]
) -> tuple[dict[Tensor, tuple[int, int]], int, list[tuple[int, Tensor]]]:
    """(base, offset) of every root tensor, the arena's size, and the outputs that must be copied at the end."""
    places: dict[Tensor, tuple[int, int]] = {}
    first, last = _uses(entries)
    for tensor in (*first, *(t.root for t in outputs.values())):
        if tensor.is_input:
            places[tensor] = (FIRST_INPUT + graph.inputs.index(tensor.value), 0)
    copies: list[tuple[int, Tensor]] = []
    for i, v in enumerate(graph.outputs):
        if v.constant is not None:
            continue
        root = outputs[v].root
        if root not in places and root.geometry.nbytes == outputs[v].geometry.nbytes:
            places[root] = (FIRST_INPUT + len(graph.inputs) + i, 0)
        else:
            last[root] = len(entries)
            copies.append((i, outputs[v]))
    roots = [t for t in first if t not in places]
    lifetimes = [Lifetime(t.geometry.nbytes, first[t], last[t]) for t in roots]
    lifetimes += [Lifetime(entry.workspace, i, i) for i, entry in enumerate(entries) if entry.workspace]
    offsets, size = assign(lifetimes)
    for t, offset in zip(roots, offsets, strict=False):
        places[t] = (ARENA, offset)
    for entry, offset in zip((e for e in entries if e.workspace), offsets[len(roots) :], strict=True):
        entry.workspace_place = (ARENA, offset)
    return places, size, copies


def _uses(entries: list[Entry]) -> tuple[dict[Tensor, int], dict[Tensor, int]]:
    """For each root tensor the first and the last entry that reads or writes it."""
    first: dict[Tensor, int] = {}
    last: dict[Tensor, int] = {}
    for i, entry in enumerate(entries):
        for tensor in (*entry.reads.values(), *entry.writes.values()):
            first.setdefault(tensor.root, i)
            last[tensor.root] = i
    return first, last


def _halo_steps(binder: Binder, root: Tensor) -> list[Step]:
    """Fill the halo of a root tensor: around each plane, and for a volume the planes before and behind it."""
    g, dst = root.geometry, binder.address_of(root)
    (*front, top, left), (*back, bottom, right) = halo_sides(len(root.value.dims), root.halo)
    n, d, h, w = (root.itemsize * stride for stride in (g.n, g.d, g.h, g.w))
    volume = n if root.layout.channels_last else root.itemsize * g.c
    size, value, halo = root.value.dims[0] * n, root.halo_value, binder.kernels.halo
    steps = [
        binder.step(
            halo, dst=dst, value=value, planes=size // d, rows=d // h, pitch=h,
            top=top, left=left * w, bottom=bottom, right=right * w,
        )
    ]  # fmt: skip
    if any((*front, *back)):  # a plane is one row
        steps.append(
            binder.step(
                halo, dst=dst, value=value, planes=size // volume, rows=volume // d, pitch=d,
                top=front[0], left=0, bottom=back[0], right=0,
            )
        )  # fmt: skip
    return steps


__all__ = ["Arenas", "Plan", "build"]
