"""The comparison with other libraries: the same jobs, in turn, each contender in a process of its own.

``programs/`` holds the programs of the contenders. They are run by path, in the environment of their library, and are
no modules of this package: fastdigits takes part like the others, as its users call it.
"""
