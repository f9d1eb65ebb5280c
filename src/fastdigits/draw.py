"""Run the command: ``python -m fastdigits.draw``; its code is in ``commands/draw.py``."""

import sys

from .commands.draw import main

if __name__ == "__main__":
    sys.exit(main())
