"""The embedded model and its images; see README.md beside this file."""

from pathlib import Path

#: A LeNet for handwritten digits of 8×8 pixels.
DIGITS = Path(__file__).with_name("digits.json")
#: The third of the images that it was not trained on: `images` N×8×8, 0 to 16, and `labels` N.
DIGITS_IMAGES = Path(__file__).with_name("digits.npz")
