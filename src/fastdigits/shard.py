"""Run the command: ``python -m fastdigits.shard``; its code is in ``commands/shard.py``."""

import sys

from .commands.shard import main

if __name__ == "__main__":
    sys.exit(main())
