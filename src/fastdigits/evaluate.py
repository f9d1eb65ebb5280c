"""Run the command: ``python -m fastdigits.evaluate``; its code is in ``commands/evaluate.py``."""

import sys

from .commands.evaluate import main

if __name__ == "__main__":
    sys.exit(main())
