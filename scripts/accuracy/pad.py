"""Measure how the page to draw on reads small drawings, and numbers whose digits are close. It needs node.

    python scripts/accuracy/pad.py                      # a minute
    python scripts/accuracy/pad.py --tune               # other seeds: for choosing the constants of strokes.js
    python scripts/accuracy/pad.py --set SHARED=0.5     # with another value of a constant

A digit is drawn in one of its usual forms, some of several strokes, with random slant, width and deviations.
"""

import argparse
import json
import re
import subprocess

import numpy as np
from own_pictures import STROKES, smooth

import fastdigits as fd
from fastdigits.export.html import PAGE

Strokes = list[np.ndarray]  # (points, 2) each, x and y; a digit is 1 high

# Forms of several strokes beside those of STROKES, in the same box: 1 wide and 1.5 high
FORMS = {
    "1": [[(0.2, 0.4), (0.5, 0), (0.5, 1.5)], [(0.1, 1.5), (0.9, 1.5)]],
    "4": [[(0.1, 0.1), (0.05, 0.85), (0.8, 0.85)], [(0.8, 0), (0.78, 1.5)]],
    "5": [[(0.2, 0.05), (0.15, 0.65), (0.6, 0.6), (0.95, 0.9), (0.85, 1.3), (0.5, 1.5), (0, 1.4)],
          [(0.2, 0.05), (0.95, 0)]],
    "8": [[(0.5, 0), (0.2, 0.3), (0.5, 0.7), (0.8, 0.3), (0.5, 0)],
          [(0.5, 0.7), (0.1, 1.1), (0.5, 1.5), (0.9, 1.1), (0.5, 0.7)]],
    "9": [[(0.85, 0.3), (0.55, 0), (0.15, 0.15), (0.1, 0.5), (0.4, 0.7), (0.8, 0.5), (0.85, 0.25)],
          [(0.88, 0.2), (0.85, 0.8), (0.8, 1.5)]],
}  # fmt: skip
SIZE = 0.2  # of a digit, relative to the pad
GAPS = (-0.1, -0.05, 0, 0.05, 0.1, 0.2, 0.3)  # between the boxes of two digits, relative to their height
PROGRAM = """
const drawings = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(drawings.map(([lines, pen]) => findDigits(lines.map((line) => {
  const points = line.map(([x, y]) => ({x: x * SIZE, y: y * SIZE, width: pen * SIZE}));
  return {points, box: around(points.map(({x, y}) => ({left: x, top: y, right: x, bottom: y})))};
})).map((digit) => [...toPixels(digit, 28)]))));
"""


def draw(digit: str, rng: np.random.Generator) -> Strokes:
    """Return the strokes of a digit, 1 high."""
    forms = [*STROKES[digit], *([FORMS[digit]] if digit in FORMS else [])]
    slant, width = rng.uniform(-0.2, 0.25), rng.uniform(0.6, 1.15)
    strokes = []
    for corners in forms[rng.integers(len(forms))]:
        points = np.array(corners) + rng.normal(0, 0.025, (len(corners), 2))
        points[:, 0] = points[:, 0] * width - slant * (points[:, 1] - 0.75)
        strokes.append(smooth(points)[::4] / 1.5)
    return strokes


def number(digits: str, gap: float, rng: np.random.Generator) -> Strokes:
    """Return the strokes of digits side by side, of slightly different heights, gaps and places."""
    strokes, right = [], 0.0
    for digit in digits:
        height = rng.uniform(0.85, 1)
        drawn = [height * stroke for stroke in draw(digit, rng)]
        left = right + (gap + rng.normal(0, 0.03) if strokes else 0)
        move = left - min(stroke[:, 0].min() for stroke in drawn), rng.normal(0, 0.04)
        strokes += [stroke + move for stroke in drawn]
        right = max(stroke[:, 0].max() for stroke in strokes)
    return strokes


def read(drawings: list[tuple[Strokes, float]], constants: dict[str, str]) -> list[str]:
    """Return what the page reads in drawings, each with the width of the pen relative to the pad."""
    source = "".join((PAGE / name).read_text("utf-8") for name in ("prepare.js", "strokes.js"))
    for name, value in constants.items():
        source, found = re.subn(rf"^const {name} = [\d.]+", f"const {name} = {value}", source, flags=re.M)
        if not found:
            raise SystemExit(f"--set: strokes.js must have the constant; got {name}")
    lines = [[[stroke.round(4).tolist() for stroke in strokes], pen] for strokes, pen in drawings]
    done = subprocess.run(
        ["node", "--eval", source + PROGRAM],
        input=json.dumps(lines),
        capture_output=True,
        text=True,
        check=True,
    )
    network = fd.load_pretrained()
    images = [np.array(found, np.uint8) for found in json.loads(done.stdout)]
    return ["".join(str(label) for label in network.predict(image)) for image in images]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tune", action="store_true", help="use other seeds")
    parser.add_argument(
        "--count", type=int, default=1000, metavar="N", help="drawings of a row (default: 1000)"
    )
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="of strokes.js")
    options = parser.parse_args()
    constants = dict(setting.split("=") for setting in options.set)

    def row(name: str, expected: list[str], drawings: list[tuple[Strokes, float]]) -> None:
        found = read(drawings, constants)
        right = sum(a == b for a, b in zip(found, expected, strict=True))
        print(f"| {name} | {right:,} of {len(expected):,} |", flush=True)

    print("| drawings | right |\n| --- | ---: |")
    rng = np.random.default_rng([22, options.tune])
    digits = [str(rng.integers(10)) for _ in range(options.count)]
    strokes = [[SIZE * stroke for stroke in draw(digit, rng)] for digit in digits]
    for pen in (0.03, 0.06, 0.09, 0.12):
        row(f"digits, {SIZE:.0%} of the pad, pen {pen:.0%}", digits, [(drawn, pen) for drawn in strokes])
    visible = 0.08 / SIZE / 2  # strokes.js takes twice the pen for a digit as large as the pad: USUAL is 0.5
    row("… drawn as the pad shows it with a pen of 8%", digits, [(drawn, visible) for drawn in strokes])
    for gap in GAPS:
        numbers = ["".join(map(str, rng.integers(10, size=rng.integers(2, 5)))) for _ in range(options.count)]
        drawings = [([SIZE * stroke for stroke in number(text, gap, rng)], 0.06) for text in numbers]
        row(f"numbers of 2 to 4 digits, {gap:.0%} of their height apart", numbers, drawings)


if __name__ == "__main__":
    main()
