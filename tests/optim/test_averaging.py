"""Averaged weights: the kernel against its twin, the averages against sums over all steps, a training's end."""

import copy

import numpy as np
import pytest

import fastdigits as fd
from fastdigits import _reference as twin
from fastdigits import backend as backends
from fastdigits.nn.parameters import Parameter


@pytest.mark.parametrize("n", [0, 1, 5, 16, 33, 1000])
@pytest.mark.parametrize("settings", [(0.0, 0, 1), (0.3, 0, 1), (0.0, 2, 3)])
def test_average_update_agrees_with_its_twin(kernels, n, settings):
    rng = np.random.default_rng(n)
    found, right = np.full(n, np.nan, dtype=np.float32), np.full(n, np.nan)
    for step in np.arange(1, 13).reshape(12, 1):
        value = rng.standard_normal(n).astype(np.float32)
        kernels.average_update(found, value, step, *settings)
        twin.average_update(right, value.astype(np.float64), step, *settings)
    assert not np.isnan(found).any()
    np.testing.assert_allclose(found, right, rtol=1e-5, atol=1e-6)  # twelve roundings of numbers of about 1


@pytest.mark.parametrize("module", fd.available_backends())
def test_wrong_sizes_are_refused(module):
    update, value, step = backends.load(module).average_update, np.zeros(3, np.float32), np.array([1])
    with pytest.raises(ValueError, match=r"average_update: average must be \(3,\); got \(2,\)"):
        update(value[:2], value, step, 0.0, 0, 1)
    with pytest.raises(ValueError, match="average_update: every must be at least 1; got 0"):
        update(value.copy(), value, step, 0.0, 0, 0)


def averaged(average: fd.WeightAverage, values: list[float], steps: int | None = None) -> float:
    parameter = fd.Parameter("weight", [0.0])
    average.begin([parameter], steps or len(values))
    for value in values:
        parameter.value = [value]
        average.update()
    assert average.step == len(values)
    average.apply()
    return float(parameter.value[0])


def test_swa_is_the_mean_of_the_last_part(backend):
    values = [8.0, 7.0, 1.0, 2.0, 4.0, 9.0, 3.0, 5.0]
    assert averaged(fd.SWA(0.75), values) == pytest.approx(4.0)
    assert averaged(fd.SWA(0.25, every=2), values) == pytest.approx((1 + 4 + 3) / 3)
    assert averaged(fd.SWA(0), values) == pytest.approx(np.mean(values))
    assert averaged(fd.SWA(0.999), values) == pytest.approx(5.0)  # at least the last step


def test_ema_weighs_each_value_decay_times_the_next(backend):
    # a mean at first: 1, 1/2, and then 1 - decay = 0.4 where 1 / (k + 1) is smaller
    values = [1.0, 3.0, 5.0, 2.0]
    expected = 1.0
    for rate, value in zip([1 / 2, 0.4, 0.4], values[1:], strict=True):
        expected += rate * (value - expected)
    assert averaged(fd.EMA(0.6), values) == pytest.approx(expected)
    assert averaged(fd.EMA(0.6, every=3), values) == pytest.approx((1 + 2) / 2)


def test_an_average_of_nothing_leaves_the_weights(backend):
    assert averaged(fd.SWA(0.75), [8.0, 7.0], steps=8) == 7.0


