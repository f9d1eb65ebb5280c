"""Label a file of images with Spark; its rows are ranges, and a task reads its own: python predict_spark.py [IMAGES]"""

import os
import sys
import tempfile
import time
import zlib

import numpy as np
import pandas as pd
from pyspark.sql import SparkSession

import fastdigits as fd

WORKERS, BLOCK = 2, 65_536
os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # the workers' Python


def labels(spark, path, network):
    def labelled(frames):
        """Label the ranges of a partition."""
        images = np.load(path, mmap_mode="r")
        for frame in frames:
            parts = [network.value.predict(images[start : start + BLOCK]) for start in frame["id"]]
            made = [part.astype(np.uint8).tobytes() for part in parts]
            yield pd.DataFrame({"id": frame["id"], "labels": made})

    starts = spark.range(0, len(np.load(path, mmap_mode="r")), BLOCK, numPartitions=2 * WORKERS)
    parts = starts.mapInPandas(labelled, "id long, labels binary").collect()
    return np.frombuffer(b"".join(part.labels for part in sorted(parts)), np.uint8)


if __name__ == "__main__":
    small = f"{tempfile.mkdtemp()}/images.npy"
    np.save(small, fd.load_mnist()[1][0])
    spark = SparkSession.builder.master(f"local[{WORKERS}]").config("spark.ui.enabled", "false").getOrCreate()
    network = spark.sparkContext.broadcast(fd.load_pretrained())  # once to each worker
    print((labels(spark, small, network) == 7).sum(), "sevens")  # 10… sevens
    for path in sys.argv[1:]:
        began = time.perf_counter()
        found = labels(spark, path, network)
        speed = len(found) / (time.perf_counter() - began)
        print(f"{speed:,.0f} images per second, checksum {zlib.crc32(found):08x}")
    spark.stop()
