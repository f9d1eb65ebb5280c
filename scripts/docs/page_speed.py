"""Measure the page of `fastdigits draw` in a real browser: its size, and how fast it trains and shows the lines.

pip install selenium; Debian: apt-get install chromium chromium-driver
python scripts/docs/page_speed.py
"""

import shutil
import tempfile
from pathlib import Path

from selenium import webdriver

import fastdigits as fd
from fastdigits import recipes

BATCH, STEPS, ROUNDS = 32, 15, 5
# Milliseconds of a call, the least of several rounds; the first ones compile the functions.
MEASURE = """
const [batch, steps, rounds] = arguments;
const images = batch * steps, random = () => Math.random();
const pixels = Uint8Array.from({length: images * 784}, () => random() < 0.19 ? 256 * random() : 0); // as in MNIST
const labels = Array.from({length: images}, (_, i) => i % 10);
const options = {optimizer: "Adam", lr: 0.001, batchSize: batch};
const least = (call) => Math.min(...Array.from({length: rounds}, () => {
  const start = performance.now();
  call();
  return performance.now() - start;
}));
const image = pixels.subarray(0, 784);
return [least(() => fastdigits.train(pixels, labels, options)),
  least(() => [0, 1, 2].forEach((layer) => fastdigits.lines(image, layer, 30, 7)))];
"""


def main() -> None:
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox"):
        options.add_argument(argument)
    options.binary_location = shutil.which("chromium")
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    networks = {
        "784-64-32-10, with batch normalisation": recipes.ORIGINAL.network(),
        "of load_pretrained": fd.load_pretrained(),
        "784-1000-500-10, with batch normalisation": recipes.BEST.network(),
    }
    try:
        with tempfile.TemporaryDirectory() as folder:
            for name, network in networks.items():
                page = Path(folder, "draw.html")
                fd.export_html(network, page)
                driver.get(page.as_uri())
                train, lines = driver.execute_script(MEASURE, BATCH, STEPS, ROUNDS)
                speed = BATCH * STEPS / train * 1000
                size = page.stat().st_size / 1e6
                print(
                    f"{name}: {size:.2f} MB, {speed:,.0f} images per second with Adam, lines in {lines:.1f} ms"
                )
    finally:
        driver.quit()


if __name__ == "__main__":
    main()
