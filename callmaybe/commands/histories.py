"""`callmaybe check` and `callmaybe convert`: histories, wherever they come from."""

import json
import sys
from pathlib import Path
from typing import Any, Literal

import click

from analysis.checkers import CHECKERS
from analysis.linear.options import MODELS, Options
from analysis.read import FORMATS, read_table, write_table
from analysis.sentences import sentences
from callmaybe.check import check_all, must_compile, worst_status
from callmaybe.project import UserError
from callmaybe.terminal import console, print_line, print_verdict


def _json(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Any:  # noqa: ANN401 - JSON
    try:
        return None if text is None else json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not JSON ({error}); a string needs quotes of its own") from None


@click.command()
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
    if checker == "linearizable" and must_compile():
        click.echo("compiling the search, once after installation: some seconds", err=True)
    statuses = []
    for checked in check_all(histories, checker, options):
        statuses.append(checked.status)
        if as_json:
            click.echo(checked.as_json())
        elif checked.results is None:
            click.echo(f"callmaybe: {checked.error}", err=True)
        elif len(histories) == 1:
            print_verdict(sentences(checked.results, checked.scenario), checked.report)
        else:
            print_line(sentences(checked.results, checked.scenario)[0], f"{checked.history}  ")
    if len(histories) > 1 and not as_json:
        words = {0: "valid", 1: "invalid", 2: "unknown", 3: "not readable"}
        console.print(", ".join(f"{statuses.count(status)} {word}" for status, word in words.items()))
    sys.exit(worst_status(statuses))


@click.command()
@click.argument("source")
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
def convert(source: str, target: Path) -> None:
    """Writes the history SOURCE anew as TARGET: .jsonl, .edn or .parquet."""
    form = target.suffix.removeprefix(".")
    if form not in FORMATS:
        raise UserError(f"{target}: the name ends in none of {', '.join('.' + known for known in FORMATS)}")
    write_table(read_table(source), target, form)
