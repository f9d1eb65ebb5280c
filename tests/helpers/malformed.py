"""Valid and malformed files for each reader of the package.

    python tests/helpers/malformed.py READER FOLDER

Read the malformed files of one reader in turn, in at most 1 GB of memory (Linux). Print a line of JSON for each: the
error and its message, the seconds, and the peak of memory in megabytes.
"""

import gzip
import io
import json
import re
import struct
import sys
import tempfile
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

import fastdigits as fd
from fastdigits.commands import train_options

NAMES = {  # of the file for each reader, which chooses the format by its name
    "idx": "a-idx3-ubyte",
    "gzip": "a-idx3-ubyte.gz",
    "npz": "a.npz",
    "csv": "a.csv",
    "csv.gz": "a.csv.gz",
    "model": "a.safetensors",
    "checkpoint": "checkpoint-000000000001.safetensors",
    "callbacks": "checkpoint-000000000001.safetensors",
    "settings": "settings.json",
    "recipe": "recipe.json",
    "picture": "a.png",
}
READERS = list(NAMES)
REFUSALS = fd.DataError, fd.ModelFileError


def network() -> fd.NeuralNetwork:
    return fd.NeuralNetwork(
        [fd.Dense(4, 3), fd.BatchNorm(3), fd.ReLU(), fd.Dropout(0.1), fd.Dense(3, 2)], seed=0
    )


class Checkpoint(fd.Checkpoint):
    """A `fastdigits.Checkpoint` that writes no file: the folder holds the malformed one."""

    def __init__(self) -> None:
        super().__init__(".", every=10**9)


def train(**options) -> None:
    x, y = np.arange(64, dtype=np.uint8).reshape(16, 4), np.arange(16) % 2
    network().fit(x, y, epochs=2, batch_size=4, **options)


def with_callbacks(checkpoint: fd.Checkpoint) -> dict[str, object]:
    """Return arguments of `fit` that put every kind of state into a checkpoint."""
    optimizer = fd.Adam()
    plateau = fd.ReduceOnPlateau(optimizer, monitor="loss")
    callbacks = [fd.EarlyStopping("loss"), plateau, checkpoint]
    return {"optimizer": optimizer, "average": fd.EMA(0.9), "callbacks": callbacks}


def read(reader: str, path: Path) -> None:
    """Read the file with one reader, and use the result."""
    if reader in ("idx", "gzip"):
        fd.read_idx(path)
    elif reader == "model":
        fd.load(path).predict_proba(np.zeros((1, 4), np.uint8))
    elif reader == "picture":
        for reads in (fd.prepare, fd.cut_digits):
            reads(path)
    elif reader == "checkpoint":
        train(callbacks=[Checkpoint()], resume=path.parent)
    elif reader == "callbacks":
        train(**with_callbacks(Checkpoint()), resume=path.parent)
    elif reader == "settings":
        train_options.from_record(path.parent)
    elif reader == "recipe":
        fd.recipes.load(path)
    else:
        fd.load_data(path)


# -- valid files ---------------------------------------------------------------------------------------------

IDX = struct.pack(">BBBB3I", 0, 0, 8, 3, 2, 3, 3) + bytes(range(18))
CSV = b"label,pixel0,pixel1,pixel2,pixel3\n" + b"0,1,2,3,4\n1,0,0,0,255\n" * 4


