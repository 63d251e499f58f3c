"""Graph → Plan, for one machine and one set of input shapes.

`select` chooses implementations, `tensors` inserts reorders between layouts, `arena` places tensors in memory, `binder` packs
weights and makes the steps, `plan` puts them together. `stages` and `batch` decide which part of a graph, and how many images
of a batch, a plan is for. `cost` has every estimate that they decide by.
"""

from .batch import SplitPlan, build_batch
from .plan import Arenas, Plan, build
from .select import Target

__all__ = ["Arenas", "Plan", "SplitPlan", "Target", "build", "build_batch"]
