"""The calibration data, and runs of networks on it, one call at a time: memory holds the values of one call."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from ..errors import InputError
from ..graph import Graph
from ..inputs import input_arrays
from ..model import Model
from ..outputs import Outputs
from ..progress import Advance

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from ..model import Inputs

    class Calls(Protocol):
        """The inputs of each call, such as a list of them."""

        def __len__(self) -> int: ...
        def __iter__(self) -> Iterator[Inputs]: ...

    #: arrays of many inputs, one array or several by name; or the inputs of each call
    Data: TypeAlias = np.ndarray | Mapping[str, ArrayLike] | Calls


class Calibration:
    """The inputs of each call. Arrays of many inputs are cut into images, or into batches if the model fixes their size."""

    def __init__(self, model: Model, data: Data):
        self.options = {key: model._options[key] for key in ("threads", "accuracy")}
        self._names = [i.name for i in model.inputs]
        self._calls: Any = data
        self._size = 0
        if isinstance(data, np.ndarray | Mapping):
            self._calls = input_arrays(model.inputs, data)
            self._size = next((d for i in model.inputs if i.shape and isinstance(d := i.shape[0], int)), 1)
            self.count = min((len(a) // max(self._size, 1) if a.ndim else 0 for a in self._calls), default=0)
        elif hasattr(data, "__len__") and hasattr(data, "__iter__") and not isinstance(data, str | bytes):
            self.count = len(data)
        else:
            raise InputError(f"data: expected arrays, or a list of inputs, got {type(data).__name__}")
        if not self.count:
            raise InputError("data: expected at least one input, got none")

    def spread(self, count: int) -> Calibration:
        """Up to `count` of the calls, spread over all."""
        few, every = copy.copy(self), -(-self.count // count)
        few._calls, few._size = list(itertools.islice(self._inputs(), 0, None, every)), 0
        few.count = len(few._calls)
        return few

    def run(self, graph: Graph, names: Sequence[str], advance: Advance) -> Iterator[Outputs]:
        """The named values of a graph for each call; `advance` is called with the share of the work that was done."""
        model = Model(graph, **self.options)
        for inputs in self._inputs():
            yield model.run(inputs, names)
            advance(1 / self.count)

    def _inputs(self) -> Iterator[Inputs]:
        """The inputs of each call."""
        if not self._size:
            yield from self._calls
            return
        for i in range(self.count):
            rows = slice(i * self._size, (i + 1) * self._size)
            yield {name: a[rows] for name, a in zip(self._names, self._calls, strict=True)}
