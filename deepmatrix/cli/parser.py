"""The parser of all commands, built from their modules; a wrong argument raises ArgumentError."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import itertools
import re
from collections.abc import Collection, Sequence
from typing import Any, NoReturn, Protocol, cast

from deepmatrix import __version__
from deepmatrix.cli import options
from deepmatrix.config.documents import did_you_mean
from deepmatrix.errors import ArgumentError
from deepmatrix.invocation import command_line, listing_line
from deepmatrix.paths import IS_CHECKOUT

#: Every command and the module that declares its options and runs it.
COMMANDS = {
    "matrix": "deepmatrix.cli.commands.matrix",
    "verify": "deepmatrix.cli.commands.verify",
    "init": "deepmatrix.cli.commands.init",
    "conformance": "deepmatrix.cli.commands.conformance",
    "plan": "deepmatrix.cli.commands.plan",
    "image": "deepmatrix.cli.commands.image",
    "bench": "deepmatrix.cli.commands.bench",
    "merge": "deepmatrix.cli.commands.merge",
    "show": "deepmatrix.cli.looking.show",
    "compare": "deepmatrix.cli.commands.compare",
    "jobs": "deepmatrix.cli.pipelines.jobs",
    "review": "deepmatrix.cli.pipelines.review",
    "history": "deepmatrix.cli.looking.history",
    "engine": "deepmatrix.cli.commands.engine",
    "fleet": "deepmatrix.cli.fleet.fleet",
    "worker": "deepmatrix.cli.fleet.worker",
    "completion": "deepmatrix.cli.commands.completion",
    "claims": "deepmatrix.cli.looking.claims",
    "evaluation": "deepmatrix.cli.looking.evaluation",
}

#: Those that change files of the repository: an installed package has none.
MAINTENANCE = {
    "readme": "deepmatrix.cli.maintenance.readme",
    "pins": "deepmatrix.cli.maintenance.pins",
    "packages": "deepmatrix.cli.maintenance.packages",
    "schema": "deepmatrix.cli.maintenance.schema",
    "reference": "deepmatrix.cli.maintenance.reference",
}

#: Options of earlier versions, and what they are called now.
RENAMED_OPTIONS = {"--known": "--expected-failures"}


class Command(Protocol):
    """What every command's module has."""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options of the command."""

    def run(self, options: argparse.Namespace) -> None:
        """Run the command. Raises DeepmatrixError where something is not as expected."""


class Parser(argparse.ArgumentParser):
    """A parser that raises ArgumentError with the nearest right word."""

    def error(self, message: str) -> NoReturn:
        """Raise ArgumentError instead of exiting."""
        self._refuse(message, self.prog.partition(" ")[2])

    def parse_args(self, arguments: Any = None, namespace: Any = None) -> Any:
        """Return the options; what no parser knows is an error of the command that was named."""
        _check_empty(arguments)
        options, unknown = self.parse_known_args(arguments, namespace)
        if unknown:
            self._refuse(f"unrecognized arguments: {' '.join(unknown)}", options.command_name)
        return options

    def _refuse(self, message: str, command: str) -> NoReturn:
        """Raise ArgumentError; its hint names the help of the command, where one is named."""
        help_of = f"`{command_line(command, '--help')}`, and " if command else ""
        raise ArgumentError(
            self._explain(message), hint=f"see {help_of}`{listing_line()}` for all commands"
        )

    def commands(self) -> dict[str, argparse.ArgumentParser]:
        """Return the parsers of the commands by name."""
        return {
            name: parser
            for action in self._actions
            if isinstance(action, argparse._SubParsersAction)
            for name, parser in action.choices.items()
        }

    def _explain(self, message: str) -> str:
        """Replace argparse's message by one that names the nearest right word."""
        unknown_option = re.match(r"unrecognized arguments: (--[\w-]+)", message)
        if unknown_option:
            option, all_options = unknown_option[1], self._all_options()
            if option in RENAMED_OPTIONS:
                return f"{option} is now {RENAMED_OPTIONS[option]}"
            if option in all_options:
                return f"this command has no option '{option}', another one has"
            return f"no option '{option}'{did_you_mean(option, all_options)}"
        unknown_command = re.match(
            r"argument \w+: invalid choice: '([^']*)' \(choose from (.*)\)", message
        )
        if unknown_command:
            names = [name.strip(" '") for name in unknown_command[2].split(",")]
            return f"no command '{unknown_command[1]}'{did_you_mean(unknown_command[1], names)}"
        return message

    def _all_options(self) -> list[str]:
        """Return the options of all commands: argparse reports an unknown one to the root."""
        parsers: list[argparse.ArgumentParser] = [self, *self.commands().values()]
        return [option for parser in parsers for option in parser._option_string_actions]


def _check_empty(arguments: Sequence[str]) -> None:
    """Raise ArgumentError for an argument without content, as an unset variable gives it.

    No option means anything by an empty value; taken as left out, it would start another run.
    """
    for before, argument in zip(("", *arguments), arguments, strict=False):
        name, equals, value = argument.partition("=")
        if not argument or (name.startswith("--") and equals and not value):
            option = name or (before if before.startswith("--") else "")
            raise ArgumentError(
                f"{option}: the value is empty" if option else "an argument is empty",
                hint="leave it out, or give it a value: is a variable of the shell unset?",
            )


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options; ``command`` is the function to call.

    Of the commands only the one that is named is imported. What is wrong with the arguments is
    told by the parser of all of them, which knows every word.

    Raises:
        ArgumentError: the arguments are wrong.
    """
    options: argparse.Namespace
    named = arguments[0] if arguments else ""
    if named in command_modules():
        with contextlib.suppress(ArgumentError):
            parser = build_parser([named])
            options = parser.parse_args(arguments)
            options.given = given_options(parser.commands()[named], arguments[1:])
            return options
    options = build_parser().parse_args(arguments)
    return options


def given_options(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> list[str]:
    """Return the words of the options among arguments that *parser* takes, with their values."""
    words = list[str]()
    is_value = False
    for word in itertools.takewhile(lambda word: word != "--", arguments):
        name, equals, _ = word.partition("=")
        action = parser._option_string_actions.get(name)
        if is_value or action:
            words.append(word)
        takes_value = action is not None and action.nargs is None and not equals
        is_value = takes_value and not is_value
    return words


def command_modules() -> dict[str, str]:
    """Return the module of every command that there is here, by name."""
    return {**COMMANDS, **(MAINTENANCE if IS_CHECKOUT else {})}


def build_parser(names: Collection[str] | None = None) -> Parser:
    """Return the parser of some commands, by default all."""
    parser = Parser(
        prog="deepmatrix", description="Train, deploy, serve and judge.", allow_abbrev=False
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"deepmatrix {__version__}",
        help="print the version and stop",
    )
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    for name, module_name in command_modules().items():
        if names is not None and name not in names:
            continue
        command = cast(Command, importlib.import_module(module_name))
        summary = (command.run.__doc__ or name).splitlines()[0]  # `python -OO` drops docstrings
        subparser = subparsers.add_parser(
            name, help=summary, description=summary, allow_abbrev=False
        )
        subparser.set_defaults(command=command.run, command_name=name)
        options.add_matrix_file(subparser)
        command.add_options(subparser)
    return parser
