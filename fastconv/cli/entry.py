"""Parsing the command line, running the command, and turning errors into messages and exit codes."""

from __future__ import annotations

import io
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Any

import fastconv

from ..errors import FastconvError, ModelError
from . import activations, bench, compare, config, convert, demo, dump, predict, profile, quantize, report, run, summary
from .arguments import DEBUG, Parser, example
from .common import error_line

#: in the order in which help lists them
COMMANDS = (demo, run, predict, summary, activations, profile, report, compare, quantize, convert, dump, bench, config)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; for a wrong command line SystemExit(2), as argparse does."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # the terminal's encoding may lack a character of a name
        sys.stdout.reconfigure(errors="backslashreplace")
    parser = _parser()
    if "_ARGCOMPLETE" in os.environ:  # the shell asks what may come next
        import argcomplete

        argcomplete.autocomplete(parser)
    args = parser.parse_args(argv)
    if args.command is None:
        parser.print_help()
        return 0
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            code = args.command(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes stdout once more when it exits; that must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130
    except (FastconvError, OSError, MemoryError) as e:
        if "debug" in args:
            traceback.print_exc()
        print(f"fastconv: error: {args.model}: {e}" if isinstance(e, ModelError) else error_line(e), file=sys.stderr)
        return 2
    return code or 0


def _parser() -> Parser:
    parser = Parser("fastconv", description="Run convolutional networks on the CPU.", parents=[DEBUG], **example("demo"))
    parser.add_argument("--version", action="version", version=f"fastconv {fastconv.__version__}")
    parser.set_defaults(command=None)
    commands = parser.add_subparsers(metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser


def _warn(message: Warning | str, *place: Any, **to: Any) -> None:
    print(f"fastconv: warning: {message}", file=sys.stderr)
