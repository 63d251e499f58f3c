"""BatchPredictor: a network as a function of columns, for frameworks that split work over many processes.

It knows none of them: Ray Data, Dask, Spark, joblib and multiprocessing all pickle a callable and give it arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import fastconv

from .errors import FastconvError, InputError, did_you_mean
from .graph import shape_text
from .onnx_json import Source
from .outputs import value_names
from .tensor_info import TensorInfo, quoted_names
from .threads import Locked

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .model import Accuracy, Model, WeightsType

    #: what is done to each row: a function, or a name for `vision.preprocess`, for rows that are pictures
    Preprocess = Callable[[np.ndarray], ArrayLike] | str


class BatchPredictor(Locked):
    """A network as a function of columns: a dict of arrays in, a dict of arrays out, a row of each for each example.

    It can be pickled, and loads its model in the process that calls it, at the first call. The answer to a row does not depend
    on the other rows of its batch, so that any split of the work gives the same bits.

    Parameters
    ----------
    source : str, os.PathLike, bytes or mapping
        The model, as for `fastconv.load`. A path must be one that the workers can read.
    input : str, or mapping of str to str, optional
        The column with the model's only input, or columns by the names of inputs. Default: the columns with the inputs' names;
        the only column, if there is one column and one input.
    outputs : str or sequence of str, optional
        Names of values of the graph, which become columns; default: the model's outputs.
    preprocess : callable or str, optional
        A function that makes an input's row, without a batch axis, of a column's row; or a name for `vision.preprocess`, for
        rows that are pictures, uint8 H×W×3. Default: the columns are the inputs.
    threads : int
        The most threads for a call; with a process for each core, 1.
    accuracy, weights : str
        As for `fastconv.load`.

    Raises
    ------
    InputError
        If `preprocess` is neither a function nor a known name; at a call, if a column or row does not fit: the message names
        it. The first call raises what `fastconv.load` raises.

    Examples
    --------
    >>> import fastconv, numpy as np, pickle
    >>> predict = fastconv.BatchPredictor(fastconv.data.DIGITS, preprocess=lambda row: row[None] / np.float32(16))
    >>> with np.load(fastconv.data.DIGITS_IMAGES) as file:
    ...     batch = {"image": file["images"][:3]}
    >>> predict(batch)["logits"].argmax(axis=1)
    array([6, 6, 6])
    """

    def __init__(
        self,
        source: Source,
        *,
        input: str | Mapping[str, str] | None = None,  # noqa: A002  # the word of the whole package
        outputs: str | Sequence[str] | None = None,
        preprocess: Preprocess | None = None,
        threads: int = 1,
        accuracy: Accuracy = "default",
        weights: WeightsType = "float32",
    ):
        if isinstance(preprocess, str):
            fastconv.vision.preprocessing.pixels_of(preprocess)  # for its error
        elif preprocess is not None and not callable(preprocess):
            raise InputError(f"preprocess: expected a function or a name, got {preprocess!r}")
        self._arguments: dict[str, Any] = {
            "source": source,
            "input": input,
            "outputs": outputs,
            "preprocess": preprocess,
            "threads": threads,
            "accuracy": accuracy,
            "weights": weights,
        }
        self._names = value_names(outputs)
        self._model: Model | None = None
        super().__init__()

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._arguments,)

    def __repr__(self) -> str:
        source = self._arguments["source"]
        return f"<fastconv.BatchPredictor of {source if isinstance(source, str) else type(source).__name__}>"

    @property
    def model(self) -> Model:
        """The model, loaded when it is first asked for."""
        with self._lock:
            if self._model is None:
                of_model = {name: self._arguments[name] for name in ("source", "threads", "accuracy", "weights")}
                self._model = fastconv.load(of_model.pop("source"), **of_model)
            return self._model

    def __call__(self, batch: Mapping[str, ArrayLike]) -> dict[str, np.ndarray]:
        """The network's outputs for a batch.

        Parameters
        ----------
        batch : mapping of str to array_like
            Columns of the same length, of any number of rows. Those that are no inputs are ignored.

        Returns
        -------
        dict of str to numpy.ndarray
            A column for each output, with a row for each row of the batch.

        Raises
        ------
        InputError
            If a column is missing, or a column or row does not fit.

        Examples
        --------
        >>> import fastconv, numpy as np
        >>> predict = fastconv.BatchPredictor(fastconv.data.DIGITS, outputs="logits")
        >>> predict({"image": np.zeros((5, 1, 8, 8), np.float32)})["logits"].shape
        (5, 10)
        """
        inputs = self.model.inputs
        columns = {i.name: c for i, c in zip(inputs, self._columns(batch), strict=True)}
        arrays = {i.name: self._rows(i, columns[i.name], batch[columns[i.name]]) for i in inputs}
        counts = {columns[name]: len(array) for name, array in arrays.items()}
        if len(set(counts.values())) > 1:
            raise InputError(f"columns of different lengths: {', '.join(f'{c!r} {n}' for c, n in counts.items())}")
        rows = next(iter(counts.values()))
        fixed = {i.shape[0] for i in inputs if i.shape and isinstance(i.shape[0], int)}
        size = fixed.pop() if len(fixed) == 1 else None
        starts = range(0, max(rows, 1), size or max(rows, 1))
        parts = [self._run({n: a[i : i + (size or rows)] for n, a in arrays.items()}, size) for i in starts]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _columns(self, batch: Mapping[str, ArrayLike]) -> list[str]:
        """The column of each input."""
        given, inputs = self._arguments["input"], self.model.inputs
        if not inputs:
            raise InputError("the model has no inputs")
        if isinstance(given, str):
            if len(inputs) > 1:
                raise InputError(f"input: expected a column for each input, as a mapping; the model has {quoted_names(inputs)}")
            columns = [given]
        elif given is not None:
            if missing := [i.name for i in inputs if i.name not in given]:
                raise InputError(f"input: no column for the model's input {missing[0]!r}")
            columns = [given[i.name] for i in inputs]
        else:
            columns = [i.name for i in inputs]
            if len(columns) == 1 and len(batch) == 1:
                columns = list(batch)
        for column in columns:
            if column not in batch:
                known = ", ".join(map(repr, batch)) or "none"
                raise InputError(f"no column {column!r}; the batch has {known}{did_you_mean(column, batch)}")
        return columns

    def _rows(self, model_input: TensorInfo, column: str, values: ArrayLike) -> np.ndarray:
        """A column as the model's input: preprocessed, and as one array."""
        preprocess = self._arguments["preprocess"]
        if preprocess is None and isinstance(values, np.ndarray) and values.dtype != object:
            return values
        if not isinstance(values, Sequence | np.ndarray):
            raise InputError(f"column {column!r}: expected an array or a list of rows, got {type(values).__name__}")
        arrays: list[np.ndarray] = []
        for i, row in enumerate(values):
            try:
                if isinstance(preprocess, str):
                    array = fastconv.vision.preprocess(row, model_input, preprocess)[0]
                else:
                    array = np.asarray(row if preprocess is None else preprocess(row))
            except Exception as e:
                kind = "" if isinstance(e, FastconvError) else f"{type(e).__name__}: "
                raise InputError(f"column {column!r}, row {i}: {kind}{e}") from e
            if arrays and (array.shape, array.dtype) != (arrays[0].shape, arrays[0].dtype):
                raise InputError(
                    f"column {column!r}, row {i}: expected {shape_text(arrays[0].shape)} {arrays[0].dtype} as row 0, "
                    f"got {shape_text(array.shape)} {array.dtype}"
                )
            arrays.append(array)
        if not arrays:  # of no rows only the input's own sizes are known
            shape = [d if isinstance(d, int) else 1 for d in (model_input.shape or ())[1:]]
            return np.zeros((0, *shape), model_input.dtype)
        return np.stack(arrays)

    def _run(self, arrays: Mapping[str, np.ndarray], size: int | None) -> dict[str, np.ndarray]:
        """The outputs for some rows. A model that takes `size` rows alone gets rows of zeros for those that are missing."""
        rows = wanted = len(next(iter(arrays.values())))
        if size is not None and rows < size:
            wanted = size
            arrays = {n: np.concatenate([a, np.zeros((size - rows, *a.shape[1:]), a.dtype)]) for n, a in arrays.items()}
        results = dict(self.model.run(arrays, outputs=self._names or None).items())
        for name, result in results.items():
            shape = result.shape if isinstance(result, np.ndarray) else ()
            if shape[:1] != (wanted,):
                raise InputError(f"output {name!r} has no row for each row of the batch: {shape_text(shape)} for {wanted} rows")
        return {name: result[:rows] for name, result in results.items()}


def _rebuild(arguments: dict[str, Any]) -> BatchPredictor:
    return BatchPredictor(**arguments)


__all__ = ["BatchPredictor"]
