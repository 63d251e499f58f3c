"""Binder: packs weights and makes the steps of a plan, with every size, stride and address settled before the first run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import _pack
from ..budget import DEFAULT, Budget
from ..graph import Node, Value
from ..threads import share_out
from ..weights import Weights, key_of
from .epilogue import activation_fields, epilogue_of
from .layout import ROW_MAJOR, Layout, geometry
from .packing import Job, Packing, Slabs
from .select import Target
from .tensors import Entry, Tensor
from .view import ABSOLUTE, FAULTS, NO_VIEW, View, address

if TYPE_CHECKING:
    from ..kernels import Kernels


class Step(NamedTuple):
    """One call of a compiled kernel, for pyx/executor.pyx."""

    #: the address of the kernel's function
    run: int
    #: its arguments: the bytes of the kernel's struct
    args: bytes
    #: how many pieces of it each thread has; 0: one thread runs it whole
    pieces: int
    #: how many it has if one thread runs it alone
    alone: int


@dataclass(frozen=True, eq=False)
class Packed:
    """Packed weights, which live as long as a plan has them. `sources` lives as long, so that no other array gets its key."""

    array: np.ndarray
    sources: tuple[np.ndarray | Weights | None, ...]


class Binder:
    """Gives an implementation the views of its operands, packs weights for it and makes its steps.

    `places` has the (base, offset) of every root tensor, `packed` the weights that other plans have packed. `entry` is what is
    being bound.
    """

    def __init__(
        self,
        target: Target,
        packed: MutableMapping[Any, Packed],
        places: Mapping[Tensor, tuple[int, int]],
        budget: Budget = DEFAULT,
    ):
        self.target = target
        self.kernels: Kernels = target.kernels
        self.entry: Entry | None = None
        #: what the plan must keep alive
        self.keep: list[Any] = []
        #: the node and the message of each fault
        self.faults: list[tuple[Node, str]] = []
        self._packed = packed
        self._places = places
        self._budget = budget
        self._made: dict[Any, Packed] = {}
        self._slabs = Slabs()
        self._jobs: list[tuple[Job, np.ndarray]] = []

    # ---- operands

    def tensor(self, value: Value) -> Tensor:
        """The tensor of an operand or a result of the entry."""
        assert self.entry is not None
        return self.entry.writes.get(value) or self.entry.reads[value]

    def view(self, value: Value) -> View:
        """The view of an operand or a result of the entry."""
        return self.view_of(self.tensor(value))

    def view_of(self, tensor: Tensor) -> View:
        """The view of a tensor."""
        root = tensor.root
        # a row-major tensor may be another shape of the same elements
        g = (tensor if tensor.layout == ROW_MAJOR else root).geometry
        start = g.start + tensor.channel // tensor.layout.block * g.c
        first = self.address_of(root) + tensor.itemsize * start
        return View(first, tensor.value.dims, tensor.layout, tensor.itemsize, g.n, g.c, g.h, g.w, g.d)

    def address_of(self, root: Tensor) -> int:
        """The address of a root tensor's memory, which begins with its halo."""
        return address(*self._places[root])

    def workspace(self) -> int:
        """The address of the entry's scratch memory."""
        assert self.entry is not None
        return address(*self.entry.workspace_place)

    def workspace_view(self, shape: tuple[int, ...], layout: Layout, itemsize: int = 4) -> View:
        """The view of a tensor without a halo that begins with the scratch memory."""
        g = geometry(shape, layout, itemsize)
        return View(self.workspace(), shape, layout, itemsize, g.n, g.c, g.h, g.w, g.d)

    def fault(self, node: Node, message: str) -> int:
        """The address at which a step reports a value that the node cannot compute with, see pyx/fault.pxd.

        The run then ends with a ModelError that names the node; `message` is formatted with the value.
        """
        self.faults.append((node, message))
        return address(FAULTS, 8 * (len(self.faults) - 1))

    # ---- constants

    def constant(self, array: np.ndarray) -> int:
        """The address of an array that lives as long as the plan."""
        self.keep.append(array)
        return address(ABSOLUTE, array.ctypes.data)

    def operand(self, value: Value) -> int:
        """The address of a row-major operand, which may be a constant."""
        if value.constant is None:
            return self.view(value).address
        return self.constant(np.ascontiguousarray(self.array(value.constant)))

    def table(self, offsets: Any) -> int:
        """The address of a table of int64."""
        return self.constant(np.ascontiguousarray(offsets, np.int64))

    def pack(
        self, kind: str, pack: Callable[..., np.ndarray | Packing], *arrays: np.ndarray | Weights | None, **options: Any
    ) -> int:
        """The address of what pack(*arrays, **options) makes, once for all plans of the model; `finish` fills it."""
        return address(ABSOLUTE, self._pack(kind, pack, *arrays, **options).ctypes.data)

    def array(self, constant: np.ndarray | Weights) -> np.ndarray:
        """A constant as an array, for a node that runs its reference."""
        return self._pack("array", np.asarray, constant) if isinstance(constant, Weights) else constant

    def _pack(self, kind: str, pack: Callable[..., Any], *arrays: np.ndarray | Weights | None, **options: Any) -> np.ndarray:
        key = (kind, self.target.V, *map(key_of, arrays), *sorted(options.items()))
        packed = self._packed.get(key) or self._made.get(key)
        if packed is None:
            made = pack(*arrays, **options)
            if isinstance(made, Packing):
                if why := self._budget.excess(made.size * made.dtype.itemsize):
                    assert self.entry is not None and self.entry.node is not None
                    raise self.entry.node.error(f"its packed weights take {why}")
                array = self._slabs.take(made.size, made.dtype)
                self._jobs += [(job, array) for job in made.jobs]
            else:
                array = made
            packed = self._made[key] = Packed(array, arrays)
        self.keep.append(packed)
        return packed.array

    def finish(self) -> None:
        """Run the packing jobs, on all threads; only then may other plans find the packed weights."""
        share_out([partial(job, array) for job, array in self._jobs], self.target.threads)
        if self._jobs:
            _pack.trim()  # the arrays that weights were read into
        self._packed.update(self._made)
        self._jobs, self._made = [], {}

    # ---- steps

    def step(self, kernel: ModuleType, **fields: Any) -> Step:
        """A step that runs `kernel` with these fields of its argument struct."""
        run, args = kernel.step(fields)
        return Step(run, args, pieces=1, alone=1)

    def epilogue(self, node: Node, part: Callable[[View], View] = lambda view: view) -> dict[str, Any]:
        """The fields of a kernel's store: the residual (of its view, `part`) and the activation."""
        residual, activation = epilogue_of(node)
        add = NO_VIEW if residual is None else part(self.view(residual))
        return {"act": activation_fields(activation), "has_add": residual is not None, "add": add.fields}

    def row_epilogue(self, node: Node) -> dict[str, Any]:
        """The same for a kernel that takes the address of the residual alone: it is row-major, as the result."""
        fields = self.epilogue(node)
        return fields | {"add": fields["add"]["address"]}
