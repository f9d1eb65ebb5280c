"""Run the command: ``python -m fastdigits.predict``; its code is in ``commands/predict.py``."""

import sys

from .commands.predict import main

if __name__ == "__main__":
    sys.exit(main())
