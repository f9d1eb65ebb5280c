"""Training on several processes or machines: ranks over MPI, which the extra ``mpi`` installs."""

from ..training.ranks import Ranks
from .mpi import mpi

__all__ = ["Ranks", "mpi"]


def __dir__() -> list[str]:
    """Return the public names, without the modules and types that the code uses."""
    return __all__
