"""Find and read the inputs of a command: pictures, files of images, folders, standard input."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..core import atomic
from ..core.arrays import Array
from ..data import read_idx
from ..data.arrays import read_npy
from ..data.idx import TYPES
from ..data.image_folders import SkippedFiles
from ..data.labels import is_table, to_images
from ..data.shard_description import DESCRIPTION, read_description
from ..data.tables import CSV_ENDINGS, read_table
from ..errors import DataError
from ..network import NeuralNetwork
from ..nn import scales
from ..nn.layers import Standardize

STANDARD_INPUT = "-"
_ARRAYS = (".npy",)  # read in a folder besides pictures


def expand(names: list[str], network: NeuralNetwork | None = None) -> tuple[list[str], list[str]]:
    """Replace each folder by the pictures and NPY files in it, sorted by name.

    Parameters
    ----------
    names : list of str
    network : NeuralNetwork, optional
        The network that will read them: shards of a table must have its columns.

    Returns
    -------
    names : list of str
    notes : list of str
        One line per folder that holds other files, which are omitted.

    Raises
    ------
    DataError
        If a folder has no pictures or NPY files, cannot be read, or has other columns.
    """
    found: list[str] = []
    notes: list[str] = []
    for name in names:
        if not name:  # from an unset variable of a shell; Path("") is the current folder
            raise DataError("IMAGE: must be the name of a file or folder; got ''")
        if name == STANDARD_INPUT or not Path(name).is_dir():
            found.append(name)
            continue
        if (Path(name) / DESCRIPTION).is_file():
            found += _files_of_images(Path(name), network)
            continue
        omitted = SkippedFiles()
        try:
            pictures = omitted.images_in(Path(name), also=_ARRAYS)
        except OSError as error:
            raise DataError(f"{name}: must be a folder that can be read; got: {error.strerror}") from error
        what = omitted.summary()
        if not pictures:
            but = f" but {what}" if what else ""
            target = "one of the inner folders" if omitted.inside else "the files"
            raise DataError(
                f"{name}: must be a folder with pictures or NPY files; got none{but}: name {target}"
            )
        if what:
            notes.append(f"{name}: left out {what}")
        found += map(str, pictures)
    return found, notes


def _files_of_images(folder: Path, network: NeuralNetwork | None) -> list[str]:
    """Return the files of images in a folder of shards."""
    description = read_description(folder)
    if network is not None:
        try:
            network.check_columns(description.column_names, f"{folder}: shards")
        except ValueError as error:
            raise DataError(str(error)) from error
    shards = description.shards
    if len(shards[0].files) == 1:
        raise DataError(
            f"{folder}: must be shards of NPY or IDX files to be read as pictures; got {shards[0].files[0].name}: "
            "net.predict(fastdigits.Shards(…)) takes them"
        )
    return [str(folder / shard.files[0].name) for shard in shards]


@contextlib.contextmanager
def as_file(name: str) -> Iterator[Path]:
    """Yield the path of an input; standard input is copied to a temporary file. Errors name the input."""
    if name != STANDARD_INPUT:
        yield Path(name)
        return
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        got = "a terminal" if sys.stdin is not None and not sys.stdin.closed else "a closed stream"
        raise DataError(f"standard input: must be a picture; got {got}: pipe a file into the command")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "standard input")
        content = sys.stdin.buffer.read()
        if not content:
            raise DataError("standard input: must be a picture; got nothing: pipe a file into the command")
        path.write_bytes(content)
        try:
            yield path
        except DataError as error:
            raise DataError(str(error).replace(str(path), path.name)) from error


def read_array(
    path: Path, width: int, label_column: str | None = None, column_names: Sequence[str] = ()
) -> tuple[Array | None, str]:
    """Return the images in an IDX, NPY or CSV file, and a note on how they were read.

    Parameters
    ----------
    path : Path
        IDX and NPY files are recognised by their first bytes, CSV files by their ending. For other files, the images
        are None.
    width : int
        Pixels per image that the network takes; it decides whether a CSV file without a heading has labels.
    label_column : str, optional
        The column of labels in a CSV file, as in `read_table`. Labels are ignored.
    column_names : sequence of str, default ()
        The columns of the table that the network was trained on, as in `read_table`.

    Raises
    ------
    DataError
        If the file cannot be read or is damaged.
    """
    try:
        with atomic.open_regular(path) as file:
            start = file.read(6)
    except FileNotFoundError as error:
        raise DataError(f"{path}: must be a file; got nothing of this name: check the name") from error
    except OSError as error:
        also = (
            f", or pipe it into the command as {STANDARD_INPUT}"
            if path.is_fifo() and not path.name.lower().endswith(CSV_ENDINGS)
            else ""
        )
        raise DataError(f"{path}: must be a file that can be read; got: {error.strerror}{also}") from error
    if path.name.lower().endswith(CSV_ENDINGS):
        table = read_table(path, label_column, width=width, column_names=column_names)
        (images,), note = to_images([table.x], str(path), table.names)
        notes = [table.note] if is_table(images.shape[1:]) else [table.note, note]
        return images, "; ".join(filter(None, notes))
    if label_column is not None:
        raise DataError(
            f"{path}: must be a .csv file for --label-column; got another file: omit --label-column"
        )
    if start == b"\x93NUMPY":
        return read_npy(path), ""
    is_idx = len(start) > 3 and start[:2] == b"\0\0" and start[2] in TYPES and 1 <= start[3] <= 4
    return read_idx(path) if is_idx or start[:2] == b"\x1f\x8b" else None, ""


def rescale(images: Array, network: NeuralNetwork, subject: str, among: Sequence[Array] = ()) -> Array:
    """Return what `scales.rescale` returns; the columns of a table, for a network that standardises them, unchanged."""
    if isinstance(network.layers[0], Standardize):
        return images
    return scales.rescale(images, network.scale, subject, among)
