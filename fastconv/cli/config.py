"""`fastconv config`."""

from __future__ import annotations

import argparse
import json

from .. import config as configuration
from .arguments import JSON, Commands, add_command


def add(commands: Commands) -> None:
    """Add the command."""
    add_command(commands, config, "--json", JSON)


def config(args: argparse.Namespace) -> None:
    """Print versions, instruction sets and threads, for a bug report."""
    if args.json:
        print(json.dumps(configuration.config(), indent=1))
    else:
        configuration.show_config()
