"""Arrays of other libraries, and whatever else shows its memory, are taken as they lie; what cannot be is refused."""

import array
import ctypes
import functools
import importlib
import mmap
import sys

import numpy as np
import pytest

import fastdigits as fd
from fastdigits.core.arrays import as_array
from fastdigits.core.validation import check_images
from fastdigits.nn.scales import to_rows

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 3, 4)).astype(np.uint8)
LABELS = np.arange(12) % 3


def network() -> fd.NeuralNetwork:
    return fd.NeuralNetwork([fd.Dense(12, 8), fd.BatchNorm(8), fd.ReLU(), fd.Dense(8, 3)], seed=0)


@functools.cache
def expected() -> bytes:
    return trained(PIXELS, LABELS)


def trained(x: object, y: object) -> bytes:
    """Return what a training through every public door comes to."""
    net = network()
    net.fit(x, y, epochs=2, batch_size=4, validation_data=(x, y), sample_weight=[1.0] * 12)
    net.find_lr(x, y, batch_size=4)
    figures = net.evaluate(x, y)
    assert fd.confusion_matrix(y, net.predict(x), 3).sum() == 12
    return b"".join([net.values.tobytes(), net.predict_proba(x).tobytes(), repr(figures).encode()])


# -- objects that offer one way only -------------------------------------------------------------------------


class OnlyArray:
    def __init__(self, values):
        self._values = values

    def __array__(self, dtype=None, copy=None):
        return self._values


class OnlyOldArray(OnlyArray):
    """As it was before NumPy 2: without ``copy``."""

    def __array__(self):
        return self._values


class OnlyInterface:
    def __init__(self, values):
        self._values = values
        self.__array_interface__ = values.__array_interface__


class OnlyDLPack:
    def __init__(self, values):
        self._values = values

    def __dlpack__(self, **options):
        return self._values.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._values.__dlpack_device__()


@pytest.mark.parametrize("kind", [OnlyArray, OnlyOldArray, OnlyInterface, OnlyDLPack])
def test_one_protocol_is_enough_and_copies_nothing(kind):
    assert np.shares_memory(as_array(kind(PIXELS), "x"), PIXELS)
    assert np.shares_memory(to_rows(check_images(kind(PIXELS), 12, "x"), None, "x"), PIXELS)
    assert trained(kind(PIXELS), kind(LABELS)) == expected()


def buffers() -> dict[str, object]:
    flat = PIXELS.tobytes()
    mapped = mmap.mmap(-1, len(flat))
    mapped.write(flat)
    shown = {
        "memoryview": memoryview(flat).cast("B", (12, 3, 4)),
        "ctypes": ((ctypes.c_uint8 * 4) * 3 * 12).from_buffer_copy(flat),
    }
    rows = {"array": array.array("B", flat), "bytearray": bytearray(flat), "mmap": mapped}
    return shown | {name: memoryview(row).cast("B", (12, 3, 4)) for name, row in rows.items()}


@pytest.mark.parametrize("name", buffers())
def test_a_buffer_is_enough(name):
    buffer = buffers()[name]
    found = as_array(buffer, "x")
    np.testing.assert_array_equal(found, PIXELS)
    assert found.base is not None  # it is the buffer's memory
    assert trained(buffer, array.array("q", LABELS)) == expected()


@pytest.mark.parametrize("make", [lambda row: array.array("B", row), bytearray, memoryview])
def test_a_flat_buffer_is_a_row_of_numbers(make):
    np.testing.assert_array_equal(as_array(make(PIXELS.tobytes()), "x"), PIXELS.reshape(-1))


@pytest.mark.skipif(sys.version_info < (3, 12), reason="classes have offered buffers since Python 3.12 only")
def test_a_class_that_offers_a_buffer_is_enough():
    class OnlyBuffer:
        def __buffer__(self, flags):
            return memoryview(PIXELS)

    assert np.shares_memory(as_array(OnlyBuffer(), "x"), PIXELS)


def test_memory_maps_and_lists(tmp_path):
    np.save(tmp_path / "x.npy", PIXELS)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert as_array(mapped, "x").base is not None
    assert trained(mapped, LABELS.tolist()) == expected()
    assert trained((PIXELS / np.float32(255)).tolist(), list(LABELS)) == trained(
        PIXELS / np.float32(255), LABELS
    )
    mapped._mmap.close()


def test_an_xarray_like_object_is_taken_by_its_array():
    class DataArray(OnlyArray):
        dims = ("image", "row", "column")
        shape = (12, 3, 4)

    assert trained(DataArray(PIXELS), DataArray(LABELS)) == expected()


