"""Which pixels are a person, or text? A person cut out of the picture, or boxes around the lines of text on a page.

    pip install 'fastconv[examples]'
    python examples/segment.py --models FOLDER [picture] -o segmented.png
    python examples/segment.py --models FOLDER --text [picture] -o segmented.png

FOLDER (default: $FASTCONV_MODELS) has selfie_segmentation_256_nchw.onnx, for text ppocrv4_det.onnx. Without a picture it takes
scikit-image's astronaut or page. Text also needs scikit-image to find connected regions.
"""

import common
import numpy as np

from fastconv import vision


def person(model, picture):
    """The probability that each pixel belongs to a person: H×W."""
    mask = model(vision.to_nchw(vision.resize(picture, 256)))
    return vision.resize(mask[0, 0], picture.shape[:2])


def text(model, picture, threshold=0.3):
    """(map, boxes): the probability that each pixel belongs to text, H×W, and a box around each connected region."""
    measure = common.skimage("measure")
    size = tuple(max(1, round(n / 32)) * 32 for n in picture.shape[:2])  # the network takes multiples of 32
    found = vision.resize(model(vision.to_nchw(vision.resize(picture, size), mean=0.5, std=0.5))[0, 0], picture.shape[:2])
    boxes = []
    for region in measure.regionprops(measure.label(found > threshold), found):
        if region.area > 10 and region.intensity_mean > 0.6:
            top, left, bottom, right = region.bbox
            more = 1.5 * region.area / region.perimeter  # it was trained on lines shrunk by about that
            boxes.append((left - more, top - more, right + more, bottom + more))
    return found, np.array(boxes).reshape(-1, 4)


def main(argv=None):
    parser = common.parser(__doc__, "segmented.png")
    parser.add_argument("picture", nargs="?", help="a picture's file")
    parser.add_argument("--text", action="store_true", help="look for text, not for a person")
    args = parser.parse_args(argv)

    if args.text:
        picture = common.picture(args.picture, "page")
        found, boxes = text(common.load(args.models, "ppocrv4_det"), picture)
        print(f"{len(boxes)} lines of text")
        shown = vision.draw_boxes(vision.draw_mask(picture, found, opacity=0.3), boxes, classes=[0] * len(boxes))
    else:
        picture = common.picture(args.picture, "astronaut")
        mask = person(common.load(args.models, "selfie_segmentation_256_nchw"), picture)
        print(f"a person on {(mask > 0.5).mean():.0%} of the picture")
        shown = vision.cut_out(picture, mask)
    vision.write(args.output, shown)


if __name__ == "__main__":
    main()
