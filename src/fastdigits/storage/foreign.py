"""Say what a file of another program is, by its bytes, and how to bring what is in it.

Nothing here unpacks, parses or unpickles a file: it is recognised by how it begins, archives by the names in them.
"""

from __future__ import annotations

import os
import re
from typing import BinaryIO

_LOOKED_AT = 1 << 16  # bytes at either end of a file: the names in an archive stand at its end


def _state(expression: str) -> str:
    return f"net.load_torch_state_dict({expression}) takes the tensors of a Sequential of the same layers"


OTHER_TENSORS = _state("safetensors.torch.load_file(path)")
_TORCH = _state("torch.load(path, weights_only=True)")
_COPY = "copy its arrays, layer.weight.value[...] = weight with shape (in, out)"
_KERAS = f"open it with Keras and {_COPY}"
_PICKLE = "opening one may run any code: open it where you trust it, then net.save(path)"
_ONNX = f"open it with its own library and {_COPY}"
_DATA = "images and labels are read by fastdigits.load_data and --data"

# How files begin, what they are, and how to bring them.
_BEGINNINGS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "a file of torch.save in its older form", _TORCH),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, such as Keras writes as .h5", _KERAS),
    (b"\x93NUMPY", "an array of NumPy", _COPY),
    (b"\x08\x01\x12", "a SavedModel of TensorFlow", _KERAS),
    (b"GGUF", "a language model in GGUF", "take a classifier of images"),
    (b"\x1f\x8b", "a file packed with gzip", "unpack it first"),
    (b"BZh", "a file packed with bzip2", "unpack it first"),
    (b"\xfd7zXZ", "a file packed with xz", "unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a file packed with zstd", "unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it first"),
    (b"Rar!", "a RAR archive", "unpack it first"),
    (b"version https://git-lfs", "a pointer of Git LFS", "git lfs pull brings the file itself"),
    (b"\x89PNG", "a picture", "fastdigits predict reads it"),
    (b"\xff\xd8\xff", "a picture", "fastdigits predict reads it"),
    (b"\0\0\x08\x01", "an IDX file of labels", _DATA),
    (b"\0\0\x08\x03", "an IDX file of images", _DATA),
)
# The same, for what takes more than a beginning.
_PATTERNS: tuple[tuple[bytes, str, str], ...] = (
    (rb"\x80[\x02-\x05]|\((dp|lp)\d|c\w+(\.\w+)*\n\w+\n", "a pickle, such as joblib writes", _PICKLE),
    (rb"\x78[\x01\x5e\x9c\xda]", "packed data, such as joblib writes", _PICKLE),
    (rb"\x08[\x02-\x1f][\x12\x1a\x22\x28\x32\x3a\x42]", "an ONNX graph", _ONNX),
    (rb"(?s).{4}TFL3", "a TensorFlow Lite model", _ONNX),
    (rb"(?i)\s*<(!doctype|html|\?xml)", "a web page", "name the file of the model itself"),
    (rb"\s*[{\[][\s\"\d{}\[\]]", "JSON", "name the model.safetensors beside it"),
    # The length of a header would have as many bytes as these letters say: millions of gigabytes.
    (
        rb"(\xef\xbb\xbf)?[\t\r\n -~]{12}",
        "text, such as a table",
        f"name the file of the model itself; {_DATA}",
    ),
)
# What names tell of a ZIP archive, the most telling first.
_MEMBERS: tuple[tuple[bytes, str, str], ...] = (
    (b"model.weights.h5", "a .keras file", _KERAS),
    (b"archive_format", "a program of torch.export", _state("torch.export.load(path).state_dict")),
    (b"constants.pkl", "a TorchScript file", _state("torch.jit.load(path).state_dict()")),
    (b"data.pkl", "a file of torch.save", _TORCH),
    (b".npy", "an .npz file of NumPy", f"{_COPY}; {_DATA}"),
)


def told(file: BinaryIO) -> str:
    """Return what an error says of a file of another program; nothing of one that may be a safetensors file."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    start = file.read(_LOOKED_AT)
    file.seek(max(0, size - _LOOKED_AT))
    end = file.read(_LOOKED_AT)
    file.seek(0)
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= size - 8:
        return ""
    if start.startswith(b"PK\x03\x04"):
        found = (entry for entry in _MEMBERS if entry[0] in start or entry[0] in end)
        _, what, how = next(found, (b"", "a ZIP archive", "unpack it first"))
        return f"{what}: {how}"
    for beginning, what, how in _BEGINNINGS:
        if start.startswith(beginning):
            return f"{what}: {how}"
    for pattern, what, how in _PATTERNS:
        if re.match(pattern, start):
            return f"{what}: {how}"
    return ""
