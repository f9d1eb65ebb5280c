"""scikit-learn's MLPClassifier with a call of `partial_fit` per batch, as for data that comes in parts."""

import sklearn_mlp

if __name__ == "__main__":
    sklearn_mlp.main(call_per_batch=True)