def test_update_needs_begin():
    for method in (fd.SWA().update, fd.SWA().apply):
        with pytest.raises(RuntimeError, match=r"SWA: call begin\(parameters, steps\) first"):
            method()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: fd.EMA(1.0), ValueError, "decay must be .* decay < 1"),
        (lambda: fd.EMA(0.9, every=0), ValueError, "every must be at least 1"),
        (lambda: fd.SWA(1.0), ValueError, "start must be .* start < 1"),
        (lambda: fd.SWA("half"), TypeError, "start must be a number"),
        (lambda: fd.SWA(every=1.5), TypeError, "every must be an integer"),
    ],
)
def test_wrong_arguments_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_state_that_does_not_fit_is_refused_and_changes_nothing():
    average, parameters = fd.EMA(0.9), [Parameter("weight", np.ones((2, 3))), Parameter("bias", np.ones(3))]
    average.begin(parameters, 4)
    average.update()
    good = average.state_dict()
    ones = np.ones(6, np.float32)
    bad = [
        ({**good, "weight": 1.0}, ValueError, r"EMA: weight must be \(6,\); got \(\)"),
        ({**good, "weight": ones[:1]}, ValueError, r"EMA: weight must be \(6,\); got \(1,\)"),
        ({**good, "weight": ones.reshape(2, 3)}, ValueError, r"EMA: weight must be \(6,\); got \(2, 3\)"),
        ({**good, "weight": ones * np.nan}, ValueError, "EMA: weight must be finite; got nan"),
        ({**good, "bias": np.full(3, 1e300)}, ValueError, "EMA: bias must be finite; got inf"),
        ({**good, "bias": ["a", "b", "c"]}, TypeError, "EMA: bias must hold real numbers"),
        ({**good, "other": ones}, ValueError, r"got none missing and \['other'\] unknown"),
        ({"step": 1, "weight": ones}, ValueError, r"got \['bias'\] missing and none unknown"),
        ({**good, "step": True}, TypeError, "EMA: step must be an integer; got True"),
        ({**good, "step": 1.0}, TypeError, "EMA: step must be an integer; got 1.0"),
        ({**good, "step": -1}, ValueError, "EMA: step must be at least 0; got -1"),
        ({**good, "step": 2**70}, ValueError, "EMA: step must be at most"),
        (None, TypeError, "EMA: a state must have entries by name; got None"),
    ]
    for content, error, match in bad:
        with pytest.raises(error, match=match):
            average.load_state_dict(content)
        with pytest.raises(error, match=match):
            average.check_state_dict(parameters, content)
        after = average.state_dict()
        assert after["step"] == 1
        assert all(after[name].tobytes() == good[name].tobytes() for name in ("weight", "bias"))
    average.load_state_dict({"step": 3, "weight": -ones, "bias": -ones[:3]})
    assert average.step == 3


def test_averages_print_the_calls_that_make_them():
    assert repr(fd.EMA(0.99, every=5)) == "EMA(decay=0.99, every=5)"
    assert repr(fd.SWA()) == "SWA()"


# -- in a training -------------------------------------------------------------------------------------------


def examples(n: int = 96) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (n, 16), dtype=np.uint8), np.arange(n) % 3


def network(*, batchnorm: bool = True) -> fd.NeuralNetwork:
    middle = [fd.BatchNorm(8)] if batchnorm else []
    return fd.NeuralNetwork([fd.Dense(16, 8), *middle, fd.ReLU(), fd.Dropout(0.1), fd.Dense(8, 3)], seed=2)


def eager_values(x, y, steps) -> list[np.ndarray]:
    net, optimizer, loss, values = network(), fd.Adam(0.01), fd.SoftmaxCrossEntropy(), []
    for start in steps:
        part = slice(start, start + 32)
        loss.forward(net.forward(x[part], training=True), y[part])
        net.backward(loss.backward())
        optimizer.step(net.parameters())
        values.append(net.values.copy())
    return values


@pytest.mark.parametrize("threads", [1, 3])
def test_a_training_ends_with_the_mean_of_its_last_steps(threads):
    x, y = examples(90)  # batches of 32, 32 and 26: two programs that share the count of steps
    net, average = network(), fd.SWA(0.5, every=2)
    net.fit(
        x, y, epochs=4, batch_size=32, optimizer=fd.Adam(0.01), shuffle=False, average=average, threads=threads
    )  # fmt: skip
    values = eager_values(x, y, (0, 32, 64) * 4)
    np.testing.assert_allclose(net.values, np.mean(values[6::2], axis=0), rtol=1e-5, atol=1e-6)
    assert average.step == 12


