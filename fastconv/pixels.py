"""Names about pictures: how networks take pixels, and how files end. It imports nothing: the command line's help lists them."""

from typing import NamedTuple

#: mean and standard deviation of ImageNet's pixels, R G B of 0..1, by which most networks trained on it expect their input
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Pixels(NamedTuple):
    """What a network takes for a pixel of 0..255: (pixel · scale − mean) / std, as B G R where `bgr`.

    A network with `margin` saw the middle of pictures in training: 7/8 of the shorter side.
    """

    scale: float = 1 / 255
    mean: float | tuple[float, float, float] = 0.0
    std: float | tuple[float, float, float] = 1.0
    bgr: bool = False
    margin: bool = False


PIXELS = {
    "imagenet": Pixels(mean=IMAGENET_MEAN, std=IMAGENET_STD, margin=True),
    "caffe": Pixels(scale=1, mean=(104, 117, 123), bgr=True, margin=True),
    "0..1": Pixels(),
    "-1..1": Pixels(scale=1 / 127.5, mean=1),
    "raw": Pixels(scale=1),
}

#: how the names of pictures end
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "PIXELS", "SUFFIXES", "Pixels"]
