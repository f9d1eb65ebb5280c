"""Test accuracy on MNIST by number of shards and by steps between two averages: mean and deviation over five seeds.

    python benchmarks/scale/shards_accuracy.py            # one minute

The network of `fastdigits train`, ten epochs with Adam and a one-cycle schedule, batches of 512 and 2,048.
"""

import statistics

import fastdigits as fd

SEEDS = range(5)
(X, Y), (X_TEST, Y_TEST) = fd.load_mnist()


def accuracy(seed: int, batch: int, shards: int, every: int) -> float:
    """Return the test accuracy of one training, in percent."""
    layers = [fd.Dense(784, 64), fd.BatchNorm(64), fd.ReLU(), fd.Dense(64, 32), fd.ReLU(), fd.Dense(32, 10)]
    net = fd.NeuralNetwork(layers, seed=seed)
    net.fit(
        X, Y, epochs=10, batch_size=batch, optimizer=fd.Adam(0.01), schedule=fd.OneCycle(),
        batch_shards=shards, average_every=every,
    )  # fmt: skip
    return 100 * net.evaluate(X_TEST, Y_TEST)["accuracy"]


def main() -> None:
    for batch in (512, 2048):
        for shards, every in ((1, 0), (2, 0), (8, 0), (2, 16), (8, 4), (8, 16)):
            found = [accuracy(seed, batch, shards, every) for seed in SEEDS]
            average = f"averaged every {every}" if every else "gradients added"
            mean, deviation = statistics.mean(found), statistics.stdev(found)
            print(
                f"batch {batch:5,}  {shards} shards, {average:18}  {mean:.2f} ± {deviation:.2f} %", flush=True
            )


if __name__ == "__main__":
    main()