# -- what is refused -----------------------------------------------------------------------------------------


class OnDevice:
    """As CuPy and others have them: its conversion refuses."""

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    def __dlpack_device__(self):
        return 2, 0

    def __dlpack__(self, **options):
        raise BufferError("on another device")


OnDevice.__module__ = "cupy._core.core"


class OldOnDevice:
    """As Numba has them."""

    __cuda_array_interface__ = {"version": 3}  # noqa: RUF012


class Broken(OnlyArray):
    def __array__(self, dtype=None, copy=None):
        return [1]


class BrokenDLPack(OnlyDLPack):
    def __dlpack__(self, **options):
        return 5


class Sparse:
    def toarray(self):
        return PIXELS


@pytest.mark.parametrize(
    ("values", "error", "match"),
    [
        (OnDevice(), TypeError, r"must be in the CPU's memory; got OnDevice on .* type 2: .* x.get\(\)"),
        (OldOnDevice(), TypeError, "must be in the CPU's memory; got OldOnDevice .* copy it there"),
        (Broken(PIXELS), TypeError, "must be an array that NumPy can read; got Broken: object __array__"),
        (BrokenDLPack(PIXELS), TypeError, "must be an array that NumPy can read; got BrokenDLPack: "),
        (Sparse(), TypeError, r"must hold real numbers; .* from Sparse: it is sparse, x.toarray\(\)"),
        (b"\0\1", TypeError, r"must hold real numbers; .* from bytes: np.frombuffer\(x, np.uint8\)"),
        (object(), TypeError, "must hold real numbers; got dtype object from object: convert it"),
        (np.ones((2, 2), complex), TypeError, "must hold real numbers; got dtype complex128"),
        (np.zeros(2, "V2"), TypeError, r"must hold real numbers; got dtype \|V2"),
        (np.zeros(2, [("a", "f4")]), TypeError, "must hold real numbers; got dtype .*'a'"),
        ([[1], [1, 2]], ValueError, "must be an array with rows of equal length; got list: "),
        (np.ma.masked_array([1, 2], [True, False]), ValueError, "must have no masked values"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_what_cannot_be_seen_is_refused(values, error, match):
    with pytest.raises(error, match=f"^predict: x {match}"):
        as_array(values, "predict: x")


def test_a_refusal_changes_nothing():
    net = network()
    before = net.values.copy()
    with pytest.raises(TypeError, match="fit: x must be in the CPU's memory"):
        net.fit(OnDevice(), LABELS)
    np.testing.assert_array_equal(net.values, before)


# -- PyTorch -------------------------------------------------------------------------------------------------


@pytest.fixture
def torch():
    return importlib.import_module("torch")


@pytest.mark.needs("torch")
def test_tensors_are_seen_where_they_lie(torch):
    x, y = torch.tensor(PIXELS), torch.tensor(LABELS)
    assert np.shares_memory(as_array(x, "x"), x.numpy())
    assert np.shares_memory(to_rows(check_images(x, 12, "x"), None, "x"), x.numpy())
    assert trained(x, y) == expected()
    assert trained(x.permute(0, 2, 1), y) == trained(PIXELS.transpose(0, 2, 1), LABELS)


@pytest.mark.needs("torch")
def test_a_tensor_that_requires_a_gradient_is_numbers_and_keeps_its_graph(torch):
    x = torch.tensor(PIXELS / np.float32(255), requires_grad=True)
    through = x * 1
    assert np.shares_memory(as_array(x, "x"), x.detach().numpy())
    assert trained(through, LABELS) == trained(PIXELS / np.float32(255), LABELS)
    assert through.requires_grad
    assert x.grad is None
    assert as_array(torch.nn.Parameter(x), "x").dtype == np.float32


@pytest.mark.needs("torch")
@pytest.mark.parametrize(
    "kind", ["bfloat16", "float16", "float64", "float8_e4m3fn", "float8_e5m2", "bool", "int16"]
)
def test_tensors_of_each_kind_keep_their_values(torch, kind):
    tensor = torch.tensor([[0.0, 0.5], [1.0, 1.75]]).to(getattr(torch, kind))
    found = as_array(tensor, "x")
    assert found.tolist() == tensor.tolist()
    assert found.dtype.kind in "bif"


@pytest.mark.needs("torch")
def test_tensors_that_cannot_be_seen_are_refused(torch):
    with pytest.raises(TypeError, match=r"x must be an array that NumPy can read; got Tensor: .*meta.*cpu"):
        as_array(torch.ones(2, 2, device="meta"), "x")
    with pytest.raises(
        TypeError, match=r"x must be an array that NumPy can read; got Tensor: .*to_dense\(\)"
    ):
        as_array(torch.eye(2).to_sparse(), "x")
    with pytest.raises(TypeError, match="x must hold real numbers; got dtype complex64 from Tensor"):
        as_array(torch.ones(2, dtype=torch.complex64), "x")


@pytest.mark.needs("torch")
def test_a_tensor_on_a_gpu_is_told_the_way(torch, monkeypatch):
    monkeypatch.setattr(torch.Tensor, "__dlpack_device__", lambda self: (2, 0))  # there is no GPU here
    with pytest.raises(TypeError, match=r"x must be in the CPU's memory; got Tensor on .*, x\.cpu\(\)"):
        as_array(torch.ones(2, 2), "x")


# -- JAX -----------------------------------------------------------------------------------------------------


@pytest.fixture
def jnp():
    return importlib.import_module("jax.numpy")


@pytest.mark.needs("jax")
def test_arrays_of_jax_are_seen_where_they_lie(jnp):
    x, y = jnp.asarray(PIXELS), jnp.asarray(LABELS)
    assert np.shares_memory(as_array(x, "x"), np.asarray(x))
    assert trained(x, y) == expected()


@pytest.mark.needs("jax")
def test_bfloat16_of_jax_becomes_float32(jnp):
    x = jnp.asarray([[0.0, 0.5], [1.0, 1.75]], jnp.bfloat16)
    found = as_array(x, "x")
    assert found.dtype == np.float32
    assert found.tolist() == x.tolist()


@pytest.mark.needs("jax")
def test_what_jax_only_traces_is_refused(jnp):
    import jax

    with pytest.raises(TypeError, match=r"x must be an array that NumPy can read; got .*Tracer"):
        jax.jit(lambda x: as_array(x, "x"))(jnp.ones(2))
    with pytest.raises(TypeError, match=r"x must be an array that NumPy can read; got .*: .*key_data"):
        as_array(jax.random.key(0), "x")


# -- pandas --------------------------------------------------------------------------------------------------


@pytest.fixture
def pandas():
    return importlib.import_module("pandas")


@pytest.mark.needs("pandas")
@pytest.mark.parametrize("kind", ["Int64", "UInt8", "Float32", "mixed"])
def test_a_frame_that_may_lack_values_is_taken_where_it_lacks_none(pandas, kind):
    frame = pandas.DataFrame(np.arange(12).reshape(3, 4) % 2)
    given = frame.astype({0: "Int64", 1: "float64", 2: "UInt8", 3: "boolean"} if kind == "mixed" else kind)
    np.testing.assert_array_equal(as_array(given, "x"), frame)
    lacking = frame.astype("Int64").where(frame != 0)
    with pytest.raises(TypeError, match=r"values are missing, x.fillna\(0\)"):
        as_array(lacking, "x")
    np.testing.assert_array_equal(as_array(lacking.fillna(0), "x"), frame)  # what the message says


@pytest.mark.needs("pandas")
def test_frames_and_series(pandas):
    frame = pandas.DataFrame(PIXELS.reshape(12, 12), columns=[f"pixel{place}" for place in range(12)])
    labels = pandas.Series(LABELS, index=range(100, 112))
    assert np.shares_memory(as_array(frame, "x"), frame.to_numpy())
    assert trained(frame, labels) == expected()
    assert trained(frame, labels.astype("Int64")) == expected()
    assert trained(frame, labels.astype("category")) == expected()


@pytest.mark.needs("pandas")
def test_a_frame_of_different_numbers_becomes_floats(pandas):
    frame = pandas.DataFrame({"a": [1, 2], "b": [0.5, 1.0], "c": [True, False]}).astype({"c": float})
    assert as_array(frame, "x").tolist() == [[1, 0.5, 1], [2, 1, 0]]


@pytest.mark.needs("pandas")
def test_columns_that_hold_no_numbers_are_named(pandas):
    frame = pandas.DataFrame(
        {"dtype": [1, 2], "name": ["x", "y"], "when": pandas.to_datetime(["2020", "2021"])}
    )
    with pytest.raises(
        TypeError, match=r"x must hold real numbers; .*: drop or number the columns name, when$"
    ):
        as_array(frame, "x")


@pytest.mark.needs("pandas")
def test_missing_values_are_refused(pandas):
    frame = pandas.DataFrame({"a": [1, None], "b": [3, 4]})
    with pytest.raises(ValueError, match="x must be finite"):
        to_rows(check_images(frame, 2, "x"), None, "x")
    with pytest.raises(TypeError, match=r"x must hold real numbers; .*: values are missing, x\.fillna\(0\)"):
        as_array(frame.astype("Int64"), "x")
