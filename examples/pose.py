"""How does a person stand? The 17 keypoints of the body and the skeleton, by MoveNet.

    pip install 'fastconv[examples]'
    python examples/pose.py --models FOLDER [picture] -o posed.png

FOLDER (default: $FASTCONV_MODELS) has movenet_lightning_192_heads.onnx. Without a picture it takes scikit-image's astronaut.
"""

import common

from fastconv import vision


def main(argv=None):
    parser = common.parser(__doc__, "posed.png")
    parser.add_argument("picture", nargs="?", help="a picture's file")
    args = parser.parse_args(argv)

    model = common.load(args.models, "movenet_lightning_192_heads")
    picture = common.picture(args.picture, "astronaut")
    person = vision.pose(model, picture, threshold=0.3, preprocess="-1..1")
    print(person)  # name, x, y, score of each keypoint; also as arrays: person.points
    vision.write(args.output, person.draw(picture))


if __name__ == "__main__":
    main()
