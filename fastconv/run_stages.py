"""Running a graph stage by stage: the plan of a stage, then its data-dependent nodes, then the next stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .dtypes import is_sequence
from .outputs import copy_to_given, output_array
from .plan import Plan, SplitPlan
from .plan.stages import StageGraph, Stamp
from .plan_cache import PlanCache

#: Runs a plan on inputs, into outputs; for a profile it returns a list, which takes the times of the stage's other nodes.
Run = Callable[[Plan | SplitPlan, list[np.ndarray], list[np.ndarray]], list[Stamp] | None]


# This runs on every call, with cold caches: keep it short.
def run_stages(
    first: StageGraph,
    arrays: list[np.ndarray],
    out: Mapping[str, Any],
    plans: PlanCache,
    run: Run,
    check_shapes: Callable[[Sequence[tuple[int, ...]]], None],
) -> dict[str, Any]:
    """The outputs of a graph by name, for its inputs in order; those in `out` are computed into the arrays given.

    `check_shapes` sees the shapes of the inputs before the first stage is planned.
    """
    results: dict[str, Any] = {}
    stage_graph = first
    while True:
        key = stage_graph, stage_graph.key(arrays)
        planned = plans.find(key)
        if planned is None:
            if stage_graph is first:
                check_shapes(key[1][0])
            planned = plans.make(key)
        plan, stage = planned
        outputs = [output_array(v, out.get(v.name), arrays) for v in stage.graph.outputs]
        stamps = run(plan, arrays, outputs)
        if stage.complete:
            results.update(zip(stage_graph.names, outputs, strict=True))
            break
        values = stage.values(arrays, outputs, stamps)
        results.update((v.name, values[v]) for v in stage.outputs)
        if stage.rest is None:
            break
        stage_graph = stage.rest
        arrays = [values[v] for v in stage_graph.graph.inputs]
    copy_to_given(results, out)
    if stage_graph is first and stage.complete:
        return results
    return {v.name: list(results[v.name]) if is_sequence(v.dtype) else results[v.name] for v in first.graph.outputs}


__all__ = ["Run", "run_stages"]
