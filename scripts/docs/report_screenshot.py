"""Take a screenshot of a run's report, wide and light beside narrow and dark: docs/images/report.png.

    python scripts/docs/report_screenshot.py [FILE]

It runs the train command without options, and needs Chromium or Chrome.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from fastdigits.commands import run_folder, train

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
WIDE, NARROW, HEIGHT, GAP = 1180, 390, 1500, 24  # pixels
# A frame sets the preferred colours of its page, and can be narrower than the least width of a window.
FRAMES = """<!DOCTYPE html><body style="margin:0;background:#8b949e;display:flex;gap:{gap}px">
<iframe src="{page}" style="border:0;width:{wide}px;height:{height}px;color-scheme:light" scrolling="no"></iframe>
<iframe src="{page}" style="border:0;width:{narrow}px;height:{height}px;color-scheme:dark" scrolling="no"></iframe>
"""


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2] / "docs/images/report.png"
    with tempfile.TemporaryDirectory() as folder:
        if train.main(["--output", f"{folder}/first", "--quiet"]) != 0:
            sys.exit("report_screenshot: the training failed")
        page = (Path(folder) / "first" / run_folder.REPORT).as_uri()
        frames = Path(folder) / "frames.html"
        frames.write_text(FRAMES.format(page=page, wide=WIDE, narrow=NARROW, height=HEIGHT, gap=GAP))
        take(frames, WIDE + GAP + NARROW, HEIGHT, path)


def take(page: Path, width: int, height: int, path: Path) -> None:
    """Write a picture of a page in a window of this size."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"a screenshot needs one of {', '.join(BROWSERS)}; got none: install Chromium")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "picture.png"
        command = [
            browser,
            *options,
            f"--window-size={width},{height}",
            f"--screenshot={picture}",
            page.as_uri(),
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        with Image.open(picture) as image:
            image.convert("RGB").quantize(224, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
