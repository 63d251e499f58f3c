"""The layers of a run as the page shows them: the entries of each stage's plan, then the stage's data-dependent nodes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from ..graph import Value
from ..model import Model
from ..plan import Plan, SplitPlan
from ..plan.stages import Stamp, reference_reason
from ..plan.tensors import Tensor
from ..summary import Layer, layer, layer_of
from .document import Memory, TenantPart

if TYPE_CHECKING:
    from ..model import Inputs


class RunLayers:
    """The layers of a run on these inputs, in order, what each reads, and the memory of their plans.

    `edges` is as in Document, `arena` the bytes of the largest plan's.
    """

    def __init__(self, model: Model, inputs: Inputs):
        self.layers: list[Layer] = []
        self.arena: int = 0
        self._tenants: list[TenantPart] = []
        #: as keys, without repetition
        self._edges: dict[tuple[int, int], None] = {}
        #: the number of the node that made a tensor last, or a value of this name; -1 and below for inputs
        self._makers: dict[Tensor | Value | str, int] = {t.name: ~i for i, t in enumerate(model.inputs)}
        self._add_stages(model, inputs)
        count = len(self.layers)
        for i, t in enumerate(model.outputs, count + len(model.inputs)):
            self._link(t.name, i)
        self.edges: list[tuple[int, int]] = [(count + ~a if a < 0 else a, b) for a, b in self._edges]

    def _add_stages(self, model: Model, inputs: Inputs) -> None:
        stages: list[tuple[Plan | SplitPlan, list[Stamp]]] = []

        def run(plan: Plan | SplitPlan, arrays: list[np.ndarray], outputs: list[np.ndarray]) -> list[Stamp]:
            stamps: list[Stamp] = []
            stages.append((plan, stamps))
            plan.run(arrays, outputs, model.threads)
            return stamps

        model._run_stages(inputs, run)
        for plan, stamps in stages:
            begin = len(self.layers)
            self.arena = max(self.arena, plan.arena_size)
            self._tenants += [
                TenantPart(t.name, t.offset, t.lifetime.size, begin + t.lifetime.first, begin + t.lifetime.last)
                for t in plan.tenants
            ]
            for entry in plan.entries:
                self._add(layer(entry), entry.reads.values(), entry.writes.values())
            for node, _, _ in stamps:
                self._add(layer_of(node, "reference", reason=reference_reason(node)), node.operands, node.results)

    def _add(self, layer: Layer, reads: Iterable[Tensor | Value], writes: Iterable[Tensor | Value]) -> None:
        number = len(self.layers)
        for x in reads:
            self._link(x if x in self._makers else _name(x), number)
        self.layers.append(layer)
        for x in writes:
            self._makers |= {x: number, _name(x): number}

    def _link(self, key: Tensor | Value | str, reader: int) -> None:
        """An edge from what made the key; a constant has no maker."""
        if key in self._makers:
            self._edges[self._makers[key], reader] = None

    @property
    def memory(self) -> Memory | None:
        """The arena, if anything lies in it."""
        return Memory(self.arena, tuple(self._tenants)) if self._tenants else None


def _name(x: Tensor | Value) -> str:
    return x.name if isinstance(x, Value) else x.value.name


__all__ = ["RunLayers"]
