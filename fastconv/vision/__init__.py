"""Pre- and postprocessing for vision networks: tasks, inputs from pictures, boxes and scores from outputs, drawings.

A task takes a network and a picture::

    from fastconv import vision

    picture = vision.read("street.jpg")                        # uint8, H×W×3
    found = vision.detect(model, picture)                      # or classify, segment, pose, embed
    print(found)
    vision.write("found.png", found.draw(picture))

The network must have the outputs that the task's docstring names. For others there are the parts of tasks::

    canvas, placement = vision.letterbox(picture, 512)
    boxes, scores = model(vision.to_nchw(canvas))              # float32, 1×3×512×512
    keep = vision.nms(boxes[0], scores[0])
    vision.write("found.png", vision.draw_boxes(picture, placement.back(boxes[0][keep])))

Computing needs NumPy alone; files, resizing and drawing need Pillow: `pip install 'fastconv[vision]'`. `examples/` has a whole
program for each task. Wrong arguments raise InputError.
"""

from ..pixels import IMAGENET_MEAN, IMAGENET_STD
from . import tasks
from .answers import Peaks, cosine, iou, nearest, nms, peaks, softmax, top_k
from .draw import colour, cut_out, draw_boxes, draw_keypoints, draw_mask, draw_scores, tiles
from .labels import COCO_CLASSES, COCO_KEYPOINTS, COCO_SKELETON, IMAGENET_CLASSES
from .pictures import Placement, crop, letterbox, read, resize, to_nchw, write
from .preprocessing import fit, picture_input, preprocess
from .tasks import classify, detect, embed, guess_preprocess, labels_of, pose, possible_tasks, segment

__all__ = [
    "COCO_CLASSES",
    "COCO_KEYPOINTS",
    "COCO_SKELETON",
    "IMAGENET_CLASSES",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "Peaks",
    "Placement",
    "classify",
    "colour",
    "cosine",
    "crop",
    "cut_out",
    "detect",
    "draw_boxes",
    "draw_keypoints",
    "draw_mask",
    "draw_scores",
    "embed",
    "fit",
    "guess_preprocess",
    "iou",
    "labels_of",
    "letterbox",
    "nearest",
    "nms",
    "peaks",
    "picture_input",
    "pose",
    "possible_tasks",
    "preprocess",
    "read",
    "resize",
    "segment",
    "softmax",
    "tasks",
    "tiles",
    "to_nchw",
    "top_k",
    "write",
]
