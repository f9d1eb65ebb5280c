"""The scale of a network's input: learned from values, kept with the network, the same for every dtype and road."""

import copy
import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

import fastdigits as fd
from fastdigits.nn import scales
from fastdigits.storage.safetensors import encode, read
from fastdigits.training.batches import check_training_images

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (96, 16)).astype(np.uint8)
SMALL = PIXELS // 16  # 0 … 15, as in scikit-learn's load_digits
MASKS = PIXELS // 128
Y = np.arange(96) % 3
KINDS = {"pixels": PIXELS, "numbers": SMALL, "unit": MASKS}
DTYPES = ["u1", "i2", "u2", ">i4", "i8", "u8", "f2", "f4", ">f4", "f8", "g"]


def network(**options) -> fd.NeuralNetwork:
    return fd.NeuralNetwork([fd.Dense(16, 8), fd.BatchNorm(8), fd.ReLU(), fd.Dense(8, 3)], seed=1, **options)


def trained(x: object, **options) -> fd.NeuralNetwork:
    net = network()
    net.fit(x, Y, epochs=2, batch_size=16, **options)
    return net


def spellings(x: np.ndarray) -> list:
    """Return the same values in other dtypes and containers."""
    found = [x.astype(dtype) for dtype in DTYPES]
    found += [x.tolist(), np.asfortranarray(x.astype(np.int64)), x.astype(np.float64).reshape(-1, 4, 4)]
    if x.max() < 128:
        found.append(x.astype(np.int8))
    if x.max() == 1:
        found.append(x.astype(bool))
    return found


# -- learning ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", KINDS)
def test_the_same_values_in_any_dtype_train_the_same_network_and_get_the_same_answers(scale):
    x = KINDS[scale]
    net = trained(x, validation_data=(x[:20], Y[:20]))
    expected = net.predict_proba(x)
    assert net.scale == scale
    for same in spellings(x):
        other = network()
        history = other.fit(same, Y, epochs=2, batch_size=16, validation_data=(same[:20], Y[:20]))
        assert other.scale == scale
        assert other.values.tobytes() == net.values.tobytes()
        assert history.val_loss[-1] == net.evaluate(x[:20], Y[:20])["loss"]
        assert net.predict_proba(same).tobytes() == expected.tobytes()
        assert net.forward(same).tobytes() == net.forward(x).tobytes()
        assert net.predict(same).tolist() == net.predict(x).tolist()
        assert net.evaluate(same, Y, batch_size=7) == net.evaluate(x, Y, batch_size=7)
        other.renew_statistics(same)
        again = copy.deepcopy(net)
        again.renew_statistics(x)
        assert other.values.tobytes() == again.values.tobytes()
        assert [one.tobytes() for one in other.buffers().values()] == [
            one.tobytes() for one in again.buffers().values()
        ]


def test_a_frame_of_pandas_holds_the_same_values():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(PIXELS.astype(np.int64))
    frame[3] = frame[3].astype(float)
    net = trained(PIXELS)
    assert trained(frame).values.tobytes() == net.values.tobytes()
    assert net.predict_proba(frame).tobytes() == net.predict_proba(PIXELS).tobytes()
    net.column_names = frame.columns = [f"pixel{place}" for place in range(frame.shape[1])]
    assert net.predict_proba(frame).tobytes() == net.predict_proba(PIXELS).tobytes()
    net.own = PIXELS
    for road in ROADS.values():
        with pytest.raises(
            ValueError, match=r"'pixel0' at place 0.*; got 'pixel1': x\[list\(net.column_names\)\]"
        ):
            road(net, frame[frame.columns[1:]])


@pytest.mark.parametrize(
    ("x", "scale"),
    [
        ([[0, 255]], "pixels"),
        ([[0.0, 17.0]], "pixels"),
        ([[0, 16]], "numbers"),
        ([[0, 256]], "numbers"),
        ([[-1, 255]], "numbers"),
        ([[0.5, 255]], "numbers"),
        ([[0, 1]], "unit"),
        ([[0.25, 0.5]], "unit"),
        ([[True, False]], "unit"),
        ([[-0.1, 1]], "numbers"),
        ([[0, 1.5]], "numbers"),
        ([[0.0, 254.99999999]], "pixels"),  # 255 in float32, which is what kernels would get
        ([[0, 0]], None),
        ([[False, False]], None),
    ],
)
def test_values_decide_which_scale_is_learned(x, scale):
    assert scales.infer_scale(np.array(x), "x") == scale


