"""Label a file of images as a Dask array; each block is read where it is predicted: python predict_dask.py [IMAGES]"""

import sys
import tempfile
import time
import zlib

import dask
import dask.array as da
import numpy as np
from distributed import Client

import fastdigits as fd

WORKERS, BLOCK = 2, 65_536


def labelled(path, network, block_info=None):
    """Return the labels of this block's images; a memory map reads no others."""
    ((start, stop),) = block_info[None]["array-location"]
    return network.predict(np.load(path, mmap_mode="r")[start:stop]).astype(np.uint8)


def labels(path, network):
    n = len(np.load(path, mmap_mode="r"))
    blocks = (tuple(min(BLOCK, n - start) for start in range(0, n, BLOCK)),)
    kind = {"dtype": np.uint8, "meta": np.empty(0, np.uint8)}
    return da.map_blocks(labelled, path, dask.delayed(network), chunks=blocks, **kind).compute()


if __name__ == "__main__":
    small = f"{tempfile.mkdtemp()}/images.npy"
    np.save(small, fd.load_mnist()[1][0])
    with Client(n_workers=WORKERS, threads_per_worker=1, dashboard_address=None) as client:
        network = client.scatter(fd.load_pretrained(), broadcast=True)  # once to each worker
        print((labels(small, network) == 7).sum(), "sevens")  # 10… sevens
        for path in sys.argv[1:]:
            began = time.perf_counter()
            found = labels(path, network)
            speed = len(found) / (time.perf_counter() - began)
            print(f"{speed:,.0f} images per second, checksum {zlib.crc32(found):08x}")
