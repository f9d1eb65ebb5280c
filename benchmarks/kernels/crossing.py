"""Find the density of nonzero pixels above which skipping zero pixels is slower, for each instruction set.

    python benchmarks/kernels/crossing.py

The kernels on uint8 images skip zero pixels where less than three fifths (AVX-512: half) are nonzero, and multiply all
pixels otherwise, with the same bits. The table has the time per batch of 64 random images of each density.
"""

import statistics
import time

import numpy as np

from fastdigits import backend
from fastdigits.backend import aligned

DENSITIES = (0.02, 0.1, 0.19, 0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 1.0)


def main() -> None:
    rng = np.random.default_rng(0)
    batches = {}
    for density in DENSITIES:
        nonzero = rng.random((8, 64, 784)) < density
        batches[density] = np.where(nonzero, rng.integers(1, 256, nonzero.shape), 0).astype(np.uint8)
    weight, bias, y, dweight = (aligned.floats(*shape) for shape in [(784, 64), (64,), (64, 64), (784, 64)])
    for array in (weight, bias, y):
        array[...] = rng.standard_normal(array.shape)
    print(f"{'µs per batch, at density':<24}" + "".join(f"{density:>8.0%}" for density in DENSITIES))
    for name in backend.available_backends():
        if name == "numpy":
            continue
        kernels = backend.load(name)
        for what, door, arguments in [
            ("forward", kernels.dense_forward_uint8, lambda x: (y, x, weight, bias)),
            ("backward", kernels.dense_backward_weight_uint8, lambda x: (dweight, bias, y, x)),
        ]:
            times: dict[float, list[float]] = {density: [] for density in DENSITIES}
            for _ in range(30):  # the densities take turns
                for density, found in times.items():
                    started = time.perf_counter()
                    for x in batches[density]:
                        door(*arguments(x))
                    found.append((time.perf_counter() - started) / 8)
            medians = [1e6 * statistics.median(found) for found in times.values()]
            print(f"{name + ' ' + what:<24}" + "".join(f"{median:>8.0f}" for median in medians))


if __name__ == "__main__":
    main()