def test_every_row_counts_however_many_there_are():
    x = np.full((9000, 2), 200.0)
    assert scales.infer_scale(x, "x") == "pixels"
    x[8999, 1] = 0.5
    assert scales.infer_scale(x, "x") == "numbers"
    x[8999, 1] = np.nan
    with pytest.raises(ValueError, match="x must be finite in float32; got nan at row 8999, column 1"):
        scales.infer_scale(x, "x")
    net = network()
    net.scale = "pixels"
    many = np.zeros((9000, 16))
    many[8000, 3] = np.inf
    for call in (net.predict, net.predict_proba, lambda x: net.evaluate(x, np.zeros(9000, int))):
        with pytest.raises(ValueError, match="must be finite in float32; got inf at row 8000, column 3"):
            call(many)


def test_a_manual_loop_learns_the_scale_from_its_first_batch():
    nets = []
    for x in (PIXELS, PIXELS.astype(np.int64), PIXELS.astype(np.float32)):
        net, loss, optimizer = network(), fd.SoftmaxCrossEntropy(), fd.SGD(lr=0.1)
        assert net.forward(x).shape == (96, 3)
        assert net.scale is None  # a prediction teaches nothing
        for part in (slice(0, 48), slice(48, 96)):
            loss.forward(net.forward(x[part], training=True), Y[part])
            net.backward(loss.backward())
            optimizer.step(net.parameters())
        assert net.scale == "pixels"
        nets.append(net)
    assert len({net.values.tobytes() for net in nets}) == 1


def test_blank_images_teach_nothing():
    net = network()
    net.forward(np.zeros((4, 16)), training=True)
    assert net.scale is None
    net.forward(PIXELS.astype(float), training=True)
    assert net.scale == "pixels"


def test_a_scale_that_is_set_is_kept_by_the_training():
    net = network()
    net.scale = "pixels"
    net.fit(SMALL, Y, epochs=1)
    assert net.scale == "pixels"
    other = network()
    other.fit(SMALL / 255.0, Y, epochs=1)
    assert other.scale == "unit"
    assert other.values.tobytes() == net.values.tobytes()


@pytest.mark.parametrize(("scale", "error"), [("Pixels", ValueError), ("", ValueError), (255, TypeError)])
def test_what_is_no_scale_is_refused(scale, error):
    net = trained(PIXELS)
    with pytest.raises(error, match=f"scale must be 'pixels', 'unit', 'numbers' or None; got {scale!r}"):
        net.scale = scale
    assert net.scale == "pixels"


def test_a_training_that_is_refused_or_leads_nowhere_teaches_nothing():
    net = network()
    with pytest.raises(ValueError, match="fit: y must lie within"):
        net.fit(PIXELS, Y + 5)
    assert net.scale is None
    with pytest.raises(ValueError, match="validation x must hold pixels 0 … 255"):
        net.fit(PIXELS, Y, validation_data=(PIXELS / 255, Y))
    assert net.scale is None
    with pytest.raises(fd.DivergedError), np.errstate(all="ignore"):
        net.fit(PIXELS * 1e30, Y, optimizer=fd.SGD(lr=1e30))
    assert net.scale is None
    net.fit(PIXELS / 255, Y, epochs=1)
    assert net.scale == "unit"


def test_the_search_for_a_learning_rate_reads_images_as_a_training_would():
    net = network()
    found = [
        net.find_lr(x, Y, batch_size=16, steps=20).losses.tobytes() for x in (PIXELS, PIXELS.astype(float))
    ]
    assert found[0] == found[1]
    assert net.scale is None


def test_pixels_of_any_dtype_are_augmented():
    some = fd.Augmentation(rotation=20, shift=1)
    one, other = trained(PIXELS, augment=some), trained(PIXELS.astype(np.int64), augment=some)
    assert one.values.tobytes() == other.values.tobytes()


# -- reading -----------------------------------------------------------------------------------------------


def test_a_pixel_and_its_255th_part_give_the_same_bits(backend):
    # what lets an image's answer not depend on whether another one of its batch has fractions
    sparse = PIXELS * (RNG.random(PIXELS.shape) < 0.3)
    for x in (PIXELS, sparse):
        net, other = trained(x), trained(x / 255)
        assert (net.scale, other.scale) == ("pixels", "unit")
        assert net.values.tobytes() == other.values.tobytes()
        assert net.predict_proba(x).tobytes() == other.predict_proba(x / 255).tobytes()
        mixed = x.astype(float)
        mixed[-1] += 0.5
        assert net.predict_proba(mixed)[:-1].tobytes() == net.predict_proba(x)[:-1].tobytes()


