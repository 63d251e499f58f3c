"""What is in a picture? The five most likely of ImageNet's 1000 classes.

    pip install 'fastconv[examples]'
    python examples/classify.py --models FOLDER [picture] -o classified.png

FOLDER (default: $FASTCONV_MODELS) has mobilenet_v2_imagenet.onnx. Without a picture it takes scikit-image's cat.
"""

import common

from fastconv import vision


def main(argv=None):
    parser = common.parser(__doc__, "classified.png")
    parser.add_argument("picture", nargs="?", help="a picture's file")
    args = parser.parse_args(argv)

    model = common.load(args.models, "mobilenet_v2_imagenet")
    picture = common.picture(args.picture, "chelsea")
    classes = vision.classify(model, picture, top=5, preprocess="imagenet")
    print(classes)
    vision.write(args.output, classes.draw(picture))


if __name__ == "__main__":
    main()
