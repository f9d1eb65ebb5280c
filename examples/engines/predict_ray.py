"""Label a file of images with Ray Data; rows are ranges, and a task reads its own: python predict_ray.py [IMAGES]"""

import sys
import tempfile
import time
import zlib

import numpy as np
import ray

import fastdigits as fd

WORKERS, BLOCK = 2, 65_536


def labelled(row, path, network):
    """Label the range that begins at ``row["start"]``."""
    images = np.load(path, mmap_mode="r")[row["start"] : row["start"] + BLOCK]
    made = ray.get(network).predict(images)
    return {"start": row["start"], "labels": made.astype(np.uint8).tobytes()}


def labels(path, network):
    n = len(np.load(path, mmap_mode="r"))
    ranges = ray.data.from_items(
        [{"start": start} for start in range(0, n, BLOCK)], override_num_blocks=-(-n // BLOCK)
    )
    parts = ranges.map(labelled, fn_args=(path, network)).take_all()
    parts.sort(key=lambda row: row["start"])
    return np.frombuffer(b"".join(row["labels"] for row in parts), np.uint8)


if __name__ == "__main__":
    small = f"{tempfile.mkdtemp()}/images.npy"
    np.save(small, fd.load_mnist()[1][0])
    ray.init(num_cpus=WORKERS, include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    network = ray.put(fd.load_pretrained())  # once, in memory that the workers share
    print((labels(small, network) == 7).sum(), "sevens")  # 10… sevens
    for path in sys.argv[1:]:
        began = time.perf_counter()
        found = labels(path, network)
        speed = len(found) / (time.perf_counter() - began)
        print(f"{speed:,.0f} images per second, checksum {zlib.crc32(found):08x}")
    ray.shutdown()
