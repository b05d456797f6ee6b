"""``completion``: print a script by which a shell completes commands and options."""

from __future__ import annotations

import argparse

import shtab

from deepmatrix.cli.parser import build_parser

#: What options and arguments are called whose value is a file or a folder.
PATHS = ("FILE", "FOLDER", "MODEL", "RUN")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("shell", choices=shtab.SUPPORTED_SHELLS, help="the shell")


def run(options: argparse.Namespace) -> None:
    """Print a script that completes commands and options: `completion bash`."""
    root = build_parser()
    for parser in root.commands().values():
        for action in parser._actions:
            if action.metavar in PATHS:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    print(shtab.complete(root, options.shell))
