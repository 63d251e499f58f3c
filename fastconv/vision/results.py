"""Results of tasks: what a network says about a picture, as lines of text, a drawing, and a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..shown import Shown
from .draw import cut_out, draw_boxes, draw_keypoints, draw_scores
from .labels import COCO_KEYPOINTS, COCO_SKELETON
from .pictures import resize

#: the least width of a picture with names below
LEAST = 240


class Answer(Shown):
    """What a network says about a picture: lines of text, a drawing, a document."""

    def lines(self) -> list[str]:
        """The answer in lines of text."""
        raise NotImplementedError

    def brief(self) -> str:
        """The answer in a few words."""
        raise NotImplementedError

    def draw(self, picture: np.ndarray) -> np.ndarray:
        """A new picture that shows the answer."""
        raise NotImplementedError

    def as_dict(self) -> dict[str, object]:
        """The answer as values that `json.dumps` takes."""
        raise NotImplementedError

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays of the answer by name."""
        return {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}

    def __str__(self) -> str:
        return "\n".join(self.lines())


@dataclass(frozen=True, repr=False)
class Classification(Answer):
    """The most likely classes, best first: their numbers, probabilities and names.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.vision.results import Classification
    >>> answer = Classification(np.array([281, 285]), np.float32([0.7, 0.2]), ["tabby", "Egyptian cat"])
    >>> answer
     70.0%  tabby
     20.0%  Egyptian cat
    >>> answer.draw(np.zeros((240, 320, 3), np.uint8)).shape
    (278, 320, 3)
    """

    indices: np.ndarray
    scores: np.ndarray
    names: Sequence[str]

    def lines(self) -> list[str]:
        """A line for each class: probability and name."""
        return [f"{score:6.1%}  {name}" for score, name in zip(self.scores, self.names, strict=True)]

    def brief(self) -> str:
        """The classes in one line."""
        return ", ".join(f"{name} {score:.1%}" for score, name in zip(self.scores, self.names, strict=True))

    def draw(self, picture: np.ndarray) -> np.ndarray:
        """The picture with a bar below for each class; a small one is enlarged, so that names can be read."""
        zoom = -(-LEAST // picture.shape[1])
        return draw_scores(picture.repeat(zoom, axis=0).repeat(zoom, axis=1), self.names, self.scores)

    def as_dict(self) -> dict[str, object]:
        """The classes, of each `index`, `name`, `score`."""
        each = zip(self.indices.tolist(), self.names, self.scores.tolist(), strict=True)
        return {"classes": [{"index": i, "name": name, "score": score} for i, name, score in each]}


@dataclass(frozen=True, repr=False)
class Detections(Answer):
    """Objects, best first: boxes n×4 in the picture's pixels, their classes' numbers, scores, and classes' names.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.vision.results import Detections
    >>> Detections(np.array([[10, 20, 110, 220]]), np.array([41]), np.float32([0.8]), ["cup"])
    cup 80%                  10     20    110    220
    """

    boxes: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    names: Sequence[str]

    def _labels(self) -> list[str]:
        return [f"{name} {score:.0%}" for name, score in zip(self.names, self.scores, strict=True)]

    def lines(self) -> list[str]:
        """A line for each object: name, score, box."""
        each = zip(self._labels(), self.boxes, strict=True)
        return [f"{label:20}" + "".join(f" {v:6.0f}" for v in box) for label, box in each] or ["nothing found"]

    def brief(self) -> str:
        """The objects in one line."""
        return ", ".join(self._labels()) or "nothing found"

    def draw(self, picture: np.ndarray) -> np.ndarray:
        """The picture with labelled boxes."""
        return draw_boxes(picture, self.boxes, self._labels(), self.classes)

    def as_dict(self) -> dict[str, object]:
        """The objects, of each `box`, `index`, `name`, `score`."""
        each = zip(self.boxes.tolist(), self.classes.tolist(), self.names, self.scores.tolist(), strict=True)
        return {"objects": [{"box": box, "index": i, "name": name, "score": score} for box, i, name, score in each]}


@dataclass(frozen=True, repr=False)
class Segmentation(Answer):
    """The probability that each pixel of the picture belongs to what the network looks for: `mask`, H×W.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.vision.results import Segmentation
    >>> Segmentation(np.float32([[0.9, 0.8], [0.7, 0.1]]))
    75% of the picture
    """

    mask: np.ndarray

    @property
    def share(self) -> float:
        """The share of pixels that more likely belong to it than not."""
        return float((self.mask > 0.5).mean())

    def lines(self) -> list[str]:
        """How much of the picture it is."""
        return [self.brief()]

    def brief(self) -> str:
        """How much of the picture it is."""
        return f"{self.share:.0%} of the picture"

    def draw(self, picture: np.ndarray) -> np.ndarray:
        """The picture, cut out by the mask, on white."""
        return cut_out(picture, self.mask)

    def as_dict(self) -> dict[str, object]:
        """The `share` of the picture."""
        return {"share": self.share}


@dataclass(frozen=True, repr=False)
class Pose(Answer):
    """COCO's 17 keypoints of a person: x, y in the picture's pixels, 17×2, and their scores.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.vision.results import Pose
    >>> scores = np.array([0.9, 0.8] + [0.0] * 15)
    >>> Pose(np.arange(34).reshape(17, 2), scores)
    nose                 0      1  90%
    left eye             2      3  80%
    """

    points: np.ndarray
    scores: np.ndarray
    #: keypoints that score less are not shown
    threshold: float = 0.3

    def _seen(self) -> list[tuple[str, list[float], float]]:
        each = zip(COCO_KEYPOINTS, self.points.tolist(), self.scores.tolist(), strict=True)
        return [(name, point, score) for name, point, score in each if score >= self.threshold]

    def lines(self) -> list[str]:
        """A line for each keypoint seen: name, x, y, score."""
        return [f"{name:15} {x:6.0f} {y:6.0f}  {score:.0%}" for name, (x, y), score in self._seen()] or ["nobody found"]

    def brief(self) -> str:
        """How many keypoints are seen."""
        return f"{len(self._seen())} of {len(COCO_KEYPOINTS)} keypoints"

    def draw(self, picture: np.ndarray) -> np.ndarray:
        """The picture with the skeleton."""
        return draw_keypoints(picture, self.points, COCO_SKELETON, self.scores, self.threshold)

    def as_dict(self) -> dict[str, object]:
        """The keypoints seen, of each `name`, `x`, `y`, `score`."""
        return {"keypoints": [{"name": name, "x": x, "y": y, "score": score} for name, (x, y), score in self._seen()]}


@dataclass(frozen=True, repr=False)
class Embedding(Answer):
    """The vector that stands for the picture: pictures that look alike have vectors of like directions.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.vision.results import Embedding
    >>> Embedding(np.float32([3, 4]))
    2 numbers, norm 5: 3 4
    """

    vector: np.ndarray

    def lines(self) -> list[str]:
        """Size, norm and the first numbers."""
        return [self.brief()]

    def brief(self) -> str:
        """Size, norm and the first numbers."""
        first = " ".join(f"{v:.3g}" for v in self.vector[:4]) + (" ..." if self.vector.size > 4 else "")
        return f"{self.vector.size} numbers, norm {np.linalg.norm(self.vector):.4g}: {first}"

    def draw(self, picture: np.ndarray) -> np.ndarray:
        """The picture with a stripe below for each number, the darker the larger."""
        h, w = picture.shape[:2]
        low, high = np.quantile(self.vector, (0, 0.99))
        share = np.clip((self.vector - low) / max(high - low, np.finfo(np.float32).tiny), 0, 1)
        grey = np.rint(255 * (1 - share)).astype(np.uint8)
        stripes = resize(grey[None], (max(16, h // 10), w))
        return np.concatenate([picture, np.repeat(stripes[..., None], 3, axis=2)])

    def as_dict(self) -> dict[str, object]:
        """The `vector`."""
        return {"vector": self.vector.tolist()}


__all__ = ["Answer", "Classification", "Detections", "Embedding", "Pose", "Segmentation"]
