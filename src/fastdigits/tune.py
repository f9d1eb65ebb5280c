"""Run the command: ``python -m fastdigits.tune``; its code is in ``commands/tune.py``."""

import sys

from .commands.tune import main

if __name__ == "__main__":
    sys.exit(main())
