"""The picture of a report in docs/inspect.md: SqueezeNet and scikit-image's cat, in headless Chromium.

python docs/report.py --models FOLDER       # writes docs/report.png
"""

import argparse
import os
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright
from skimage.data import chelsea

import fastconv

TARGET = Path(__file__).with_name("report.png")
MODEL, LAYER = "squeezenet1_1_imagenet", "/f2/s/Conv"


def main():
    """Make the report and photograph it with a layer open."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    models = os.environ.get("FASTCONV_MODELS")
    parser.add_argument("--models", default=models, required=not models, metavar="FOLDER", help="the networks")
    args = parser.parse_args()

    model = fastconv.load(Path(args.models, f"{MODEL}.onnx"))
    report = fastconv.Report.of_picture(model, chelsea(), title="SqueezeNet 1.1")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        report.save(Path(folder, "report.html"))
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1120, "height": 640}, reduced_motion="reduce")
        page.goto(Path(folder, "report.html").as_uri())
        page.locator(f"button.layer[title^='{LAYER}:']").click()
        page.locator("#layers").evaluate("section => section.scrollIntoView()")
        page.screenshot(path=TARGET)
        browser.close()


if __name__ == "__main__":
    main()
