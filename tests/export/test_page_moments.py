"""The moment normalisation of the page to draw on, in node: the bits of the kernels."""

import json
import shutil
import subprocess

import numpy as np
import pytest

import fastdigits as fd
from fastdigits.export.html import PAGE, _layer

pytestmark = pytest.mark.needs("node")

PROGRAM = """
const [images, numbers] = JSON.parse(require("fs").readFileSync(0, "utf8"));
const x = Float32Array.from(images.flat(), (pixel) => pixel / 255);
const y = KINDS.momentnorm.forward(numbers, x, images.length);
console.log(JSON.stringify([...y].map((value) => 255 * value)));
"""


@pytest.mark.parametrize(("height", "width"), [(28, 28), (9, 12), (1, 5), (6, 1)])
def test_images_are_normalised_to_the_bytes_of_the_kernels(height, width):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (12, height, width), dtype=np.uint8)
    x[1:4] *= rng.random((3, height, width)) < 0.1
    x[4], x[5] = 0, np.eye(height, width) * 200
    x[6:] //= 4
    if width == 28:
        x[6:] = fd.load_mnist()[1][0][:6]
    layer, x = fd.MomentNorm(height, width), x.reshape(12, -1)
    done = subprocess.run(
        [
            shutil.which("node"),
            "--eval",
            (PAGE / "moments.js").read_text("utf-8") + (PAGE / "layers.js").read_text("utf-8") + PROGRAM,
        ],
        input=json.dumps([x.tolist(), _layer(layer)["numbers"]]),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found = np.array(json.loads(done.stdout)).reshape(x.shape)
    np.testing.assert_allclose(found, layer.forward(x), rtol=0, atol=1e-4)
