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
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"report_screenshot: needs one of {', '.join(BROWSERS)}; got none: install Chromium")
    with tempfile.TemporaryDirectory() as folder:
        if train.main(["--output", f"{folder}/first", "--quiet"]) != 0:
            sys.exit("report_screenshot: the training failed")
        page = (Path(folder) / "first" / run_folder.REPORT).as_uri()
        frames = Path(folder) / "frames.html"
        frames.write_text(FRAMES.format(page=page, wide=WIDE, narrow=NARROW, height=HEIGHT, gap=GAP))
        picture = Path(folder) / "report.png"
        window = f"--window-size={WIDE + GAP + NARROW},{HEIGHT}"
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", window]
        command = [browser, *options, f"--screenshot={picture}", frames.as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        with Image.open(picture) as image:
            image.convert("RGB").quantize(224, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
