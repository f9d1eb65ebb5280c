"""Images and their labels: MNIST itself, its relatives, the file formats, and what users bring of their own."""

from .datasets import load_folder, load_mnist
from .idx import read_idx
from .sources import Dataset, load_data

__all__ = ["Dataset", "load_data", "load_folder", "load_mnist", "read_idx"]
