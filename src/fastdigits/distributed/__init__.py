"""Training on several processes or machines: ranks over MPI, which the extra ``mpi`` installs."""

from .mpi import mpi

__all__ = ["mpi"]
