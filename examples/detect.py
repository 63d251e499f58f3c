"""Which objects are where? Boxes around objects of COCO's 80 classes, by CenterNet.

    pip install 'fastconv[examples]'
    python examples/detect.py --models FOLDER [picture] -o detected.png

FOLDER (default: $FASTCONV_MODELS) has centernet_mbv3_coco_512_heads.onnx. Without a picture it takes scikit-image's coffee.
"""

import common
import numpy as np

from fastconv import vision

SIZE, STRIDE = 512, 4  # pixels of the input, and of the input for a cell of the outputs


def detect(model, picture, threshold=0.4):
    """(boxes, classes, scores) of the objects found, best first; boxes as x1, y1, x2, y2 in the picture's pixels."""
    canvas, placement = vision.letterbox(picture, SIZE)
    out = model(vision.to_nchw(canvas, scale=1))
    # an object is a peak in the heatmap of its class; "wh" has its extent there: left, up, right, down
    peaks = vision.peaks(out["heatmap"][0], threshold)
    x, y = STRIDE * peaks.columns, STRIDE * peaks.rows
    left, up, right, down = out["wh"][0][:, peaks.rows, peaks.columns]
    boxes = np.stack([x - left, y - up, x + right, y + down], axis=1)
    keep = vision.nms(boxes, peaks.scores, 0.5, peaks.channels)
    boxes = np.clip(placement.back(boxes[keep]), 0, [*picture.shape[1::-1]] * 2)
    return boxes, peaks.channels[keep], peaks.scores[keep]


def main(argv=None):
    parser = common.parser(__doc__, "detected.png")
    parser.add_argument("picture", nargs="?", help="a picture's file")
    args = parser.parse_args(argv)

    model = common.load(args.models, "centernet_mbv3_coco_512_heads")
    picture = common.picture(args.picture, "coffee")
    boxes, classes, scores = detect(model, picture)
    labels = [f"{vision.COCO_CLASSES[c]} {s:.0%}" for c, s in zip(classes, scores, strict=True)]
    for label, box in zip(labels, boxes, strict=True):
        print(f"{label:20}", *(f"{v:6.0f}" for v in box))
    vision.write(args.output, vision.draw_boxes(picture, boxes, labels, classes))


if __name__ == "__main__":
    main()