def valid_files(reader: str) -> list[bytes]:
    """Return the contents of small files that the reader accepts."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if reader == "idx":
            return [IDX, struct.pack(">BBBBI", 0, 0, 8, 1, 4) + b"\0\1\2\3"]
        if reader == "gzip":
            return [gzip.compress(IDX, mtime=0)]
        if reader == "npz":
            return [npz(x=npy((8, 2, 2), bytes(32)), y=npy((8,), bytes([0, 1] * 4)))]
        if reader.startswith("csv"):
            return [CSV if reader == "csv" else gzip.compress(CSV, mtime=0)]
        if reader == "picture":
            return [picture(format) for format in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "PPM")]
        if reader == "model":
            network().save(folder / "a")
            return [(folder / "a").read_bytes()]
        if reader == "settings":
            options = train_options.read(["--epochs", "3", "--augment", "rotation=5", "--ema", "0.9"])
            options.command, options.resumed = "python -m fastdigits.train --epochs 3", 0
            return [json.dumps(train_options.to_record(options), indent=2).encode()]
        if reader == "recipe":
            train_options.recipe(train_options.read(["--augment", "rotation=5", "--ema", "0.9"])).save(
                folder / "a"
            )
            return [(folder / "a").read_bytes()]
        checkpoint = fd.Checkpoint(folder / "c", every=3)
        train(**(with_callbacks(checkpoint) if reader == "callbacks" else {"callbacks": [checkpoint]}))
        return [path.read_bytes() for path in sorted((folder / "c").iterdir())]


def picture(format: str) -> bytes:
    """Return a picture of one stroke, encoded."""
    from PIL import Image

    image = np.full((24, 24), 250, np.uint8)
    image[4:20, 10:13] = 10
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format)
    return stream.getvalue()


# -- malformed files -----------------------------------------------------------------------------------------


def malformed_files(reader: str) -> dict[str, bytes]:
    """Return the contents of malformed files by what is wrong with them."""
    return MALFORMED[reader]()


def idx_header(*shape: int) -> bytes:
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape)


def malformed_idx() -> dict[str, bytes]:
    return {
        "a byte more than there is": idx_header(2, 3, 4) + bytes(23),
        "4 GB": idx_header(2**16, 2**16) + bytes(10),
        "2^128 elements": idx_header(*(2**32 - 1,) * 4),
        "no images of 2^96 bytes each": idx_header(0, *(2**32 - 1,) * 3),
    }


def malformed_gzip() -> dict[str, bytes]:
    return {name: gzip.compress(content, 1) for name, content in malformed_idx().items()} | {
        "64 MB behind ten bytes": gzip.compress(idx_header(10) + bytes(10 + 2**26), 1),
        "a compressed file in a compressed file": gzip.compress(
            gzip.compress(idx_header(10) + bytes(2**26), 9), 9
        ),
        "4 GB announced, 64 MB there": gzip.compress(idx_header(2**16, 2**16) + bytes(2**26), 1),
        "80 MB of zeros, as announced": gzip.compress(idx_header(80 * 2**20) + bytes(80 * 2**20), 1),
        "thousands of empty members": gzip.compress(b"", mtime=0) * 50_000,
    }


def npy(shape: object, data: bytes = b"", descr: str = "|u1", header: bytes = b"", version: int = 1) -> bytes:
    header = header or repr({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    return (
        b"\x93NUMPY"
        + bytes([version, 0])
        + struct.pack("<H" if version == 1 else "<I", len(header))
        + header
        + data
    )


def npz(compression: int = zipfile.ZIP_DEFLATED, **members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content, compression)
    return stream.getvalue()


def malformed_npz() -> dict[str, bytes]:
    y = npy((12,), bytes(range(3)) * 4)
    whole = npz(x=npy((12, 4), bytes(48)), y=y)
    twice = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(twice, "w") as archive:
        warnings.simplefilter("ignore", UserWarning)
        for _ in range(2):
            archive.writestr("x.npy", npy((12, 4), bytes(48)))
    shapes = {
        "2^62 rows": (2**62, 4),
        "2^124 numbers": (2**62, 2**62),
        "8 GB": (2**33,),
        "negative": (-1, 4),
    }
    shapes |= {"half a row": (1.5, 4), "no rows of 2^62 bytes each": (0, 2**62)}
    headers = {
        "nested brackets": b"(" * 9000,
        "minus signs": b"-" * 9000 + b"1",
        "no dictionary": b"1",
        "no end": b"{'descr': '",
    }
    return {
        **{name: npz(x=npy(shape, bytes(48)), y=y) for name, shape in shapes.items()},
        **{f"a header of {name}": npz(x=npy(0, header=header), y=y) for name, header in headers.items()},
        "a header of 64 MB": npz(x=npy(0, header=b" " * 2**26, version=2), y=y),
        "a header of 4 GB": npz(x=b"\x93NUMPY\2\0" + b"\xff" * 4 + b" " * 100, y=y),
        "strings of 2 GB": npz(x=npy((12, 4), bytes(48)), y=npy((12,), descr="<U500000000")),
        "numbers of zero bytes": npz(x=npy((2**40, 4), descr="|V0"), y=y),
        "labels that are NaN": npz(x=npy((2, 4), bytes(8)), y=npy((2,), b"\0\0\xc0\x7f" * 2, "<f4")),
        "one member twice": twice.getvalue(),
        "80 MB of zeros": npz(x=npy((20 * 2**20, 4), bytes(80 * 2**20)), y=y),
        "80 MB of zeros, packed without a bound": npz(
            zipfile.ZIP_BZIP2, x=npy((20 * 2**20, 4), bytes(80 * 2**20)), y=y
        ),
        "a header of another length": npz(x=npy((12, 4), bytes(47)), y=y),
        "truncated": whole[:-30],
    }


def malformed_csv() -> dict[str, bytes]:
    return {
        "a heading of 16 MB": b"," * 2**24,
        "a line of 16 MB": CSV + b"1," * 2**23,
        "a quote that is not closed": CSV + b'1,"' + b"0,\n" * 2**19,
        "pixels that are text": CSV + b"1,one,two,three,four\n",
        "zero bytes between": CSV + b"1,\0,\0,\0,\0\n",
        "a number of 100,000 digits": CSV + b"1," + b"9" * 100_000 + b",0,0,0\n",
        "a pixel that is NaN": CSV + b"1,nan,0,0,0\n",
        "labels of 1,001 characters": CSV + b"w" * 1001 + b",1,2,3,4\n",
        "10,001 classes": CSV + b"".join(b"w%d,1,2,3,4\n" % number for number in range(10_001)),
        "a class that is missing": CSV + b"nan,1,2,3,4\n",
        "surrogates": CSV + b"\xed\xa0\x80,1,2,3,4\n",
        "a word beyond the heading": b"a,b\n0,1,word\n",
    }


def malformed_csv_gz() -> dict[str, bytes]:
    return {name: gzip.compress(content, 1) for name, content in malformed_csv().items()} | {
        "64 MB in one line": gzip.compress(b"0" * 2**26, 1),
        "64 MB in the second line": gzip.compress(CSV + b"1," * 2**25, 1),
        "64 MB of short lines": gzip.compress(CSV[:34] + b"0,0,0,0,0\n" * (2**26 // 10), 1),
        "a compressed file in a compressed file": gzip.compress(gzip.compress(bytes(2**26), 9), 9),
        "no end after a wrong cell": bytes.fromhex(
            "1f8b0800030000000203cb494c4acdd129c8ac48cd3080508610ca0842197398eb701919731873eb1998701973a9"
        ),
    }


def tensors(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    """Return a safetensors file with this header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def malformed_headers(whole: bytes) -> dict[str, bytes]:
    """Return a safetensors file with malformed headers."""
    stop = 8 + int.from_bytes(whole[:8], "little")
    header, data = json.loads(whole[8:stop]), whole[stop:]
    name = next(name for name in header if name.endswith("dense1.weight"))
    begin, end = header[name]["data_offsets"]
    nothing = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}

    def entry(**changes: object) -> bytes:
        return tensors(header | {name: header[name] | changes}, data)

    return {
        "a header of 2^62 bytes": tensors(header, data, 2**62),
        "a header of 2^64 - 1 bytes": tensors(header, data, 2**64 - 1),
        "a header beyond the file": tensors(header, data, len(whole)),
        "a tensor beyond the file": entry(data_offsets=[begin, end + 2**40]),
        "a tensor of 2^62 rows": entry(shape=[2**62, 4]),
        "a tensor of 2^124 numbers": entry(shape=[2**62, 2**62]),
        "a tensor with a negative number of rows": entry(shape=[-4, 3]),
        "a tensor that ends before it begins": entry(data_offsets=[end, begin]),
        "overlapping tensors": entry(data_offsets=[begin + 4, end + 4]),
        "two tensors in one place": tensors(header | {"other": header[name]}, data),
        "a tensor of float16": entry(dtype="F16"),
        "a tensor of NaN": whole[: stop + begin] + b"\0\0\xc0\x7f" * 12 + whole[stop + end :],
        "a gap between tensors": tensors(header, bytes(8) + data),
        "a header of nested lists": tensors(b"[" * 10**5),
        "a header of nested objects": tensors(b'{"a":' * 10**5),
        "a header that is a list": tensors([]),
        "a header that is NaN": tensors(b'{"a":NaN}'),
        "a name twice": tensors(whole[8:stop].rstrip().replace(b"{", b'{"__metadata__":{},', 1), data),
        "a number of 10,000 digits": tensors(b'{"a":' + b"9" * 10_000 + b"}"),
        "a name that is not valid Unicode": tensors(
            b'{"\\ud800":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'
        ),
        "nine thousand tensors": tensors(
            header | dict.fromkeys((f"t{i}" for i in range(9_000)), nothing), data
        ),
        "fifty thousand tensors": tensors(
            header | dict.fromkeys((f"t{i}" for i in range(50_000)), nothing), data
        ),
        "a hundred thousand tensors": tensors(
            header | dict.fromkeys((f"t{i}" for i in range(100_000)), nothing), data
        ),
    }


