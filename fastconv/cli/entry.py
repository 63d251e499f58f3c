"""Parsing the command line, running the command, and turning errors into messages and exit codes."""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import fastconv

from ..errors import FastconvError, ModelError
from . import bench, config, convert, demo, dump, profile, run, summary
from .arguments import Parser, example

#: in the order in which help lists them
COMMANDS = (demo, run, summary, profile, convert, dump, bench, config)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; for a wrong command line SystemExit(2), as argparse does."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # the terminal's encoding may lack a character of a name
        sys.stdout.reconfigure(errors="backslashreplace")
    parser = _parser()
    args = parser.parse_args(argv)
    if args.command is None:
        parser.print_help()
        return 0
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            args.command(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes stdout once more when it exits; that must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130
    except ModelError as e:
        return _fail(f"{args.model}: {e}")
    except FastconvError as e:
        return _fail(str(e))
    except OSError as e:
        return _fail(f"{e.filename}: {e.strerror}" if e.filename else str(e))
    except MemoryError as e:
        return _fail(f"out of memory: {e}")
    return 0


def _parser() -> Parser:
    parser = Parser("fastconv", description="Run convolutional networks on the CPU.", **example("demo"))
    parser.add_argument("--version", action="version", version=f"fastconv {fastconv.__version__}")
    parser.set_defaults(command=None)
    commands = parser.add_subparsers(metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser


def _warn(message: Warning | str, *place: Any, **to: Any) -> None:
    print(f"fastconv: warning: {message}", file=sys.stderr)


def _fail(message: str) -> int:
    print(f"fastconv: error: {message}", file=sys.stderr)
    return 2
