"""Draw digits on the page of `fastdigits draw` in a real browser and take screenshots: phone, laptop, projector.

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
from typing import NamedTuple

from PIL import Image
from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.common.actions.action_builder import ActionBuilder

import fastdigits as fd

IMAGES = Path(__file__).parents[2] / "docs" / "images"
# Strokes of a pen, in hundredths of the pad's side
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
ONE = [[(42, 32), (52, 18), (52, 84)]]
W = [[(28, 25), (38, 80), (50, 40), (62, 80), (72, 25)]]


class Shot(NamedTuple):
    """A screenshot: the screen, its pixels per point, its colours, the strokes, and where the mouse clicks at last."""

    size: tuple[int, int]
    ratio: float
    scheme: str
    strokes: list[list[tuple[float, float]]]
    neuron: tuple[int, float, float] | None = None  # layer, and place from left and top


def number(*digits: list[list[tuple[int, int]]]) -> list[list[tuple[float, float]]]:
    """Return strokes of digits side by side."""
    size, pitch = 1 / (len(digits) + 0.2), 100 / (len(digits) + 0.4)
    middles = [50 + pitch * (place - (len(digits) - 1) / 2) for place in range(len(digits))]
    return [
        [(middle + 1.3 * size * (x - 50), 50 + 1.3 * size * (y - 50)) for x, y in stroke]
        for middle, digit in zip(middles, digits, strict=True)
        for stroke in digit
    ]


SHOTS = {
    "draw": Shot((1180, 830), 1.25, "light", number(THREE, ONE, SEVEN), (0, 0.5, 0.12)),
    "draw-dark": Shot((1180, 830), 1.25, "dark", SEVEN, (1, 0.41, 0.3)),
    "draw-phone": Shot((360, 640), 2, "light", number(ONE, SEVEN)),
    "draw-projector": Shot((1920, 1080), 1, "dark", number(W, THREE)),
}


@contextmanager
def browser(shot: Shot) -> Iterator[webdriver.Chrome]:
    """Yield a browser with the screen and the colours of a screenshot; close it at the end."""
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--hide-scrollbars"):
        options.add_argument(argument)
    options.binary_location = shutil.which("chromium")
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    width, height = shot.size
    metrics = {"width": width, "height": height, "deviceScaleFactor": shot.ratio, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": shot.scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    try:
        yield driver
    finally:
        driver.quit()


def rounded(points: list[tuple[float, float]], times: int = 2) -> list[tuple[float, float]]:
    """Cut the corners of a line several times: Chaikin (1974), An Algorithm for High Speed Curve Generation."""
    for _ in range(times):
        cut = [
            (a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]))
            for a, b in itertools.pairwise(points)
            for share in (0.25, 0.75)
        ]
        points = [points[0], *cut, points[-1]]
    return points


def draw(driver: webdriver.Chrome, strokes: list[list[tuple[float, float]]]) -> None:
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


def keep(driver: webdriver.Chrome, layer: int, right: float, down: float) -> None:
    """Click on a neuron, as a screenshot ends pointing."""
    grid = driver.find_elements("css selector", "#layers canvas")[layer]
    size = grid.size
    offset = int((right - 0.5) * size["width"]), int((down - 0.5) * size["height"])
    ActionChains(driver).move_to_element_with_offset(grid, *offset).click().perform()


def draw_inside(page: Path, folder: Path) -> None:
    """Draw a 7, keep its class, and take a picture of the lines that lead to it."""
    with browser(Shot((1366, 2200), 1, "light", SEVEN)) as driver:
        driver.get(page.as_uri())
        draw(driver, SEVEN)
        grid = driver.find_elements("css selector", "#layers canvas")[-1]
        classes = int(grid.get_attribute("aria-valuemax"))
        keep(driver, -1, 7.5 / classes, 0.5)
        driver.find_element("css selector", ".inside").screenshot(str(folder / "draw-inside.png"))


def draw_training(page: Path, folder: Path) -> None:
    """Teach a page a 7, train for 12 epochs, and take a picture of the panel."""
    with browser(Shot((1366, 2200), 1, "dark", SEVEN)) as driver:
        driver.get(page.as_uri())
        draw(driver, SEVEN)
        driver.find_elements("css selector", "#teach button")[7].click()
        # 12 epochs of 16 steps each
        driver.execute_script("for (let i = 0; i <= 192; i++) document.getElementById('step').click()")
        driver.find_element("css selector", ".train").screenshot(str(folder / "draw-train.png"))


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    with tempfile.TemporaryDirectory() as temporary:
        page = Path(temporary, "draw.html")
        fd.export_html(fd.load_pretrained(), page)
        for name, shot in SHOTS.items():
            with browser(shot) as driver:
                driver.get(page.as_uri())
                draw(driver, shot.strokes)
                if shot.neuron:
                    keep(driver, *shot.neuron)
                # wait for the animation of the bars
                driver.execute_async_script("setTimeout(arguments[0], 300)")
                driver.save_screenshot(str(folder / f"{name}.png"))
        draw_inside(page, folder)
        draw_training(page, folder)
    for name in (*SHOTS, "draw-inside", "draw-train"):  # 256 colours take a third of the bytes
        path = folder / f"{name}.png"
        Image.open(path).convert("RGB").quantize(256).save(path, optimize=True)


if __name__ == "__main__":
    main()