def parts_of_pixels() -> list[np.ndarray]:
    """Return PIXELS / 255 in the dtypes and layouts that hold it exactly, or that float32 rounds to it."""
    exact = PIXELS / np.float32(255)
    found = [exact, PIXELS / 255, exact.astype(">f4"), (PIXELS / 255).astype(">f8"), exact.astype("g")]
    misaligned = np.frombuffer(b"0" + exact.tobytes(), np.float32, offset=1).reshape(exact.shape)
    return [*found, np.asfortranarray(exact), np.repeat(exact, 2, axis=0)[::2], misaligned]


@pytest.mark.parametrize("scale", ["unit", None])
def test_numbers_that_are_all_255ths_become_bytes(backend, scale):
    for x in parts_of_pixels():
        rows = scales.to_rows(x, scale, "x")
        assert rows.dtype == np.uint8
        assert rows.flags.c_contiguous
        np.testing.assert_array_equal(rows, PIXELS)
        learned, of = scales.learn(x, "x")
        assert (of, learned.tobytes()) == ("unit", PIXELS.tobytes())
        other = x.copy()
        other[-1, -1] = 0.3
        for rows in (scales.to_rows(other, scale, "x"), scales.learn(other, "x")[0]):
            assert rows.dtype == np.float32
            np.testing.assert_array_equal(rows, other.astype(np.float32))
    assert scales.to_rows(PIXELS / 255, "numbers", "x").dtype == np.float32


