"""Successive halving, with epochs as the resource: many settings train for a few epochs, the best ones for more."""

import joblib
from sklearn.datasets import load_digits
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import HalvingGridSearchCV, HalvingRandomSearchCV, train_test_split

from fastdigits.sklearn import FastDigitsClassifier

WORKERS = 2
SETTINGS = {"learning_rate_init": [0.0003, 0.001, 0.003, 0.01], "batchnorm": ["none", "all"]}


def trained(model, x, y, epochs):
    """Return the model after more epochs; a pickle of it has all that it needs to continue exactly."""
    for _ in range(epochs):
        model.partial_fit(x, y, classes=range(10))
    return model


if __name__ == "__main__":
    x, y = load_digits(return_X_y=True)
    classifier = FastDigitsClassifier((32,), tol=None, random_state=0)

    # scikit-learn's own: each round trains from the beginning.
    epochs = {"resource": "max_iter", "min_resources": 2, "max_resources": 16, "factor": 2}
    options = {"cv": 3, "random_state": 0, "n_jobs": WORKERS}
    search = HalvingGridSearchCV(classifier, SETTINGS, **epochs, **options).fit(x, y)
    print(search.n_resources_, search.n_candidates_)  # [2, 4, 8, 16] [8, 4, 2, 1]
    print(f"{search.best_score_:.3f}")  # 0.9…
    search = HalvingRandomSearchCV(classifier, SETTINGS, n_candidates=4, **epochs, **options).fit(x, y)
    print(f"{search.best_score_:.3f}")  # 0.9…

    # With partial_fit, the models that are left continue where they were.
    x_train, x_test, y_train, y_test = train_test_split(x, y, random_state=0)
    models = [
        FastDigitsClassifier((32,), learning_rate_init=rate, batchnorm=norm, random_state=0)
        for rate in SETTINGS["learning_rate_init"]
        for norm in SETTINGS["batchnorm"]
    ]
    with joblib.Parallel(WORKERS) as parallel:
        for more in (2, 2, 4, 8):  # 2, 4, 8 and 16 epochs in all
            models = parallel(joblib.delayed(trained)(model, x_train, y_train, more) for model in models)
            models.sort(key=lambda model: -model.score(x_test, y_test))
            best, models = models[0], models[: len(models) // 2]
    print(best.network_.epochs_trained, f"{best.score(x_test, y_test):.3f}")  # 16 0.9…
