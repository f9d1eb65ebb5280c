"""Search settings with Ray Tune and ASHA, which ends bad trials early; the data are in Ray's memory once."""

import tempfile

import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler

import fastdigits as fd


class Report(fd.Callback):
    """Report the accuracy of each epoch; Ray Tune ends the trial there if it is not among the best."""

    def on_epoch_end(self, epoch, network, history):
        tune.report({"accuracy": history.val_accuracy[-1]})


def train(settings, x, y):
    width = settings["width"]
    net = fd.NeuralNetwork([fd.Dense(784, width), fd.ReLU(), fd.Dense(width, 10)], seed=0)
    net.fit(
        x[:4000], y[:4000], epochs=8, optimizer=fd.Adam(settings["rate"]),
        validation_data=(x[4000:], y[4000:]), callbacks=[Report()],
    )  # fmt: skip


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    (x, y), _ = fd.load_mnist()
    tuner = tune.Tuner(
        tune.with_parameters(train, x=x[:5000], y=y[:5000]),
        param_space={"width": tune.choice([16, 32, 64]), "rate": tune.loguniform(1e-4, 1e-1)},
        tune_config=tune.TuneConfig(
            metric="accuracy", mode="max", num_samples=6, scheduler=ASHAScheduler(max_t=8, grace_period=2)
        ),
        run_config=tune.RunConfig(storage_path=tempfile.mkdtemp(), verbose=0),
    )
    results = tuner.fit()
    best = results.get_best_result(scope="all")
    print(len(results), "trials")  # 6 trials
    print(f"{best.metrics['accuracy']:.3f}", best.config)  # 0.9…
    ray.shutdown()
