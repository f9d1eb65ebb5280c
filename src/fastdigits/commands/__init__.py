"""The commands, such as `python -m fastdigits.train`: options, messages, folders of runs."""
