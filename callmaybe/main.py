"""The command line. A mistake of the user's is one sentence on standard error and exit status 3, never a traceback."""

import json
import secrets
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from analysis.errors import AnalysisError
from analysis.judge import check_history, judge, read_results
from analysis.report import write_report
from analysis.run_folder import read_scenario
from analysis.sentences import sentences
from callmaybe import lab as the_lab
from callmaybe.project import UserError
from callmaybe.run import Run
from callmaybe.scenario import find_scenario, load_scenario
from callmaybe.steps import step

EXIT_USAGE = 3  # 0, 1 and 2 are verdicts
INTERRUPTED = 130
EXIT_OF: dict[bool | str, int] = {True: 0, False: 1, "unknown": 2}
VERDICT_STYLES = {"VALID": "bold green", "INVALID": "bold red", "UNKNOWN": "bold yellow"}
console = Console()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="callmaybe")
def cli() -> None:
    """If the network breaks under your database, which of the writes it acknowledged are gone?

    Exit status of test and check: 0 valid, 1 invalid, 2 unknown, 3 and up: it could not run.
    """


@cli.command()
@click.argument("scenario")
@click.option(
    "--inventory", "-i", type=click.Path(path_type=Path, exists=True), help="The machines; the lab by default."
)
@click.option("--target", help="The group or pattern of the cluster's hosts in the inventory; 'nodes' by default.")
@click.option("--seed", type=click.IntRange(min=0), help="Of all that is drawn; a run repeats from its seed.")
@click.option("--no-provision", is_flag=True, help="The cluster is already there: install nothing, wipe nothing.")
def test(scenario: str, inventory: Path | None, target: str | None, seed: int | None, *, no_provision: bool) -> None:
    """Runs SCENARIO, a name or a file: installs, cuts, drives, heals, judges."""
    sys.exit(run_scenario(scenario, inventory, target, seed, no_provision=no_provision))


def run_scenario(
    scenario: str, inventory: Path | None, target: str | None, seed: int | None, *, no_provision: bool = False
) -> int:
    """Runs a scenario to its verdict, printing it.

    Returns:
        The exit status of the verdict.

    Raises:
        UserError: the run did not come to its end, or not on all nodes; says why. A verdict may have been printed.
        click.Abort: somebody ended it early.
    """
    path = find_scenario(scenario).resolve()
    load_scenario(path)  # a mistake in it is said before anything starts
    variables: dict[str, object] = {"scenario": str(path), "seed": secrets.randbelow(10_000) if seed is None else seed}
    if target is not None:
        variables["target"] = target
    if no_provision:
        variables["provision"] = False
    run = Run(console, inventory or the_lab.inventory())
    outcome = run.go(variables)
    judged = run.folder is not None and (run.folder / "results.json").exists()
    if run.folder and judged:
        results = read_results(run.folder)
        console.print()
        _print_verdict(sentences(results, read_scenario(run.folder)), run.folder / "report.html")
    if run.interrupted:
        raise click.Abort
    if not outcome.ok or not judged:
        raise UserError(f"{path.stem}: {outcome.reason}")
    return EXIT_OF[results["valid"]]


@cli.command()
@click.argument("history", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--checker", help="The checker; a run's folder names its own.")
@click.option("--json", "as_json", is_flag=True, help="Print results.json instead of sentences.")
def check(history: Path, checker: str | None, *, as_json: bool) -> None:
    """Judges HISTORY again: a run's folder, a history.jsonl, or - for standard input."""
    scenario = report = None
    if history.is_dir() and checker is None:
        results, scenario = judge(history), read_scenario(history)
        report = write_report(history)
    else:
        results = check_history(history, checker or "lost-writes")
    if as_json:
        click.echo(json.dumps(results, indent=1))
    else:
        _print_verdict(sentences(results, scenario), report)
    sys.exit(EXIT_OF[results["valid"]])


@cli.group()
def lab() -> None:
    """Real Debian nodes on this machine, as root."""


@lab.command()
@click.option("--nodes", type=click.IntRange(1, 99), default=5, show_default=True)
@click.option("--release", type=click.Choice(["bullseye", "bookworm", "trixie"]), default="bookworm", show_default=True)
def up(nodes: int, release: str) -> None:
    """Brings the nodes up."""
    the_lab.up(console, {"lab_nodes": nodes, "lab_release": release})


@lab.command()
def down() -> None:
    """Takes the nodes down and leaves this machine as it was."""
    the_lab.down(console)


@lab.command()
def status() -> None:
    """Says which nodes answer."""
    if not the_lab.is_up():
        console.print("the lab is down")
        return
    for name, about in the_lab.nodes().items():
        word = "answers" if the_lab.answers(about["ansible_host"]) else "does not answer"
        console.print(f"{name}  {about['ansible_host']}  {word}", highlight=False)


@lab.command(context_settings={"ignore_unknown_options": True})
@click.argument("node")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def ssh(node: str, command: tuple[str, ...]) -> None:
    """Opens a shell on NODE, or runs COMMAND there."""
    the_lab.shell(node, command)


@cli.command()
def demo() -> None:
    """Tells the whole story here: lab up, Redis of 2013, verdict, lab down. Exits with 0 when there is a verdict."""
    was_up = the_lab.is_up()
    try:
        the_lab.up(console, {})
        run_scenario("redis-sentinel", None, None, None)
    finally:
        if not was_up:
            the_lab.down(console)


cli.add_command(step)


def _print_verdict(lines: list[str], report: Path | None = None) -> None:
    """Prints the verdict's word in its colour, and all that is said of it in a column beside it."""
    word, _, sentence = lines[0].partition("  ")
    console.print(Text.assemble((f"{word:<9}", VERDICT_STYLES.get(word, "")), sentence), soft_wrap=True)
    for line in lines[1:] + ([f"report  {_short(report)}"] if report else []):
        console.print(Text(f"{'':9}{line}"), soft_wrap=True)


def _short(path: Path) -> str:
    latest = path.parent.parent / "latest" / path.name
    shown = latest if latest.exists() and latest.resolve() == path.resolve() else path
    return str(shown.relative_to(Path.cwd())) if shown.is_relative_to(Path.cwd()) else str(shown)


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
