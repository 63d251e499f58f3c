"""Which objects are where? Boxes around objects of COCO's 80 classes, by CenterNet.

    pip install 'fastconv[examples]'
    python examples/detect.py --models FOLDER [picture] -o detected.png

FOLDER (default: $FASTCONV_MODELS) has centernet_mbv3_coco_512_heads.onnx. Without a picture it takes scikit-image's coffee.
"""

import common

from fastconv import vision


def main(argv=None):
    parser = common.parser(__doc__, "detected.png")
    parser.add_argument("picture", nargs="?", help="a picture's file")
    args = parser.parse_args(argv)

    model = common.load(args.models, "centernet_mbv3_coco_512_heads")
    picture = common.picture(args.picture, "coffee")
    objects = vision.detect(model, picture, threshold=0.4, preprocess="raw")
    print(objects)  # name, score, left, top, right, bottom of each; also as arrays: objects.boxes
    vision.write(args.output, objects.draw(picture))


if __name__ == "__main__":
    main()
