"""Search settings with scikit-learn on loky, Dask or Ray: python search_joblib.py [loky | dask | ray]"""

import contextlib
import sys

import joblib
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

from fastdigits.sklearn import FastDigitsClassifier

WORKERS = 2


@contextlib.contextmanager
def engine(name, data):
    """Let the joblib calls of the block run on an engine; the data go to its workers once, not with each task."""
    with contextlib.ExitStack() as stack:
        if name == "dask":
            from distributed import Client

            stack.enter_context(Client(n_workers=WORKERS, threads_per_worker=1, dashboard_address=None))
            stack.enter_context(joblib.parallel_config("dask", scatter=data))
        elif name == "ray":
            import ray
            from ray.util.joblib import register_ray

            ray.init(num_cpus=WORKERS, include_dashboard=False, log_to_driver=False)
            stack.callback(ray.shutdown)
            register_ray()
            stack.enter_context(joblib.parallel_config("ray"))
        else:  # arrays of a megabyte and more become memory maps by themselves
            stack.enter_context(joblib.parallel_config("loky"))
        yield


if __name__ == "__main__":
    x, y = load_digits(return_X_y=True)
    classifier = FastDigitsClassifier((32,), max_iter=20, tol=None, random_state=0)
    settings = {"learning_rate_init": [0.001, 0.01], "batchnorm": ["none", "all"]}
    search = GridSearchCV(classifier, settings, cv=3, n_jobs=WORKERS)
    with engine(sys.argv[1] if len(sys.argv) > 1 else "loky", [x, y]):
        search.fit(x, y)
    print(f"{search.best_score_:.4f}", search.best_params_)  # 0.9…{'batchnorm': …, 'learning_rate_init': …}
