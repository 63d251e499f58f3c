"""How does a person stand? The 17 keypoints of the body and the skeleton, by MoveNet.

    pip install 'fastconv[examples]'
    python examples/pose.py --models FOLDER [picture] -o posed.png

FOLDER (default: $FASTCONV_MODELS) has movenet_lightning_192_heads.onnx. Without a picture it takes scikit-image's astronaut.
"""

import common
import numpy as np

from fastconv import vision

SIZE, STRIDE = 192, 4  # pixels of the input, and of the input for a cell of the outputs
THRESHOLD = 0.3


def pose(model, picture):
    """(points, scores) of the 17 keypoints of the person nearest to the middle; points as x, y in the picture's pixels."""
    canvas, placement = vision.letterbox(picture, SIZE)
    out = model(vision.to_nchw(canvas, mean=1, scale=1 / 127.5))  # -1 to 1
    heat = out["heatmap"][0]
    cells = np.stack(np.indices(heat.shape[1:]), axis=-1)  # row, column of each cell

    def best(heat, y, x):
        """The cell with the most heat, weighted by its distance from y, x."""
        near = heat / (1.8 + np.hypot(*(cells - (y, x)).transpose(2, 0, 1)))
        return np.unravel_index(near.argmax(), near.shape)

    # the person's centre gives a rough place for each keypoint, the heatmap its cell, the offsets a fraction of a cell
    middle = best(out["center"][0, 0], *(n / 2 for n in heat.shape[1:]))
    rough = out["regress"][0].reshape(17, 2, *heat.shape[1:])[:, :, *middle] + middle
    places = [best(h, *yx) for h, yx in zip(heat, rough, strict=True)]
    offsets = out["offset"][0].reshape(17, 2, *heat.shape[1:])
    yx = np.array([offsets[k, :, *p] + p for k, p in enumerate(places)])
    return placement.back(STRIDE * yx[:, ::-1]), np.array([heat[k, *p] for k, p in enumerate(places)])


def main(argv=None):
    parser = common.parser(__doc__, "posed.png")
    parser.add_argument("picture", nargs="?", help="a picture's file")
    args = parser.parse_args(argv)

    model = common.load(args.models, "movenet_lightning_192_heads")
    picture = common.picture(args.picture, "astronaut")
    points, scores = pose(model, picture)
    for name, (x, y), score in zip(vision.COCO_KEYPOINTS, points, scores, strict=True):
        if score >= THRESHOLD:
            print(f"{name:15} {x:6.0f} {y:6.0f}  {score:.0%}")
    vision.write(args.output, vision.draw_keypoints(picture, points, vision.COCO_SKELETON, scores, THRESHOLD))


if __name__ == "__main__":
    main()