def with_metadata(whole: bytes, name: str, values: dict[str, str]) -> dict[str, bytes]:
    """Return a safetensors file with each of these values, as JSON, for one entry of its metadata."""
    stop = 8 + int.from_bytes(whole[:8], "little")
    header, data = json.loads(whole[8:stop]), whole[stop:]
    return {
        case: tensors(header | {"__metadata__": header["__metadata__"] | {name: value}}, data)
        for case, value in values.items()
    }


def changed(text: str, pattern: str, value: str) -> str:
    found, times = re.subn(pattern, lambda _: value, text, count=1)
    assert times == 1, pattern
    return found


def metadata(whole: bytes, name: str) -> str:
    """Return one entry of the metadata of a safetensors file."""
    stop = 8 + int.from_bytes(whole[:8], "little")
    text = json.loads(whole[8:stop])["__metadata__"][name]
    assert isinstance(text, str)
    return text


NUMBERS = {
    "NaN": "NaN",
    "infinity": "1e999",
    "2^70": str(2**70),
    "text": '"1"',
    "a list": "[]",
    "null": "null",
}
NUMBERS |= {"negative": "-1", "10,000 digits": "9" * 10_000, "nested lists": "[" * 10**5}


def malformed_model() -> dict[str, bytes]:
    (whole,) = valid_files("model")
    text = metadata(whole, "architecture")
    layer = '{"kind": "ReLU", "config": {}}, '
    values = {
        f"epochs: {name}": changed(text, r'(?<="epochs_trained": )\d+', value)
        for name, value in NUMBERS.items()
    }
    del values["epochs: 2^70"]  # a valid number of epochs
    for place in ("n_in", "n_out", "rate"):
        values |= {
            f"{place}: {name}": changed(text, rf'(?<="{place}": )[\d.]+', value)
            for name, value in NUMBERS.items()
        }
    values |= {
        "a layer of 2^62 by 2^62": changed(
            text, r'"n_in": 4, "n_out": 3', f'"n_in": {2**62}, "n_out": {2**62}'
        ),
        "ten thousand layers of which one does not fit": changed(
            text, r'(?<="layers": \[)', layer * 10_000
        ).replace('"n": 3', '"n": 5'),
        "an unknown kind of layer": changed(text, '"ReLU"', '"os.system"'),
    }
    return malformed_headers(whole) | with_metadata(whole, "architecture", values)