def test_an_averaged_network_has_statistics_of_its_own(backend):
    x, y = examples()
    net = network()
    net.fit(x, y, epochs=3, batch_size=32, optimizer=fd.Adam(0.05), average=fd.EMA(0.9))
    dense, norm = net.layers[0], net.layers[1]
    outputs = (x / 255.0) @ dense.weight.value + dense.bias.value
    np.testing.assert_allclose(norm.running_mean, outputs.mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(norm.running_var, outputs.var(axis=0, ddof=1), rtol=1e-4)


def test_the_last_epoch_is_validated_with_the_average(backend):
    x, y = examples()
    net = network()
    history = net.fit(x, y, epochs=2, batch_size=32, validation_data=(x, y), average=fd.SWA(0.1))
    assert history.val_loss[-1] == pytest.approx(net.evaluate(x, y)["loss"])


class Stop(fd.Callback):
    def on_epoch_end(self, epoch, network, history):
        self.before = network.values.copy()
        return True


def test_a_training_that_is_stopped_early_is_averaged_all_the_same():
    x, y = examples()
    net, stop = network(), Stop()
    net.fit(
        x,
        y,
        epochs=5,
        batch_size=32,
        shuffle=False,
        optimizer=fd.Adam(0.01),
        average=fd.SWA(0),
        callbacks=[stop],
    )
    values = eager_values(x, y, (0, 32, 64))
    np.testing.assert_allclose(net.values, np.mean(values, axis=0), rtol=1e-5, atol=1e-6)
    assert (stop.before != net.values).any()


def test_something_else_is_no_average():
    with pytest.raises(TypeError, match=r"average must be .* such as fastdigits\.EMA\(\)"):
        network().fit(*examples(), average=0.99)


# -- statistics computed again --------------------------------------------------------------------------------------


def test_statistics_made_anew_are_means_over_the_batches_and_nothing_else_changes(backend):
    x, _ = examples(41)
    net = network()
    values, step = net.values.copy(), net.layers[3].step
    net.layers[1].running_mean[...] = 77
    net.renew_statistics(x, batch_size=20)  # 20 and 21: the last one joins
    outputs = (x / 255.0) @ net.layers[0].weight.value + net.layers[0].bias.value
    halves = [outputs[:20], outputs[20:]]
    means = np.mean([half.mean(axis=0) for half in halves], axis=0)
    variances = np.mean([half.var(axis=0, ddof=1) for half in halves], axis=0)
    np.testing.assert_allclose(net.layers[1].running_mean, means, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(net.layers[1].running_var, variances, rtol=1e-4)
    assert net.values.tobytes() == values.tobytes()
    assert net.layers[3].step == step
    assert net.layers[1].momentum == 0.1


def test_a_network_without_batch_normalisation_has_nothing_to_renew():
    net = network(batchnorm=False)
    net.renew_statistics(examples()[0])


def test_one_image_has_no_statistics():
    with pytest.raises(ValueError, match="renew_statistics: x must hold at least 2 images"):
        network().renew_statistics(examples()[0][:1])
    with pytest.raises(ValueError, match="renew_statistics: batch_size must be at least 2; got 1"):
        network().renew_statistics(examples()[0], batch_size=1)


def test_an_average_serves_one_training_at_a_time():
    """It would follow the other network, and give that its averages amid its training."""
    rng = np.random.default_rng(3)
    x, y = rng.random((40, 6), dtype=np.float32), np.arange(40) % 3
    average, refused = fd.EMA(0.9), []

    def network():
        return fd.NeuralNetwork([fd.Dense(6, 3)], seed=1)

    class Inner(fd.Callback):
        def on_epoch_end(self, epoch, net, history):
            try:
                network().fit(x, y, epochs=1, average=average)
            except RuntimeError as error:
                refused.append(str(error))
            network().fit(x, y, epochs=1, average=copy.deepcopy(average))

    nets = network(), network()
    nets[0].fit(x, y, epochs=2, average=average, callbacks=[Inner()])
    nets[1].fit(x, y, epochs=2, average=average)  # it is free again
    assert len(refused) == 2
    assert "an average must serve one training at a time" in refused[0]
    assert refused[0].endswith("make a new one, EMA(decay=0.9)")
    np.testing.assert_array_equal(nets[0].values, nets[1].values)
