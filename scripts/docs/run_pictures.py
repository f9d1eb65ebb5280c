"""Train without options and keep two pictures of the run: docs/images/predictions.png and curves.png.

    python scripts/docs/run_pictures.py [FOLDER]

The curves show the speed, so take them on a quiet machine.
"""

import sys
import tempfile
from pathlib import Path

from PIL import Image

from fastdigits.commands import train

IMAGES = Path(__file__).parents[2] / "docs" / "images"
PICTURES = {"predictions_right.png": "predictions.png", "curves.png": "curves.png"}


def main() -> None:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    with tempfile.TemporaryDirectory() as folder:
        if train.main(["--output", f"{folder}/run", "--quiet"]) != 0:
            sys.exit("run_pictures: the training failed")
        for name, kept in PICTURES.items():
            with Image.open(Path(folder, "run", name)) as picture:
                picture.save(target / kept, optimize=True)


if __name__ == "__main__":
    main()