def malformed_checkpoint() -> dict[str, bytes]:
    whole = valid_files("checkpoint")[-1]
    text = metadata(whole, "state")
    values = {"no state": "null", "nested objects": '{"settings":' * 10**5, "a list": "[]"}
    for place in ("epoch", "step", "epochs_trained", "lr", "seconds", "dropout1", "optimizer"):
        pattern = rf'(?<="{place}": )[\d.e-]+'
        values |= {f"{place}: {name}": changed(text, pattern, value) for name, value in NUMBERS.items()}
    for name in ("seconds: 2^70", "lr: 2^70"):  # unusual, but valid numbers
        del values[name]
    return malformed_headers(whole) | with_metadata(whole, "state", values)


def malformed_callbacks() -> dict[str, bytes]:
    """Return checkpoints with malformed state of callbacks, optimizer and average, or a malformed history."""
    whole = valid_files("callbacks")[-1]
    stop = 8 + int.from_bytes(whole[:8], "little")
    header, data = json.loads(whole[8:stop]), whole[stop:]
    text = metadata(whole, "state")
    values = {"callbacks: one missing": changed(text, r'(?<="callbacks": \[)\{[^}]*\}, ', "")}
    for place in ("best_epoch", "best", "waited", "average"):
        pattern = rf'(?<="{place}": )[\d.e-]+'
        values |= {f"{place}: {name}": changed(text, pattern, value) for name, value in NUMBERS.items()}
        values[f"{place}: there twice"] = changed(text, rf'(?="{place}")', f'"{place}": 1, ')
    for place in ("epoch", "loss", "accuracy", "lr", "seconds"):
        pattern = rf'(?<="{place}": \[)[^\]]*'
        values |= {
            f"history: {place}: {name}": changed(text, pattern, value) for name, value in NUMBERS.items()
        }
        values[f"history: {place}: one too many"] = changed(text, rf'(?<="{place}": \[)', "1, ")
    for name in ("loss", "lr", "seconds"):  # unusual, but valid numbers
        del values[f"history: {name}: 2^70"]
    found = with_metadata(whole, "state", values)
    for name in (
        "callback/0/values", "callback/0/batchnorm1.running_var", "optimizer/v/dense1.weight", "average/dense1.weight",
        "network/batchnorm1.running_var",
    ):  # fmt: skip
        begin, end = header[name]["data_offsets"]
        count = (end - begin) // 4
        for what, value in (("NaN", np.nan), ("infinity", np.inf), ("negative", -1)):
            number = struct.pack("<f", value)
            if what != "negative" or "running_var" in name or "/v/" in name:
                found[f"{name}: {what}"] = whole[: stop + begin] + number * count + whole[stop + end :]
        for what, shape in (("one for all", [1]), ("no dimensions", [])):
            entry = header[name] | {"shape": shape, "data_offsets": [0, 4]}
            rest = [other for other in header if other not in ("__metadata__", name)]
            parts, places, place = [data[:4]], {}, 4
            for other in sorted(rest, key=lambda other: header[other]["data_offsets"]):
                first, last = header[other]["data_offsets"]
                places[other] = header[other] | {"data_offsets": [place, place + last - first]}
                parts.append(data[first:last])
                place += last - first
            found[f"{name}: {what}"] = tensors(
                {"__metadata__": header["__metadata__"], name: entry, **places}, b"".join(parts)
            )
    return found


