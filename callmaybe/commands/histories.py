"""`callmaybe check` and `callmaybe convert`: histories, wherever they come from."""

import json
import sys
from pathlib import Path
from typing import Any, Literal

import click

from analysis.checkers import CHECKERS
from analysis.compiling import when_compiling
from analysis.read import FORMATS, read_table, write_table
from analysis.sentences import sentences
from analysis.settings import Settings
from callmaybe.check import Asked, check_all, prepare, worst_status, write_index
from callmaybe.project import UserError
from callmaybe.terminal import print_line, print_plain, print_verdict


def _json(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Any:  # noqa: ANN401 - JSON
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"{text!r} is not JSON ({error}); a string needs quotes of its own") from None


def _columns(_context: click.Context, _parameter: click.Parameter, text: str | None) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(",")] if text else []
    if wrong := next((field for field, equals, column in pairs if not (field and equals and column)), None):
        raise click.BadParameter(f"expected FIELD=COLUMN,FIELD=COLUMN, such as time=ts,value=payload; found {wrong!r}")
    return {field.strip(): column.strip() for field, _, column in pairs}


def _model(_context: click.Context, _parameter: click.Parameter, name: str | None) -> str | None:
    if name is not None:
        from analysis.linear.options import MODELS  # noqa: PLC0415 - loads the compiler, which takes a while

        if name not in MODELS:
            raise click.BadParameter(f"there is no model {name!r}; known: {', '.join(MODELS)}")
    return name


COLUMNS = click.option(
    "--columns", callback=_columns, metavar="FIELD=COLUMN,...", help="Of CSV and Parquet: where fields are kept."
)


@click.command()
@click.argument("histories", nargs=-1, required=True)
@click.option(
    "--checker",
    "checkers",
    type=click.Choice(list(CHECKERS)),
    metavar="NAME",
    multiple=True,
    help=f"May be given several times. A run's folder names its own; else lost-writes. One of {', '.join(CHECKERS)}.",
)
@click.option("--model", callback=_model, metavar="NAME", help="Of linearizable: docs/checkers.md has the names.")
@click.option("--initial", callback=_json, metavar="JSON", help="The initial value; the model's own if not given.")
@click.option("--nil-read", type=click.Choice(["wildcard", "initial"]), help="What a read of nil says.")
@click.option(
    "--failed-cas", type=click.Choice(["evidence", "none"]), help="What a failed cas says: none, if not given."
)
@click.option(
    "--independent",
    type=click.Choice(["auto", "yes", "no"]),
    default="auto",
    help="Whether values are [key, value], and each key a history of its own.",
)
@click.option("--log-pattern", metavar="REGEX", help="Of log-file-pattern: what the nodes' logs must not say.")
@COLUMNS
@click.option("--budget-s", type=click.FloatRange(min=0, min_open=True), default=60.0, help="Seconds, then unknown.")
@click.option("--budget-memory-mb", type=click.IntRange(min=1), default=2000, help="Of a search, then unknown.")
@click.option("--budget-configurations", type=click.IntRange(min=1), default=100_000_000, help="The same.")
@click.option("--json", "as_json", is_flag=True, help="One object a history, each on a line.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for results and pages.")
def check(  # noqa: PLR0913 - its options
    histories: tuple[str, ...],
    *,
    checkers: tuple[str, ...],
    model: str | None,
    initial: Any,  # noqa: ANN401 - JSON
    nil_read: Literal["wildcard", "initial"] | None,
    failed_cas: Literal["evidence", "none"] | None,
    independent: Literal["auto", "yes", "no"],
    log_pattern: str | None,
    columns: dict[str, str],
    budget_s: float,
    budget_memory_mb: int,
    budget_configurations: int,
    as_json: bool,
    out: Path | None,
) -> None:
    """Judges HISTORIES: runs' folders, files of any format (JSON Lines, EDN, log lines, CSV, Parquet), - for stdin."""
    implied = ("linearizable",) * (model is not None) + ("log-file-pattern",) * (log_pattern is not None)
    settings = Settings(
        model=model,
        initial=initial,
        nil_read=nil_read,
        failed_cas=failed_cas,
        independent=independent,
        log_pattern=log_pattern,
        budget_s=budget_s,
        budget_bytes=budget_memory_mb * 1_000_000,
        budget_configurations=budget_configurations,
    )
    asked = Asked(tuple(dict.fromkeys(checkers or implied)), settings, columns, out)
    if asked.checkers and (misplaced := settings.misplaced(asked.checkers)):
        raise UserError(misplaced)
    if histories.count("-") > 1:
        raise UserError("- was given twice; the standard input can be read once")
    if out:
        prepare(out, histories)
    when_compiling(lambda: click.echo("compiling, once after installation: some seconds", err=True))
    done = []
    for checked in check_all(histories, asked):
        done.append(checked)
        if as_json:
            click.echo(checked.as_json())
        elif checked.results is None:
            click.echo(f"callmaybe: {checked.error}", err=True)
        elif len(histories) == 1:
            print_verdict(sentences(checked.results, checked.scenario), checked.report)
        else:
            print_line(sentences(checked.results, checked.scenario)[0], f"{checked.history}  ")
    statuses = [checked.status for checked in done]
    index = write_index(out, done) if out else None
    if len(histories) > 1 and not as_json:
        words = {0: "valid", 1: "invalid", 2: "unknown", 3: "not judged"}
        print_plain(", ".join(f"{statuses.count(status)} {word}" for status, word in words.items()))
        if index:
            print_plain(f"pages  {index}")
    sys.exit(worst_status(statuses))


@click.command()
@click.argument("source")
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
@COLUMNS
def convert(source: str, target: Path, *, columns: dict[str, str]) -> None:
    """Writes the history SOURCE anew as TARGET: .jsonl, .edn or .parquet."""
    form = target.suffix.removeprefix(".")
    if form not in FORMATS:
        raise UserError(f"{target}: the name ends in none of {', '.join('.' + known for known in FORMATS)}")
    table = read_table(source, columns=columns)
    write_table(table, target, form)
    for warning in table.warnings:
        click.echo(f"callmaybe: {warning}", err=True)
