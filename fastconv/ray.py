"""Ray Data: a network on every machine of a cluster. Thin over `Dataset.map_batches` with a pool of actors."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .batch_predictor import BatchPredictor
from .errors import FastconvError, InputError
from .predict.parts import Parts
from .predict.work import Work

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from ray.data import Dataset

    from .batch_predictor import Preprocess
    from .onnx_json import Source


def predict(
    dataset: Dataset,
    source: Source,
    *,
    column: str = "image",
    batch_size: int = 32,
    workers: int | None = None,
    cpus_per_worker: float = 1,
    preprocess: Preprocess | None = None,
) -> Dataset:
    """The answers of a network to every row of a dataset.

    Batches stream through a pool of actors, so that memory is bounded by the blocks under way. Each actor loads the model once.
    A model given as bytes or as parsed JSON is put once into Ray's object store; a path must be one that every node can read.
    An actor that dies is started again, and its batch is done again. The same row gives the same bits for any number of workers
    and any size of batches.

    Parameters
    ----------
    dataset : ray.data.Dataset
        Rows with the column.
    source : str, os.PathLike, bytes or mapping
        The model, as for `fastconv.load`.
    column : str
        The column with the model's only input, or with what `preprocess` makes it of.
    batch_size : int
        The rows of a batch; the last may have fewer.
    workers : int, optional
        The number of actors; default: as many as the cluster has CPUs for, started as they are needed.
    cpus_per_worker : float
        The CPUs that Ray reserves for an actor, which uses as many threads.
    preprocess : callable or str, optional
        As for `BatchPredictor`.

    Returns
    -------
    ray.data.Dataset
        The rows with a column for each output in place of `column`; lazy, as Ray's datasets are.

    Raises
    ------
    FastconvError
        If Ray is missing.
    InputError
        If an argument is no number of 1 or more.

    Examples
    --------
    >>> import fastconv, ray  # doctest: +SKIP
    >>> pictures = ray.data.read_images("pictures/", mode="RGB")  # doctest: +SKIP
    >>> answers = fastconv.ray.predict(pictures, "net.onnx", preprocess="imagenet")  # doctest: +SKIP
    >>> answers.write_parquet("answers")  # doctest: +SKIP
    """
    ray = _ray()
    for name, value in (("batch_size", batch_size), ("workers", workers), ("cpus_per_worker", cpus_per_worker)):
        if value is not None and not (isinstance(value, int | float) and value > 0):
            raise InputError(f"{name}: expected a number above 0, got {value!r}")
    given: Any = os.fspath(source) if isinstance(source, str | os.PathLike) else ray.put(source)
    return dataset.map_batches(
        _Columns,
        fn_constructor_args=(given, column, preprocess),
        batch_size=batch_size,
        batch_format="numpy",
        num_cpus=cpus_per_worker,
        compute=_pool(workers, cpus_per_worker),
    )


def answer_parts(
    work: Work, parts: Parts, missing: Iterable[int], workers: int | None
) -> Generator[tuple[int, pa.Table], None, None]:
    """The answers of the missing parts, as they are done: `predict.local.answer_parts` on Ray's cluster."""
    ray = _ray()
    # a row for a part, which its worker looks up in the list of all pictures: Ray keeps that once on each node
    rows = ray.data.from_items([{"part": i} for i in missing])
    answers = rows.map_batches(
        _Parts,
        fn_constructor_args=(ray.put((work, parts)),),
        batch_size=1,
        num_cpus=1,
        compute=_pool(workers, 1),
    )
    for batch in answers.iter_batches(batch_size=None, batch_format="numpy"):
        for i, table in zip(batch["part"], batch["answers"], strict=True):
            yield int(i), _from_bytes(table)


class _Columns:
    """The actor of `predict`."""

    def __init__(self, source: Any, column: str, preprocess: Preprocess | None):
        ray = _ray()
        source = ray.get(source) if isinstance(source, ray.ObjectRef) else source
        cpus = ray.get_runtime_context().get_assigned_resources().get("CPU", 1)
        self.column = column
        self.predictor = BatchPredictor(source, input=column, preprocess=preprocess, threads=max(1, int(cpus)))

    def __call__(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {name: values for name, values in batch.items() if name != self.column} | self.predictor(batch)


class _Parts:
    """The actor of `answer_parts`."""

    def __init__(self, shared: Any):
        self.work, self.parts = _ray().get(shared)

    def __call__(self, batch: Mapping[str, np.ndarray]) -> dict[str, Any]:
        return {"part": batch["part"], "answers": [_to_bytes(self.work.answers(self.parts[int(i)])) for i in batch["part"]]}


def _pool(workers: int | None, cpus: float) -> Any:
    """A pool of so many actors; by default it grows to what the cluster has CPUs for."""
    ray = _ray()
    if workers is not None:
        return ray.data.ActorPoolStrategy(size=workers)
    return ray.data.ActorPoolStrategy(min_size=1, max_size=max(1, int(ray.cluster_resources().get("CPU", 1) // cpus)))


def _to_bytes(table: pa.Table) -> bytes:
    from pyarrow import BufferOutputStream, ipc

    sink = BufferOutputStream()
    with ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _from_bytes(data: bytes) -> pa.Table:
    from pyarrow import ipc

    with ipc.open_stream(data) as reader:
        return reader.read_all()


def connect(address: str) -> None:
    """Connect to the cluster at an address; "" is RAY_ADDRESS's, or a new one on this machine."""
    _ray(address)


def _ray(address: str = "") -> Any:
    """The module ray, connected to a cluster: that of the caller's ray.init, else the one at the address."""
    try:
        import ray
        import ray.data
    except ImportError:
        raise FastconvError("clusters need the ray package: pip install 'fastconv[ray]'") from None
    if not ray.is_initialized():
        ray.init(address or None)
    return ray


__all__ = ["predict"]