WRONG = {  # values for an entry of the settings
    "null": None, "true": True, "false": False, "text": "x", "a number in quotes": "1", "a half": 1.5,
    "a thousand as a float": 1e3, "negative": -1, "400 digits": 10**400, "infinity": float("inf"),
    "NaN": float("nan"), "a list": [], "a list of text": ["1"], "lists in lists": [[1]], "an object": {},
    "an object with an unknown key": {"x": 1}, "a zero byte": "\0", "an escape sequence": "\x1b]0;x\x07",
    "invalid Unicode": "\ud800",
}  # fmt: skip
ACCEPTED = {  # the values of these that an option accepts; `load_data` checks the name of the data
    "preset": ("null",), "hidden": ("a list",), "no_plots": ("true", "false"), "backend": ("null",),
    "augment": ("null",), "ema": ("null",), "swa": ("null",), "momentum": ("null",), "weight_decay": ("null",),
    "patience": ("null",), "checkpoint_every": ("null",), "batch_shards": ("null",), "average_every": ("null",),
    "adversarial": ("a half", "a thousand as a float"), "moment_norm": ("true", "false"),
    "clip_norm": ("null", "a half", "a thousand as a float"), "learning_rate": ("a half", "a thousand as a float"),
    "data": ("text", "a number in quotes", "a zero byte", "an escape sequence", "invalid Unicode"), "size": ("null",),
    "window": ("null",),
    "label_column": ("null", "text", "a number in quotes", "a zero byte", "an escape sequence", "invalid Unicode"),
    "recipe": ("null", "text", "a number in quotes", "an escape sequence", "invalid Unicode"),
}  # fmt: skip


