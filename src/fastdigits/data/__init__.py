"""Images and their labels: the file format, MNIST itself, and folders of the user's own."""

from .datasets import load_data, load_folder, load_mnist
from .idx import read_idx

__all__ = ["load_data", "load_folder", "load_mnist", "read_idx"]
