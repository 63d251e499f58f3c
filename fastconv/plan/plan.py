"""The Plan: what runs, in order, for one input shape."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import _executor
from ..evaluate import evaluate
from ..graph import Graph, Value, shape_text
from ..shown import Shown
from .arena import Lifetime, assign
from .bind import ARENA, FIRST_INPUT, Binder, Packed, Step, empty_aligned, halo_sides, memory, reference_to
from .layouts import Seam, Task, Tensor, arrange
from .select import BLOCKED, NCHW, Choice, Target, select
from .strided import reorder
from .work import microseconds, node_microseconds, pieces


@dataclass
class Entry:
    """One line of the plan: a task with its compiled steps, or (steps None) a node that runs its reference in Python.

    It runs for each of `images` images.
    """

    task: Task
    steps: list[Step] | None
    images: int = 1


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
            return empty_aligned((-(-size // 4),))
        return arena if arena.nbytes >= size else empty_aligned((-(-size // 4),))

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
        self._constants = [(i, v.constant) for i, v in enumerate(graph.outputs) if v.constant is not None]
        self._segments = list(_segments(entries, flush=target.accuracy != "exact"))

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
            images = np.stack([a.ctypes.data + a.strides[0] * np.arange(len(a), dtype=np.uintp) for a in arrays], axis=1)
            ((_, program),) = self._segments  # an arena holds what is between two steps of one image
            program.run_each(own, images)
        finally:
            for arena in arenas:
                self._arenas.give(arena)

    def _run(
        self, inputs: list[np.ndarray], outputs: list[np.ndarray], threads: int, stamps: list[tuple[Entry, float]] | None
    ) -> None:
        arena = self._arenas.take(self.arena_size)
        try:
            buffers = (None, arena, *inputs, *outputs)  # in the order of bind.ABSOLUTE, ARENA, FIRST_INPUT
            for entries, program in self._segments:
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
            for i, tensor in self._copies:
                outputs[i][...] = self._array(tensor, buffers)
            for i, constant in self._constants:
                outputs[i][...] = constant
        finally:
            self._arenas.give(arena)

    def _array(self, tensor: Tensor, buffers: Sequence[np.ndarray | None]) -> np.ndarray:
        """A row-major tensor's memory as an array."""
        base, offset = self.places[tensor.root]
        dims, dtype = tensor.value.dims, np.dtype(tensor.value.dtype or np.float32)
        buffer = buffers[base]
        assert buffer is not None, "constants are no tensors"
        memory = buffer.reshape(-1).view(np.uint8)
        return memory[offset : offset + math.prod(dims) * dtype.itemsize].view(dtype).reshape(dims)

    def _run_reference(self, entry: Entry, buffers: Sequence[np.ndarray | None]) -> None:
        arrays = {value: self._array(tensor, buffers) for value, tensor in entry.task.reads.items()}
        assert entry.task.choice is not None
        evaluate(entry.task.choice.node, arrays, judge=False)
        for value, tensor in entry.task.writes.items():
            self._array(tensor, buffers)[...] = arrays[value]

    # ---- what it is, in words

    @property
    def python_steps(self) -> list[Entry]:
        """The entries that re-enter Python."""
        return [e for e in self.entries if e.steps is None]

    def __str__(self) -> str:
        kernels = self.target.kernels
        lines = [
            f"plan for {kernels.isa} (V={kernels.V}), {len(self.entries)} entries, arena {self.arena_size / 1e6:.2f} MB,"
            f" {len(self.python_steps)} Python steps{f', for each of {self.images} images' if self.images > 1 else ''}"
        ]
        for i, e in enumerate(self.entries):
            lines.append(f"  {i:3d} {self._describe(e)}")
            if e.task.choice:
                lines += [f"        not {name}: {reason}" for name, reason in e.task.choice.refusals]
        return "\n".join(lines)

    def _describe(self, entry: Entry) -> str:
        task = entry.task
        if task.choice is None:
            what = "reorder"
        else:
            node = task.choice.node
            what = "+".join(type(n.op).__name__ for n in node.chain) + f" {task.choice.name}"
        if entry.steps is None:
            what += " (Python)"
        return f"{task.label!r} {what}: {', '.join(map(self._place, task.reads.values()))} -> " + ", ".join(
            map(self._place, task.writes.values())
        )

    def _place(self, tensor: Tensor) -> str:
        base, offset = self.places[tensor.root]
        where = f"arena+{offset}" if base == ARENA else "input" if base < FIRST_INPUT + len(self.graph.inputs) else "output"
        inside = (
            f" in {tensor.root.value.name!r}[{tensor.channel}:]"
            if tensor.root is not tensor and tensor.layout == BLOCKED
            else ""
        )
        halo = f" halo {'/'.join(map(str, tensor.root.halo))}" if any(tensor.root.halo) else ""
        return f"{tensor.value.name!r} {shape_text(tensor.value.dims)} {tensor.layout} @{where}{inside}{halo}"


def _segments(entries: Iterable[Entry], flush: bool) -> Iterable[tuple[list[Entry], Any]]:
    """Runs of compiled entries, each with its Program, and Python entries, each alone with None."""
    run: list[Entry] = []
    for e in entries:
        if e.steps is None:
            if run:
                yield run, _program(run, flush)
                run = []
            yield [e], None
        else:
            run.append(e)
    if run:
        yield run, _program(run, flush)