def malformed_settings() -> dict[str, bytes]:
    (whole,) = valid_files("settings")
    record = json.loads(whole)
    found = malformed_json(whole, ACCEPTED, "seed")
    found |= {
        f"{key}: missing": json.dumps({name: record[name] for name in record if name != key}).encode()
        for key in record
    }
    command = record["command"]
    lines = {
        "another program": "rm -rf /", "a second command after it": f"{command}; rm -rf /",
        "a command in it": f"{command} $(rm x)", "a second line": f"{command}\nrm x",
        "another command": command.replace("train", "draw"), "a variable before it": f"LD_PRELOAD=x {command}",
        "a quote": f"{command} '", "an escape sequence": f"{command} \x1b[31m",
    }  # fmt: skip
    together = {
        "both averages": {"swa": 0.5}, "a momentum for Adam": {"momentum": 0.5},
        "a weight decay for Adam": {"weight_decay": 0.1}, "patience without images": {"patience": 2},
        "a width of 64.5": {"hidden": [64.5]}, "a width of 0": {"hidden": [0]}, "an ema of 1": {"ema": 1},
        "a width that is true": {"hidden": [True]}, "a seed of 2^128": {"seed": 2**128},
        "a run that was resumed too often": {"resumed": 10**10}, "an unknown name": {"threads": 3},
    }  # fmt: skip
    together |= {f"a command: {name}": {"command": line} for name, line in lines.items()}
    return found | {name: json.dumps(record | entries).encode() for name, entries in together.items()}


def malformed_json(whole: bytes, accepted: dict[str, tuple[str, ...]], integer: str) -> dict[str, bytes]:
    """Return wrong values for each setting in a valid file, and files that are no JSON object."""
    record = json.loads(whole)
    found = {
        f"{key}: {name}": json.dumps(record | {key: value}).encode()
        for key in record
        for name, value in WRONG.items()
        if name not in accepted.get(key, ())
    }
    for name, value in WRONG.items():
        if name not in ("a half", "a thousand as a float"):
            wrong = record | {"augment": record["augment"] | {"rotation": value}}
            found[f"rotation: {name}"] = json.dumps(wrong).encode()
    number = rf'(?<="{integer}": )\d+'
    return found | {
        "an empty file": b"",
        "a list": b"[]",
        "a name twice": whole.replace(b"{", b'{"epochs": 3,', 1),
        "nested objects": b'{"epochs":' * 10**5,
        "nested lists": changed(whole.decode(), number, "[" * 900 + "]" * 900).encode(),
        "10,000 digits": changed(whole.decode(), number, "9" * 10_000).encode(),
        "64 MB of spaces": whole + b" " * 2**26,
        "a million objects": b'{"a":[' + b"{}," * 10**6 + b"{}]}",
        "a hundred thousand widths": json.dumps(record | {"hidden": [1] * 10**5}).encode(),
        "UTF-16": whole.decode().encode("utf-16"),
        "not text": b"\xff" * 100,
        "truncated": whole[:-10],
    }


