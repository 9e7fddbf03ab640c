"""The command line. A mistake of the user's is one sentence on standard error and exit status 3, never a traceback."""

import json
import secrets
import sys
from pathlib import Path
from typing import Any, Literal

import click
from rich.console import Console
from rich.text import Text

from analysis.checkers import CHECKERS
from analysis.errors import AnalysisError
from analysis.judge import read_results
from analysis.linear.options import MODELS, Options
from analysis.read import FORMATS, read_table, write_table
from analysis.run_folder import read_scenario
from analysis.sentences import sentences
from callmaybe import lab as the_lab
from callmaybe.check import EXIT_OF, check_all, worst_status
from callmaybe.project import UserError
from callmaybe.run import Run
from callmaybe.scenario import find_scenario, load_scenario
from callmaybe.steps import step

EXIT_USAGE = 3  # 0, 1 and 2 are verdicts
INTERRUPTED = 130
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


def _json(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Any:  # noqa: ANN401 - JSON
    try:
        return None if text is None else json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not JSON ({error}); a string needs quotes of its own") from None


@cli.command()
@click.argument("histories", nargs=-1, required=True)
@click.option("--checker", type=click.Choice(list(CHECKERS)), help="A run's folder names its own; else lost-writes.")
@click.option("--model", type=click.Choice(list(MODELS)), help="Of --checker linearizable.")
@click.option("--initial", callback=_json, help="The initial value, as JSON; the model's own if not given.")
@click.option("--nil-read", type=click.Choice(["wildcard", "initial"]), help="What a read of nil says.")
@click.option("--failed-cas", type=click.Choice(["evidence", "none"]), default="none", help="What a failed cas says.")
@click.option("--budget-s", type=click.FloatRange(min=0, min_open=True), default=60.0, help="Seconds, then unknown.")
@click.option("--json", "as_json", is_flag=True, help="One object a history, each on a line.")
def check(  # noqa: PLR0913 - its options
    histories: tuple[str, ...],
    *,
    checker: str | None,
    model: str | None,
    initial: Any,  # noqa: ANN401 - JSON
    nil_read: Literal["wildcard", "initial"] | None,
    failed_cas: Literal["evidence", "none"],
    budget_s: float,
    as_json: bool,
) -> None:
    """Judges HISTORIES: runs' folders, files of any format (JSON Lines, EDN, log lines, CSV, Parquet), - for stdin."""
    checker = checker or ("linearizable" if model else None)
    options = Options(
        model=model or "cas-register",
        initial=initial,
        nil_read=nil_read,
        failed_cas=failed_cas,
        budget_s=budget_s,
    )
    statuses = []
    for checked in check_all(histories, checker, options):
        statuses.append(checked.status)
        if as_json:
            click.echo(checked.as_json())
        elif checked.results is None:
            click.echo(f"callmaybe: {checked.error}", err=True)
        elif len(histories) == 1:
            _print_verdict(sentences(checked.results, checked.scenario), checked.report)
        else:
            word, _, sentence = sentences(checked.results, checked.scenario)[0].partition("  ")
            console.print(Text.assemble(_verdict(word), f"{checked.history}  {sentence}"), soft_wrap=True)
    if len(histories) > 1 and not as_json:
        words = {0: "valid", 1: "invalid", 2: "unknown", 3: "not readable"}
        console.print(", ".join(f"{statuses.count(status)} {word}" for status, word in words.items()))
    sys.exit(worst_status(statuses))


@cli.command()
@click.argument("source")
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
def convert(source: str, target: Path) -> None:
    """Writes the history SOURCE anew as TARGET: .jsonl, .edn or .parquet."""
    form = target.suffix.removeprefix(".")
    if form not in FORMATS:
        raise UserError(f"{target}: the name ends in none of {', '.join('.' + known for known in FORMATS)}")
    write_table(read_table(source), target, form)


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
    console.print(Text.assemble(_verdict(word), sentence), soft_wrap=True)
    for line in lines[1:] + ([f"report  {_short(report)}"] if report else []):
        console.print(Text(f"{'':9}{line}"), soft_wrap=True)


def _verdict(word: str) -> tuple[str, str]:
    return f"{word:<9}", VERDICT_STYLES.get(word, "")


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
