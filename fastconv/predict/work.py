"""What a worker does: the answers to some pictures, as a table of one row for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import fastconv

from ..batch_predictor import BatchPredictor
from ..errors import FastconvError
from .pictures import Picture

if TYPE_CHECKING:
    import pyarrow as pa


def arrow() -> Any:
    """The module pyarrow; FastconvError names the extra if it is missing."""
    try:
        import pyarrow as pa
    except ImportError:
        raise FastconvError("answers need the pyarrow package: pip install 'fastconv[predict]'") from None
    return pa


def schema(task: str) -> pa.Schema:
    """The columns of a task's answers: those of its `as_dict`, after the picture and its error."""
    pa = arrow()
    place = {"x": pa.float32(), "y": pa.float32()}
    named = {"name": pa.string(), "score": pa.float32()}

    def rows(**columns: Any) -> Any:
        return pa.list_(pa.struct(columns))

    answers = {
        "classify": {"classes": rows(index=pa.int64(), **named)},
        "detect": {"objects": rows(box=pa.list_(pa.float32()), index=pa.int64(), **named)},
        "segment": {"share": pa.float32()},
        "pose": {"keypoints": rows(**named, **place)},
        "embed": {"vector": pa.list_(pa.float32())},
    }
    return pa.schema({"picture": pa.string(), "error": pa.string(), **answers[task]})


class Work(NamedTuple):
    """A task on pictures, as workers get it: the model, loaded by each when it is first used, and the task's options."""

    predictor: BatchPredictor
    task: str
    options: Mapping[str, Any]

    def answers(self, pictures: Iterable[Picture]) -> pa.Table:
        """A row for each picture: its answer, or the error that it gave."""
        return self.table(self._row(picture) for picture in pictures)

    def failed(self, picture: Picture, error: str) -> pa.Table:
        """The row of a picture without an answer."""
        return self.table([{"picture": picture.name, "error": error}])

    def table(self, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
        """Rows as a table with the task's columns."""
        return arrow().Table.from_pylist(list(rows), schema=schema(self.task))

    def _row(self, picture: Picture) -> dict[str, Any]:
        model, decode = self.predictor.model, fastconv.vision.tasks.TASKS[self.task].decode
        row: dict[str, Any] = {"picture": picture.name, "error": None}
        try:
            return row | decode(model, picture.read(), **self.options).as_dict()
        except Exception as e:  # a picture's failure is its row; the model and the task were checked before
            return row | {"error": str(e) or type(e).__name__}


__all__ = ["Work", "arrow", "schema"]
