"""The plans of a model: each is made when a call needs it, and the ones used last are kept."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from typing import Any

from .errors import ModelError, SlowPathWarning, warn
from .implementations import IMPLEMENTATIONS
from .kernels import Kernels
from .plan import Arenas, Plan, SplitPlan, Target, build_batch
from .plan.binder import Packed
from .plan.slow_path import SlowLayer, slow_layers, warning
from .plan.stages import Stage, StageGraph, StageKey, split
from .specialise import naming_shapes, specialise
from .threads import Locked

#: The most plans that are kept.
MOST_PLANS = 16

#: A graph, and the shapes of its inputs with the elements of those that control the computation.
PlanKey = tuple[StageGraph, StageKey]
#: The first stage of a graph for one key, and its plan.
Planned = tuple[Plan | SplitPlan, Stage]


class PlanCache(Locked):
    """The plans that a model has made, at most MOST_PLANS, and the packed weights and arenas that they share."""

    def __init__(self, kernels: Kernels, threads: int, accuracy: str, weights: str = "float32"):
        self._kernels = kernels
        self._threads = threads
        self._accuracy = accuracy
        self._weights = weights
        self._plans: OrderedDict[PlanKey, Planned] = OrderedDict()
        self._slow: list[SlowLayer] = []
        self._warned = False
        self.arenas: Arenas = Arenas()
        self.packed: weakref.WeakValueDictionary[Any, Packed] = weakref.WeakValueDictionary()
        super().__init__()

    def _unlock(self) -> None:
        super()._unlock()
        self._planning = threading.Lock()

    def __len__(self) -> int:
        return len(self._plans)

    def find(self, key: PlanKey) -> Planned | None:
        """The plan for a key, if it was made and is still kept."""
        with self._lock:
            if found := self._plans.get(key):
                self._plans.move_to_end(key)
            return found

    def make(self, key: PlanKey) -> Planned:
        """Make the plan for a key; InputError if the graph does not take the shapes."""
        with self._planning:  # threads that ask for one plan pack its weights once; calls that have a plan go on
            if found := self.find(key):
                return found
            stage_graph, (shapes, elements) = key
            stage = split(specialise(stage_graph.graph, shapes, elements, accuracy=self._accuracy))
            target = Target(IMPLEMENTATIONS, self._kernels, self._threads, self._accuracy, weights=self._weights)
            budget = stage.graph.budget
            with budget.scope():
                plan = build_batch(stage.graph, target, self.packed, self.arenas)
            with naming_shapes(stage_graph.graph, shapes):
                if why := budget.excess(plan.arena_size):
                    largest = max(plan.tenants, key=lambda tenant: tenant.lifetime.size)
                    raise ModelError(f"the arena, in which {largest.name!r} is the largest tensor, takes {why}")
            made = plan, stage
            self._slow += slow_layers(*made)
            with self._lock:
                self._plans[key] = made
                if len(self._plans) > MOST_PLANS:
                    self._plans.popitem(last=False)
                    self.arenas.clear()  # they may be larger than the remaining plans need
        if stage.rest is None:
            self.warn_if_slow()
        return made

    def warn_if_slow(self) -> None:
        """Warn, once for a model, if the stages planned since the last call of this run slow layers by reference."""
        layers, self._slow = list(dict.fromkeys(self._slow)), []
        if not self._warned and (text := warning(layers)) is not None:
            self._warned = True
            warn(text, SlowPathWarning)


__all__ = ["MOST_PLANS", "PlanCache", "PlanKey", "Planned"]
