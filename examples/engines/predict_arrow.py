"""Label an Arrow file of images, one record batch after another, without a copy: python predict_arrow.py [IMAGES]"""

import sys
import tempfile
import time
import zlib

import numpy as np
import pyarrow as pa

import fastdigits as fd

BLOCK = 65_536


def write(path, images):
    """Write images to an Arrow file: a column whose values are lists of as many pixels as an image has."""
    rows = images.reshape(len(images), -1)
    kind = pa.list_(pa.uint8(), rows.shape[1])
    schema = pa.schema([("image", kind)])
    with pa.OSFile(path, "wb") as file, pa.ipc.new_file(file, schema) as writer:
        for start in range(0, len(rows), BLOCK):
            pixels = pa.array(rows[start : start + BLOCK].reshape(-1))
            column = pa.FixedSizeListArray.from_arrays(pixels, type=kind)
            writer.write_batch(pa.record_batch([column], schema))


def labels(path, network):
    parts = []
    with pa.memory_map(path) as file:
        reader = pa.ipc.open_file(file)
        for number in range(reader.num_record_batches):
            column = reader.get_batch(number).column("image")
            rows = column.flatten().to_numpy().reshape(len(column), -1)  # a view of the file
            parts.append(network.predict(rows).astype(np.uint8))
    return np.concatenate(parts)


if __name__ == "__main__":
    network = fd.load_pretrained()
    with tempfile.TemporaryDirectory() as folder:
        small, large = f"{folder}/small.arrow", f"{folder}/large.arrow"
        write(small, fd.load_mnist()[1][0])
        print((labels(small, network) == 7).sum(), "sevens")  # 10… sevens
        for path in sys.argv[1:]:
            write(large, np.load(path, mmap_mode="r"))
            began = time.perf_counter()
            found = labels(large, network)
            speed = len(found) / (time.perf_counter() - began)
            print(f"{speed:,.0f} images per second, checksum {zlib.crc32(found):08x}")