TEXTS = ("text", "a number in quotes", "a zero byte", "an escape sequence", "invalid Unicode")
ACCEPTED_IN_RECIPES = ACCEPTED | {"name": TEXTS, "about": TEXTS, "augment": ("null", "an object")}


def malformed_recipe() -> dict[str, bytes]:
    (whole,) = valid_files("recipe")
    record = json.loads(whole)
    together = {
        "both averages": {"swa": 0.5}, "a momentum for Adam": {"momentum": 0.5},
        "no version": {"fastdigits_recipe": None}, "a weight decay for Adam": {"weight_decay": 0.1},
        "a width of 0": {"hidden": [0]}, "a newer version": {"fastdigits_recipe": 2},
        "an unknown name": {"learning_rat": 3},
    }  # fmt: skip
    found = malformed_json(whole, ACCEPTED_IN_RECIPES, "epochs")
    return found | {name: json.dumps(record | entries).encode() for name, entries in together.items()}


def malformed_picture() -> dict[str, bytes]:
    def png(width: int, height: int, bits: int = 8, data: bytes = b"") -> bytes:
        header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
        chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(data, 1)), (b"IEND", b"")]
        parts = (
            struct.pack(">I", len(text)) + kind + text + struct.pack(">I", zlib.crc32(kind + text))
            for kind, text in chunks
        )
        return b"\x89PNG\r\n\x1a\n" + b"".join(parts)

    whole = picture("PNG")
    return {
        "2^31 by 2^31 pixels": png(2**31 - 1, 2**31 - 1),
        "2,500,000,000 pixels of one bit": png(50_000, 50_000, 1, bytes(50_000 * 6251 // 8)),
        "fewer pixels than announced": png(500, 500, 8, bytes(9)),
        "64 MB of pixels in a small image": png(8, 8, 8, bytes(2**26)),
        "a blank page": png(64, 64, 8, bytes(65 * 64)),
        "truncated": whole[: len(whole) // 2],
        "a JPEG of zeros": b"\xff\xd8\xff\xe0" + bytes(500),
        "a text file": b"label,pixel0\n",
    }


MALFORMED: dict[str, Callable[[], dict[str, bytes]]] = {
    "idx": malformed_idx,
    "gzip": malformed_gzip,
    "npz": malformed_npz,
    "csv": malformed_csv,
    "csv.gz": malformed_csv_gz,
    "model": malformed_model,
    "checkpoint": malformed_checkpoint,
    "callbacks": malformed_callbacks,
    "settings": malformed_settings,
    "recipe": malformed_recipe,
    "picture": malformed_picture,
}


# -- reading them --------------------------------------------------------------------------------------------


def peak() -> float:
    """Return the peak of this process's memory since the last reset, in MB."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) / 1024


def outcome(reader: str, path: Path) -> dict[str, object]:
    """Read a file; return the error, its message, the seconds and the memory."""
    before = 0.0
    if sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5")  # reset the peak (man 5 proc)
        before = peak()
    begin = time.perf_counter()
    name, message = "none", ""
    try:
        read(reader, path)
    except Exception as error:
        name, message = type(error).__name__, str(error)
    seconds = time.perf_counter() - begin
    more = peak() - before if sys.platform == "linux" else 0.0
    return {
        "error": name,
        "message": message[:300],
        "seconds": round(seconds, 3),
        "megabytes": round(more, 1),
    }


def main() -> None:
    reader, folder = sys.argv[1], Path(sys.argv[2])
    path = folder / NAMES[reader]
    path.write_bytes(valid_files(reader)[0])
    read(reader, path)  # import what the reader needs before memory is measured
    names = []
    for number, (name, content) in enumerate(malformed_files(reader).items()):
        (folder / f"malformed {number}").write_bytes(content)
        names.append(name)
    if sys.platform == "linux":
        import resource

        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**30,) * 2)
    for number, name in enumerate(names):
        (folder / f"malformed {number}").replace(path)
        print(json.dumps({"case": name, **outcome(reader, path)}), flush=True)


if __name__ == "__main__":
    main()