@pytest.mark.parametrize("rows", [60, 2**16 // 16 + 40, 2**20 // 16 + 2**16 // 16 + 40])
@pytest.mark.parametrize("dtype", ["u2", "i8", ">i4", "f4", "f8", ">f8"])
def test_every_value_counts_however_many_are_packed_at_once(dtype, rows):
    x = np.resize(PIXELS, (rows, 16)).astype(dtype)
    for divisor, scale in ((1, "pixels"), (255, "unit")):
        if np.dtype(dtype).kind != "f" and divisor == 255:
            continue
        of = (x / x.dtype.type(divisor)).astype(dtype) if divisor > 1 else x.copy()
        learned, found = scales.learn(of, "x")
        assert (found, learned.tobytes()) == (scale, x.astype(np.uint8).tobytes())
        for at in (0, rows - 1):
            other = of.copy()
            other[at, 5] = 511
            assert scales.learn(other, "x")[1] == "numbers"
            assert scales.learn(other, "x")[0].tobytes() == other.astype(np.float32).tobytes()


def test_packed_images_use_the_memory_of_an_earlier_call_again():
    bytes_ = RNG.integers(0, 256, (1100, 1000)).astype(np.uint8)
    images = bytes_ / np.float32(255)
    kept = len(scales._kept)
    first = scales.to_rows(images, "unit", "x")
    part = scales.to_rows(images[:1060].reshape(2120, 500), "unit", "x")  # while the memory is in use
    assert not np.shares_memory(first, part)
    address, last = first.ctypes.data, first[-1]
    del first
    assert not np.shares_memory(scales.to_rows(images, "unit", "x"), last)  # a view uses it
    del last
    images[:100] = 0
    again = scales.to_rows(images[:1090], "unit", "x")
    assert again.ctypes.data == address
    np.testing.assert_array_equal(again[100:], bytes_[100:1090])
    assert not again[:100].any()
    assert len(scales._kept) == kept + 1
    del images, part
    assert len(scales._kept) == kept
    np.testing.assert_array_equal(again[100:], bytes_[100:1090])  # although its images are deleted


def test_blank_first_images_do_not_hide_pixels():
    x = np.zeros((2**16 // 16 + 50, 16))
    x[-1] = 200
    assert scales.infer_scale(x, "x") == "pixels"
    x[-1] = 3
    assert scales.infer_scale(x, "x") == "numbers"
    x[-1] = 1
    assert scales.infer_scale(x, "x") == "unit"


def test_a_negative_zero_counts_as_zero_and_changes_no_bit(backend):
    x = (PIXELS * (RNG.random(PIXELS.shape) < 0.5)).astype(np.float32) / 255
    negative = np.where(x == 0, np.float32(-0.0), x)
    net, other, plain = trained(x), trained(negative), network()
    assert scales.to_rows(negative, "unit", "x").dtype == np.uint8
    plain.scale = "numbers"  # which keeps the numbers as they are
    plain.fit(negative, Y, epochs=2, batch_size=16)
    assert net.values.tobytes() == other.values.tobytes() == plain.values.tobytes()
    proba = net.predict_proba(x)
    assert proba.tobytes() == net.predict_proba(negative).tobytes() == plain.predict_proba(negative).tobytes()


def test_predictions_do_not_depend_on_other_rows_that_are_no_255ths():
    net = trained(PIXELS / 255)
    x = np.resize(PIXELS, (5000, 16)) / np.float32(255)
    mixed = x.copy()
    mixed[4500, 3] = 0.3
    expected, found = net.predict_proba(x), net.predict_proba(mixed)
    assert np.delete(found, 4500, 0).tobytes() == np.delete(expected, 4500, 0).tobytes()
    alone = net.predict_proba(mixed[4500:4501])[0]
    if fd.backend_name() == "numpy":  # a BLAS may add the products of one row in another order
        np.testing.assert_allclose(found[4500], alone, rtol=1e-6)
    else:
        assert found[4500].tobytes() == alone.tobytes()
    plain, labels = copy.deepcopy(net), np.resize(Y, 5000)
    plain.scale = "numbers"  # which keeps the numbers as they are
    assert net.evaluate(x, labels) == plain.evaluate(x, labels)
    assert net.evaluate(mixed, labels) == plain.evaluate(mixed, labels)
    mixed[4500, 3] = 11
    with pytest.raises(
        ValueError, match="about 0 … 1, like the network's training images; got values from 0 to 11"
    ):
        net.predict(mixed)


def test_a_first_layer_that_is_asked_for_it_returns_the_gradient_of_255ths():
    x, loss = PIXELS / np.float32(255), fd.SoftmaxCrossEntropy()
    for scale in ("unit", None):
        net = network()
        net.scale = scale
        assert net.forward(x, training=True).shape == (96, 3)
        loss.forward(net.forward(x, training=True), Y)
        assert net.backward(loss.backward()) is None
        net.layers[0].needs_input_gradient = True
        loss.forward(net.forward(x, training=True), Y)
        dx = net.backward(loss.backward())
        assert dx.shape == x.shape
        assert dx.any()


@pytest.mark.parametrize("scale", ["unit", None])
def test_images_of_0_to_1_are_not_augmented_although_they_become_bytes(scale):
    some = fd.Augmentation(rotation=20, shift=1)
    for x in (PIXELS / 255, MASKS.astype(float), MASKS.astype(bool)):
        net = network()
        net.scale = scale
        with pytest.raises(ValueError, match=r"must hold pixels, .*; got numbers from 0 to 1, of scale"):
            net.fit(x, Y, augment=some)


ROADS = {
    "predict": lambda net, x: net.predict(x),
    "predict_proba": lambda net, x: net.predict_proba(x),
    "forward": lambda net, x: net.forward(x),
    "evaluate": lambda net, x: net.evaluate(x, Y),
    "renew_statistics": lambda net, x: net.renew_statistics(x),
    "fit": lambda net, x: net.fit(x, Y, epochs=1),
    "fit: validation": lambda net, x: net.fit(net.own, Y, epochs=1, validation_data=(x, Y)),
    "find_lr": lambda net, x: net.find_lr(x, Y, steps=10),
}


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize(
    ("learned", "x", "message"),
    [
        (PIXELS, PIXELS / 255, r"pixels 0 … 255, .* from 0 to 1: images of 0 … 1 become pixels by x \* 255"),
        (PIXELS, PIXELS / 127.5 - 1, "pixels 0 … 255, .* from -1 to 1: bring them to the scale of the train"),
        (PIXELS, PIXELS / 64.0 - 2, "pixels 0 … 255, .* from -2 to 1.98438: bring them to"),
        (
            PIXELS,
            PIXELS.astype(np.uint16) * 257,
            r"pixels 0 … 255, .* from 0 to 65535: images of 16 bits become pixels by x / 257",
        ),
        (
            PIXELS,
            PIXELS * -2.0,
            "pixels 0 … 255, .* from -510 to 0: bring them to the scale of the training images",
        ),
        (
            PIXELS / 255,
            PIXELS,
            "numbers of about 0 … 1, .* from 0 to 255: divide pixels 0 … 255 by 255, x / 255",
        ),
        (PIXELS / 255, PIXELS * 1.5, "numbers of about 0 … 1, .* from 0 to 382.5"),
        (PIXELS / 255, PIXELS.astype(int) - 100, "numbers of about 0 … 1, .* from -100 to 155"),
    ],
)
def test_values_that_cannot_be_meant_are_refused_on_every_road(road, learned, x, message):
    net = trained(learned)
    net.own = learned
    before = net.values.tobytes(), [one.tobytes() for one in net.buffers().values()], net.epochs_trained
    with pytest.raises(ValueError, match=f"^{road.partition(':')[0]}: .*x must hold {message}"):
        ROADS[road](net, x)
    assert before == (
        net.values.tobytes(),
        [one.tobytes() for one in net.buffers().values()],
        net.epochs_trained,
    )


@pytest.mark.parametrize(
    ("learned", "x"),
    [
        (PIXELS, PIXELS[:1] * 0),
        (PIXELS, MASKS),  # a dark picture
        (PIXELS, PIXELS + 0.5),
        (PIXELS, PIXELS * 1.2 - 20.0),
        (PIXELS / 255, PIXELS / 100),
        (PIXELS / 255, PIXELS / 255 - 0.5),
        (SMALL, PIXELS),
        (SMALL, SMALL / 3 - 1),
    ],
)
def test_values_that_may_be_meant_are_read(learned, x):
    net = trained(learned)
    rows = np.asarray(x, np.float32) / np.float32(255 if net.scale == "pixels" else 1)
    assert net.predict_proba(x).tobytes() == net._predictor.probabilities(net.layers, rows).tobytes()


def test_the_batch_decides_as_a_whole_however_it_is_cut():
    net = trained(PIXELS)
    x = np.full((9, 16), 2.5)
    with pytest.raises(ValueError, match="must hold pixels"):
        net.predict(x)
    x[-1] = 100
    expected = net.evaluate(x, Y[:9])
    assert net.evaluate(x, Y[:9], batch_size=1) == pytest.approx(expected, rel=1e-6)
    many = np.full((5000, 16), 2.5)
    many[-1] = 100
    assert net.predict(many).tolist() == [*[net.predict(x)[0]] * 4999, net.predict(x)[-1]]


def test_a_network_whose_scale_is_not_known_reads_as_before():
    net = trained(PIXELS)
    net.scale = None
    expected = net.predict_proba(PIXELS)
    assert net.predict_proba(PIXELS / 255).tobytes() == expected.tobytes()
    assert abs(net.predict_proba(PIXELS.astype(int)) - expected).max() > 0.01
    net.fit(PIXELS / 255, Y, epochs=1)
    assert net.scale is None


# -- keeping -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [*KINDS, None])
def test_copies_pickles_and_files_keep_the_scale(scale, tmp_path):
    net = trained(KINDS[scale or "pixels"])
    net.scale = scale
    net.save(tmp_path / "model.safetensors")
    kept = [net.folded(), copy.copy(net), copy.deepcopy(net), pickle.loads(pickle.dumps(net))]
    for other in (*kept, fd.load(tmp_path / "model.safetensors")):
        assert other.scale == scale
    assert (
        net.summary().splitlines()[-1]
        == {
            "pixels": "input: pixels 0 … 255, divided by 255",
            "unit": "input: numbers 0 … 1, as they are",
            "numbers": "input: numbers as they are",
            None: "input: unknown; uint8 is divided by 255, other types are used as they are",
        }[scale]
    )


def test_a_pickle_from_before_loads():
    net = trained(PIXELS)
    state = net.__getstate__()
    del state["_scale"]
    old = fd.NeuralNetwork.__new__(fd.NeuralNetwork)
    old.__setstate__(state)
    assert old.scale is None
    assert old.predict_proba(PIXELS).tobytes() == net.predict_proba(PIXELS).tobytes()


@pytest.mark.parametrize("scale", ["Pixels", None, 255, ["pixels"]])
def test_a_scale_in_a_file_that_is_none_is_refused(scale, tmp_path):
    net = trained(PIXELS)
    net.save(tmp_path / "good")
    metadata, tensors = read(tmp_path / "good", "fastdigits")
    facts = {name: json.loads(value) for name, value in metadata.items() if name in ("architecture", "scale")}
    (tmp_path / "bad").write_bytes(encode(tensors, "fastdigits", **facts | {"scale": scale}))
    with pytest.raises(fd.ModelFileError, match="bad: its metadata must describe a network; got: scale must"):
        fd.load(tmp_path / "bad")


def test_the_network_of_the_package_takes_pixels():
    assert fd.load_pretrained().scale == "pixels"


class Stop(fd.Callback):
    def on_epoch_end(self, epoch, network, history):
        raise KeyboardInterrupt


def test_a_training_goes_on_with_the_same_values_in_another_dtype(tmp_path):
    whole = trained(PIXELS, callbacks=[fd.Checkpoint(tmp_path / "a", every=4)])
    with pytest.raises(KeyboardInterrupt):
        trained(PIXELS, callbacks=[fd.Checkpoint(tmp_path / "b", every=4), Stop()])
    net = network()
    callbacks = [fd.Checkpoint(tmp_path / "b", every=4), fd.Callback()]
    with pytest.raises(ValueError, match="callbacks must be as in"):
        net.fit(PIXELS, Y, epochs=2, batch_size=16, callbacks=callbacks, resume=tmp_path / "b")
    assert net.scale is None
    (tmp_path / "c").mkdir()
    for path in sorted((tmp_path / "a").iterdir())[:1]:
        (tmp_path / "c" / path.name).write_bytes(path.read_bytes())
    callbacks = [fd.Checkpoint(tmp_path / "c", every=4)]
    other = network()
    other.fit(PIXELS.astype(float), Y, epochs=2, batch_size=16, callbacks=callbacks, resume=tmp_path / "c")
    assert (other.scale, other.values.tobytes()) == ("pixels", whole.values.tobytes())


def test_a_checkpoint_knows_255ths_by_their_float32_values(tmp_path):
    x = PIXELS / np.float32(255)
    images = check_training_images(network(), x, Y, None, 32)
    assert images.rows.dtype == np.uint8
    assert images.digest() == replace(images, rows=x).digest()  # as in checkpoints that have no such rows
    assert images.digest() != check_training_images(network(), PIXELS, Y, None, 32).digest()
    whole = trained(x, callbacks=[fd.Checkpoint(tmp_path / "a", every=4)])
    (tmp_path / "b").mkdir()
    first = min((tmp_path / "a").iterdir())
    (tmp_path / "b" / first.name).write_bytes(first.read_bytes())
    net, callbacks = network(), [fd.Checkpoint(tmp_path / "b", every=4)]
    net.fit(PIXELS / 255, Y, epochs=2, batch_size=16, callbacks=callbacks, resume=tmp_path / "b")
    assert (net.scale, net.values.tobytes()) == ("unit", whole.values.tobytes())


# -- for the commands --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "scale", "expected"),
    [
        (PIXELS, "pixels", PIXELS),
        (PIXELS.astype(float), "pixels", PIXELS),
        (PIXELS / 255, "pixels", PIXELS),
        (PIXELS / np.float32(255), "pixels", PIXELS),
        (MASKS, "pixels", MASKS * 255),
        (MASKS.astype(bool), "pixels", MASKS * 255),
        (PIXELS, "unit", PIXELS / np.float32(255)),
        (SMALL, "unit", SMALL / np.float32(255)),
        (PIXELS / 1.5, "unit", (PIXELS / 1.5).astype(np.float32) / np.float32(255)),
        (PIXELS / 100, "unit", PIXELS / 100),
        (PIXELS / 1.5, "pixels", PIXELS / 1.5),
        (PIXELS / 255, "unit", PIXELS / 255),
        (SMALL, "numbers", SMALL),
        (SMALL - 3.5, "numbers", SMALL - 3.5),
        (PIXELS, None, PIXELS),
        (PIXELS.astype(int), None, PIXELS.astype(int)),
        (PIXELS / 255, None, PIXELS / 255),
    ],
)
def test_pictures_are_given_to_a_network_as_it_takes_them(images, scale, expected):
    given = scales.rescale(images, scale, "a.npy")
    assert given.dtype == expected.dtype or np.asarray(expected).dtype.kind == "f"
    np.testing.assert_array_equal(given, expected)


def test_floats_that_never_were_pixels_keep_their_fractions():
    given = scales.rescale(PIXELS / 300, "pixels", "a.npy")
    np.testing.assert_allclose(given, PIXELS / 300 * 255, rtol=1e-6)


def test_the_whole_data_set_decides_what_pictures_are():
    part, rest = SMALL, PIXELS / 255 * 1000
    np.testing.assert_array_equal(scales.rescale(part, "numbers", "--data", among=(part, rest)), part)
    with pytest.raises(ValueError, match="--data: the model was trained on numbers of its own scale, not on"):
        scales.rescale(part, "numbers", "--data", among=(part, PIXELS))
