"""The embedded model and its images; see README.md beside this file."""

from pathlib import Path

#: a LeNet for handwritten digits of 8x8 pixels, and the third of the images that it was not trained on
DIGITS = Path(__file__).with_name("digits.json")
DIGITS_IMAGES = Path(__file__).with_name("digits.npz")
