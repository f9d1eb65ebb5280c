"""Print, for two workers of an engine, the threads that the package may use and those that a training starts.

A program, as engines send the functions of a program to their workers: python worker_threads.py loky | dask | ray
"""

import os
import sys

import numpy as np

import fastdigits as fd


def threads():
    """Return both numbers of this process."""
    before = len(os.listdir("/proc/self/task"))
    net = fd.NeuralNetwork([fd.Dense(784, 512), fd.ReLU(), fd.Dense(512, 10)], seed=0)
    rows = np.random.default_rng(0).random((2048, 784), np.float32)
    net.fit(rows, np.arange(2048) % 10, epochs=2, batch_size=1024)
    return fd.get_num_threads(), len(os.listdir("/proc/self/task")) - before


def of_loky():
    import joblib

    with joblib.parallel_config("loky"):
        return joblib.Parallel(2)(joblib.delayed(threads)() for _ in range(2))


def of_dask():
    from distributed import Client

    with Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
        return client.gather([client.submit(threads, pure=False) for _ in range(2)])


def of_ray():
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    task = ray.remote(num_cpus=1)(threads)
    return ray.get([task.remote(), task.remote()])


if __name__ == "__main__":
    print({"loky": of_loky, "dask": of_dask, "ray": of_ray}[sys.argv[1]]())
