"""Identify files of other programs by their bytes, and say how to import them.

Nothing here unpacks, parses or unpickles a file: only its first and last bytes are compared.
"""

from __future__ import annotations

import os
import re
from typing import BinaryIO

_CHUNK = 1 << 16  # bytes to read at both ends of a file; a ZIP archive has its names at the end


def _state(expression: str) -> str:
    return f"net.load_torch_state_dict({expression}) loads the tensors of a Sequential of the same layers"


OTHER_TENSORS = _state("safetensors.torch.load_file(path)")
_TORCH = _state("torch.load(path, weights_only=True)")
_COPY = "copy its arrays, layer.weight.value[...] = weight with shape (in, out)"
_KERAS = f"open it with Keras and {_COPY}"
_PICKLE = "opening it may run any code: if you trust it, open it, then call net.save(path)"
_ONNX = f"open it with its own library and {_COPY}"
_DATA = "for images and labels, use fastdigits.load_data or --data"
_UNPACK = "unpack it first"
_PREDICT = "to classify it, use fastdigits predict"
_MODEL = "name the model file itself"

# First bytes, kind of file, next step
_SIGNATURES: tuple[tuple[bytes, str, str], ...] = (
    (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "a file of torch.save in its older format", _TORCH),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, such as .h5 from Keras", _KERAS),
    (b"\x93NUMPY", "a NumPy array", _COPY),
    (b"\x08\x01\x12", "a TensorFlow SavedModel", _KERAS),
    (b"GGUF", "a language model in GGUF", "use an image classifier"),
    (b"\x1f\x8b", "a file packed with gzip", _UNPACK),
    (b"BZh", "a file packed with bzip2", _UNPACK),
    (b"\xfd7zXZ", "a file packed with xz", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "a file packed with zstd", _UNPACK),
    (b"7z\xbc\xaf", "a 7z archive", _UNPACK),
    (b"Rar!", "a RAR archive", _UNPACK),
    (b"version https://git-lfs", "a pointer of Git LFS", "download the file with git lfs pull"),
    (b"\x89PNG", "a picture", _PREDICT),
    (b"\xff\xd8\xff", "a picture", _PREDICT),
    (b"\0\0\x08\x01", "an IDX file of labels", _DATA),
    (b"\0\0\x08\x03", "an IDX file of images", _DATA),
)
# The same as regular expressions
_PATTERNS: tuple[tuple[bytes, str, str], ...] = (
    (rb"\x80[\x02-\x05]|\((dp|lp)\d|c\w+(\.\w+)*\n\w+\n", "a pickle, such as from joblib", _PICKLE),
    (rb"\x78[\x01\x5e\x9c\xda]", "compressed data, such as from joblib", _PICKLE),
    (rb"\x08[\x02-\x1f][\x12\x1a\x22\x28\x32\x3a\x42]", "an ONNX graph", _ONNX),
    (rb"(?s).{4}TFL3", "a TensorFlow Lite model", _ONNX),
    (rb"(?i)\s*<(!doctype|html|\?xml)", "a web page", _MODEL),
    (rb"\s*[{\[][\s\"\d{}\[\]]", "JSON", "name the model.safetensors beside it"),
    # In a safetensors file, letters here would mean a header of millions of gigabytes.
    (rb"(\xef\xbb\xbf)?[\t\r\n -~]{12}", "text, such as a table", f"{_MODEL}; {_DATA}"),
)
# Names in ZIP archives, the most specific first
_MEMBERS: tuple[tuple[bytes, str, str], ...] = (
    (b"model.weights.h5", "a .keras file", _KERAS),
    (b"archive_format", "a program of torch.export", _state("torch.export.load(path).state_dict")),
    (b"constants.pkl", "a TorchScript file", _state("torch.jit.load(path).state_dict()")),
    (b"data.pkl", "a file of torch.save", _TORCH),
    (b".npy", "an .npz file of NumPy", f"{_COPY}; {_DATA}"),
)


def identify(file: BinaryIO) -> str:
    """Return kind and next step for a file of another program, "" if it may be a safetensors file."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    start = file.read(_CHUNK)
    file.seek(max(0, size - _CHUNK))
    end = file.read(_CHUNK)
    file.seek(0)
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= size - 8:
        return ""
    if start.startswith(b"PK\x03\x04"):
        found = (entry for entry in _MEMBERS if entry[0] in start or entry[0] in end)
        _, kind, advice = next(found, (b"", "a ZIP archive", _UNPACK))
        return f"{kind}: {advice}"
    for signature, kind, advice in _SIGNATURES:
        if start.startswith(signature):
            return f"{kind}: {advice}"
    for pattern, kind, advice in _PATTERNS:
        if re.match(pattern, start):
            return f"{kind}: {advice}"
    return ""
