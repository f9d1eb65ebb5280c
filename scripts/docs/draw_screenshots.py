"""Draw on the page of `fastdigits draw` in a real browser and take pictures: light, dark, and on a phone.

pip install selenium; Debian: apt-get install chromium chromium-driver
python scripts/docs/draw_screenshots.py [FOLDER]
"""

import itertools
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.common.actions.action_builder import ActionBuilder

import fastdigits as fd

IMAGES = Path(__file__).parents[2] / "docs" / "images"
# Digits as strokes of a pen, in hundredths of the pad
THREE = [
    [
        (32, 27),
        (42, 18),
        (56, 18),
        (66, 28),
        (63, 41),
        (48, 48),
        (62, 52),
        (70, 65),
        (64, 79),
        (48, 84),
        (32, 76),
    ]
]
SEVEN = [
    [(28, 22), (50, 22), (72, 20), (64, 36), (56, 52), (50, 68), (46, 84)],
    [(38, 52), (52, 51), (66, 50)],
]
FOUR = [
    [(44, 16), (38, 32), (30, 50), (30, 56), (48, 57), (74, 55)],
    [(62, 20), (60, 45), (58, 66), (56, 86)],
]
# name: width, height, pixels a point, colours, strokes, and what to point at: a layer, and where from left and top
SHOTS = {
    "draw": (1180, 830, 1.25, "light", THREE, (0, 0.78, 0.12)),
    "draw-dark": (1180, 830, 1.25, "dark", SEVEN, (1, 0.41, 0.3)),
    "draw-phone": (360, 640, 2, "light", FOUR, None),
    "draw-phone-dark": (360, 640, 2, "dark", FOUR, None),
}


@contextmanager
def browser(width: int, height: int, ratio: float, scheme: str) -> Iterator[webdriver.Chrome]:
    """Give a browser whose page has this size, and colours "light" or "dark"."""
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--hide-scrollbars"):
        options.add_argument(argument)
    options.binary_location = shutil.which("chromium")
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    metrics = {"width": width, "height": height, "deviceScaleFactor": ratio, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    try:
        yield driver
    finally:
        driver.quit()


def rounded(points: list[tuple[float, float]], times: int = 2) -> list[tuple[float, float]]:
    """Cut the corners of a line, over and over: Chaikin (1974), An Algorithm for High Speed Curve Generation."""
    for _ in range(times):
        cut = [
            (a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]))
            for a, b in itertools.pairwise(points)
            for share in (0.25, 0.75)
        ]
        points = [points[0], *cut, points[-1]]
    return points


def draw(driver: webdriver.Chrome, strokes: list[list[tuple[int, int]]]) -> None:
    """Draw strokes with the mouse."""
    pad = driver.find_element("id", "pad")
    for stroke in strokes:
        actions = ActionBuilder(driver, duration=5)
        for i, (x, y) in enumerate(rounded(stroke)):
            place = [int((at / 100 - 0.5) * pad.size["width"]) for at in (x, y)]
            actions.pointer_action.move_to(pad, *place)
            if i == 0:
                actions.pointer_action.pointer_down()
        actions.pointer_action.pointer_up()
        actions.perform()


def hover(driver: webdriver.Chrome, layer: int, right: float, down: float) -> None:
    """Point at a neuron."""
    grid = driver.find_elements("css selector", "#layers canvas")[layer]
    size = grid.size
    offset = int((right - 0.5) * size["width"]), int((down - 0.5) * size["height"])
    ActionChains(driver).move_to_element_with_offset(grid, *offset).perform()


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    with tempfile.TemporaryDirectory() as temporary:
        page = Path(temporary, "draw.html")
        fd.export_html(fd.load_pretrained(), page)
        for name, (width, height, ratio, scheme, strokes, pointed) in SHOTS.items():
            with browser(width, height, ratio, scheme) as driver:
                driver.get(page.as_uri())
                draw(driver, strokes)
                if pointed:
                    hover(driver, *pointed)
                driver.execute_async_script("setTimeout(arguments[0], 300)")  # bars take a moment to grow
                driver.save_screenshot(str(folder / f"{name}.png"))


if __name__ == "__main__":
    main()
