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


def text_boxes(found, threshold=0.3):
    """A box around each connected region of the map `found`: n×4."""
    measure = common.skimage("measure")
    boxes = []
    for region in measure.regionprops(measure.label(found > threshold), found):
        if region.area > 10 and region.intensity_mean > 0.6:
            top, left, bottom, right = region.bbox
            more = 1.5 * region.area / region.perimeter  # it was trained on lines shrunk by about that
            boxes.append((left - more, top - more, right + more, bottom + more))
    return np.array(boxes).reshape(-1, 4)


def main(argv=None):
    parser = common.parser(__doc__, "segmented.png")
    parser.add_argument("picture", nargs="?", help="a picture's file")
    parser.add_argument("--text", action="store_true", help="look for text, not for a person")
    args = parser.parse_args(argv)

    if args.text:
        picture = common.picture(args.picture, "page")
        text = vision.segment(common.load(args.models, "ppocrv4_det"), picture, preprocess="-1..1")
        boxes = text_boxes(text.mask)
        print(f"{len(boxes)} lines of text")
        shown = vision.draw_boxes(vision.draw_mask(picture, text.mask, opacity=0.3), boxes, classes=[0] * len(boxes))
    else:
        picture = common.picture(args.picture, "astronaut")
        person = vision.segment(common.load(args.models, "selfie_segmentation_256_nchw"), picture, preprocess="0..1")
        print(f"a person on {person.share:.0%} of the picture")
        shown = person.draw(picture)
    vision.write(args.output, shown)


if __name__ == "__main__":
    main()
