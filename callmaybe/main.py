"""The command line. A mistake of the user's is one sentence on standard error and exit status 3, never a traceback."""

import sys
from importlib import import_module

import click

from analysis.errors import AnalysisError
from callmaybe.project import UserError

EXIT_USAGE = 3  # 0, 1 and 2 are verdicts
INTERRUPTED = 130
COMMANDS = {
    "test": "callmaybe.commands.runs:test",
    "matrix": "callmaybe.commands.matrix:matrix",
    "faults": "callmaybe.commands.faults:faults",
    "check": "callmaybe.commands.histories:check",
    "convert": "callmaybe.commands.histories:convert",
    "lab": "callmaybe.commands.lab:lab",
    "demo": "callmaybe.commands.runs:demo",
    "step": "callmaybe.commands.steps:step",
}


class LazyGroup(click.Group):
    """Loads a command when it is called: a check must not wait for Ansible, nor a run for the compiler."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Returns the commands in the order of their importance."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - the same
        """Returns a command by its name, None where there is none."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="callmaybe")
def cli() -> None:
    """If the network breaks under your database, which of the writes it acknowledged are gone?

    Exit status of test and check: 0 valid, 1 invalid, 2 unknown, 3 and up: it could not run.
    """


def main() -> None:
    """Entry point of the `callmaybe` command."""
    try:
        cli(standalone_mode=False)
    except (UserError, AnalysisError) as error:
        _fail(str(error))
    except click.ClickException as error:
        _fail(error.format_message())
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted", INTERRUPTED)


def _fail(sentence: str, status: int = EXIT_USAGE) -> None:
    click.echo(f"callmaybe: {sentence}", err=True)
    sys.exit(status)
