"""Run the command: ``python -m fastdigits.train``; its code is in ``commands/train.py``."""

import sys

from .commands.train import main

if __name__ == "__main__":
    sys.exit(main())
