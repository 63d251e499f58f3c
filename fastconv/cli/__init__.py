# PYTHON_ARGCOMPLETE_OK
"""The command line: `fastconv COMMAND` or `python -m fastconv COMMAND`; `entry.COMMANDS` has the commands.

Each command has a file: a function of the parsed arguments, and `add`, which declares them. Results go to stdout, with --json
as one document; errors and warnings go to stderr, a line each. Without a command it prints help and exits with 0, as pip does.
Exit codes: 0, 1 if some of several pictures could not be read or if `compare` finds that something departs, 2 for an error (as
argparse), 130 after Ctrl-C, 141 if the reader of a pipe has gone.
"""

from .entry import main

__all__ = ["main"]
