"""The commands behind `python -m fastdigits.train` and its like: options, messages, run folders."""