def _program(entries: list[Entry], flush: bool) -> _executor.Program:
    return _executor.Program([(s.run, s.args, s.pieces) for e in entries for s in e.steps or ()], flush)


def build(
    graph: Graph,
    target: Target,
    packed: MutableMapping[Any, Packed],
    arenas: Arenas | None = None,
    images: int = 1,
    source: Seam | None = None,
    sink: Seam | None = None,
) -> Plan:
    """The plan of a graph whose shapes are all known, for `images` times what it says. `packed` finds packed weights again from
    plan to plan, which share `arenas` too. `source` and `sink` as in `arrange`."""
    choices = select(graph, target, source.layout if source else NCHW)
    tasks, outputs = arrange(graph, choices, source, sink)
    for task in tasks:
        if task.choice and task.choice.implementation:
            task.workspace = task.choice.implementation.workspace(task.choice.node, target)
    places, arena_size, copies = _lay_out(graph, target, tasks, outputs)
    binder = Binder(target, packed, places)
    entries: list[Entry] = []
    zeroed: set[Tensor] = set()
    for task in tasks:
        binder.task = task
        halos: list[Step] = []
        for tensor in task.writes.values():
            root = tensor.root
            if any(root.halo) and root not in zeroed:
                zeroed.add(root)
                halos += _halo_steps(binder, root)
        steps: list[Step] | None = None
        if task.choice is None:
            steps = halos + _reorder_steps(binder, task)
        elif task.choice.implementation is not None:
            steps = halos + task.choice.implementation.bind(task.choice.node, binder)
        else:
            _hold_constants(task.choice.node.operands, binder)
        if steps is not None:
            count = pieces(_microseconds(task), target.threads) if target.pieces is None else target.pieces
            steps = [replace(s, pieces=count) for s in steps]
        entries.append(Entry(task, steps, images))
    _hold_constants(graph.outputs, binder)
    binder.finish()
    return Plan(graph, target, entries, binder.keep, arena_size, places, outputs, copies, arenas or Arenas(), images)


def _hold_constants(values: Iterable[Value], binder: Binder) -> None:
    """What runs in Python would otherwise read its weights again and again."""
    for v in values:
        if v.constant is not None:
            v.constant = binder.array(v.constant)


def _microseconds(task: Task) -> float:
    return node_microseconds(task.choice.node) if task.choice else microseconds(0, [*task.reads, *task.writes])


def _lay_out(
    graph: Graph, target: Target, tasks: list[Task], outputs: dict[Value, Tensor]
) -> tuple[dict[Tensor, tuple[int, int]], int, list[tuple[int, Tensor]]]:
    """(base, offset) of every root tensor, the arena's size, and the outputs that must be copied at the end."""
    places: dict[Tensor, tuple[int, int]] = {}
    first: dict[Tensor, int] = {}
    last: dict[Tensor, int] = {}
    for i, task in enumerate(tasks):
        for tensor in (*task.reads.values(), *task.writes.values()):
            first.setdefault(tensor.root, i)
            last[tensor.root] = i
    for tensor in (*first, *(t.root for t in outputs.values())):
        if tensor.outside:
            places[tensor] = (FIRST_INPUT + graph.inputs.index(tensor.value), 0)
    copies: list[tuple[int, Tensor]] = []
    for i, v in enumerate(graph.outputs):
        if v.constant is not None:
            continue
        root = outputs[v].root
        if root not in places and _size(root, target) == _size(outputs[v], target):
            places[root] = (FIRST_INPUT + len(graph.inputs) + i, 0)
        else:
            last[root] = len(tasks)
            copies.append((i, outputs[v]))
    roots = [t for t in first if t not in places]
    lifetimes = [Lifetime(_size(t, target), first[t], last[t]) for t in roots]
    lifetimes += [Lifetime(task.workspace, i, i) for i, task in enumerate(tasks) if task.workspace]
    offsets, size = assign(lifetimes)
    for t, offset in zip(roots, offsets, strict=False):
        places[t] = (ARENA, offset)
    for task, offset in zip((t for t in tasks if t.workspace), offsets[len(roots) :], strict=True):
        task.place = (ARENA, offset)
    return places, size, copies


def _size(tensor: Tensor, target: Target) -> int:
    return memory(tensor, target.V).size


def _halo_steps(binder: Binder, root: Tensor) -> list[Step]:
    m, dst = memory(root, binder.target.V), reference_to(*binder.place(root))
    (*front, top, left), (*back, bottom, right) = halo_sides(root)
    lanes = m.pitch // (root.value.dims[-1] + left + right)
    steps = [
        binder.step(
            binder.kernels.halo, dst=dst, planes=m.size // 4 // m.plane, rows=m.rows, pitch=m.pitch,
            top=top, left=left * lanes, bottom=bottom, right=right * lanes,
        )
    ]  # fmt: skip
    if any((*front, *back)):  # planes of zeros, of which each is a row here
        steps.append(
            binder.step(
                binder.kernels.halo, dst=dst, planes=m.size // 4 // m.channel, rows=m.depth, pitch=m.plane,
                top=front[0], left=0, bottom=back[0], right=0,
            )
        )  # fmt: skip
    return steps


def _reorder_steps(binder: Binder, task: Task) -> list[Step]:
    (src,), (dst,) = task.reads.values(), task.writes.values()
    return reorder(binder, binder.view_of(src), binder.view_of(dst))


__all__ = ["Arenas", "Choice", "Entry", "Plan", "build"]
