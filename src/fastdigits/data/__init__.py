"""Images and their labels: MNIST and its relatives, file formats, and data that users bring."""

from .idx import read_idx
from .idx_folder import load_folder
from .loading import Dataset, load_data
from .mnist import load_mnist
from .shards import Shards

__all__ = ["Dataset", "Shards", "load_data", "load_folder", "load_mnist", "read_idx"]
