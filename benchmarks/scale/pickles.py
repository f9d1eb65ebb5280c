"""Print the size of pickles: what an engine sends to each worker, beside the bytes of the weights.

python benchmarks/scale/pickles.py
"""

import pickle
import warnings

import fastdigits as fd
from fastdigits.sklearn import FastDigitsClassifier


def main() -> None:
    (x, y), _ = fd.load_mnist()
    x, y = x[:2000], y[:2000]
    settings = {"max_iter": 2, "random_state": 0, "batchnorm": "first"}
    classifiers = {
        "FastDigitsClassifier": FastDigitsClassifier((64, 32), **settings),
        "… with early stopping": FastDigitsClassifier((64, 32), early_stopping=True, **settings),
        "… that continues, warm_start=True": FastDigitsClassifier((64, 32), warm_start=True, **settings),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        things = {name: classifier.fit(x, y) for name, classifier in classifiers.items()}
    things["its network"] = things["FastDigitsClassifier"].network_
    weights = things["its network"].values.nbytes
    print(f"weights: {weights:,} bytes")
    for name, thing in things.items():
        size = len(pickle.dumps(thing))
        print(f"{name:<34} {size:>9,} bytes  {size / weights:.3f} ×")


if __name__ == "__main__":
    main()
