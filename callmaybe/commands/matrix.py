"""`callmaybe matrix`: many scenarios one after the other, and one table of what they came to."""

import sys
from itertools import groupby
from pathlib import Path

import click

from analysis.atomic import write_atomically
from callmaybe import lab
from callmaybe.ansible import run_playbook
from callmaybe.commands.runs import ahead, run_scenario
from callmaybe.findings import Finding, is_as_wanted, make_table, read_runs
from callmaybe.project import STORE, UserError
from callmaybe.scenario import Scenario, find_scenario, known_scenarios, load_scenario

TABLE_FILE = STORE / "matrix.md"
OTHERWISE, NOT_RUN = 1, 3  # exit status: a verdict was not the one that was wanted; a scenario could not run

Found = dict[str, tuple[Scenario, list[Finding], list[str]]]


@click.command()
@click.argument("scenarios", nargs=-1)
@click.option("--tag", "tags", multiple=True, help="Scenarios that have this tag; several: any of them.")
@click.option("--runs", type=click.IntRange(min=1), default=1, show_default=True, help="Of each scenario.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Of the first run; then one more."
)
@click.option(
    "--inventory", "-i", type=click.Path(path_type=Path, exists=True), help="The machines; the lab by default."
)
@click.option("--target", help="The group or pattern of the cluster's hosts in the inventory; 'nodes' by default.")
@ahead
@click.option(
    "--table", type=click.Path(path_type=Path, dir_okay=False), default=TABLE_FILE, help="Where it is written."
)
@click.option("--no-run", is_flag=True, help="Only makes the table, of the newest --runs runs in the store.")
def matrix(  # noqa: PLR0913, PLR0917 - click's options
    scenarios: tuple[str, ...],
    tags: tuple[str, ...],
    runs: int,
    seed: int,
    inventory: Path | None,
    target: str | None,
    ahead_s: float | None,
    table: Path,
    *,
    no_run: bool,
) -> None:
    """Runs SCENARIOS, or all that have a --tag, or all there are, and writes one table of their verdicts.

    Exit status: 0 if every verdict was the one that its scenario expects, 1 if not, 3 if one could not run.
    """
    found: Found = {}
    for name, path, scenario in _chosen(scenarios, tags):
        found[name] = (scenario, *(read_runs(_newest(path.stem, runs)) if no_run else ([], [])))
    asked = [*scenarios, *(f"--tag {tag}" for tag in tags), f"--runs {runs}", *(["--no-run"] if no_run else [])]
    command = " ".join(["callmaybe matrix", *asked])
    try:
        if not no_run:
            _run_all(found, runs, seed, inventory, target, ahead_s)
    finally:
        write_atomically(table, make_table(found, command).encode())
        click.echo(f"table  {table}")
    sys.exit(_status(found))


def _chosen(names: tuple[str, ...], tags: tuple[str, ...]) -> list[tuple[str, Path, Scenario]]:
    """The scenarios asked for, those of a database together, so that it is installed once."""
    loaded = [(name, find_scenario(name)) for name in (names or known_scenarios())]
    every = [(name, path, load_scenario(path)) for name, path in loaded]
    known = sorted({tag for _, _, scenario in every for tag in scenario.tags})
    for tag in tags:
        if tag not in known:
            raise UserError(f"no scenario has the tag '{tag}'; there are: {', '.join(known) or 'none'}")
    chosen = [entry for entry in every if not tags or set(tags) & set(entry[2].tags)]
    return sorted(chosen, key=lambda entry: (entry[2].database, entry[0]))


def _run_all(  # noqa: PLR0913, PLR0917 - what a user may say of all runs
    found: Found, runs: int, seed: int, inventory: Path | None, target: str | None, ahead_s: float | None
) -> None:
    """Runs them; a database is wiped once its last scenario is over, so that it takes nothing from the next one.

    One that was there before, since no scenario provisions it, is somebody's, and stays as it is.
    """
    for database, entries in groupby(found.items(), key=lambda entry: entry[1][0].database):
        group = list(entries)
        for name, (_, findings, failures) in group:
            path = find_scenario(name)
            for number in range(runs):
                click.echo(f"\n{name}, run {number + 1} of {runs}")
                try:
                    run_scenario(str(path), inventory, target, seed + number, ahead_s)
                except UserError as error:
                    click.echo(f"callmaybe: {error}", err=True)
                    failures.append(str(error))
                    continue
                findings.extend(read_runs(_newest(path.stem, 1))[0])
        if any(scenario.provision for _, (scenario, _, _) in group):
            _wipe(database, inventory, target)


def _wipe(database: str, inventory: Path | None, target: str | None) -> None:
    variables = {"db": database, "verb": "wipe"} | ({"target": target} if target else {})
    outcome = run_playbook("db.yml", variables, inventory=inventory or lab.inventory())
    if not outcome.ok:
        click.echo(f"callmaybe: {database} was not wiped: {outcome.reason}", err=True)


def _newest(scenario: str, most: int) -> list[Path]:
    """The folders of a scenario's newest runs in the store, the newest last."""
    return sorted(path for path in (STORE / scenario).glob("*T*Z") if path.is_dir())[-most:]


def _status(found: Found) -> int:
    if any(failures for _, _, failures in found.values()):
        return NOT_RUN
    others = [f for scenario, findings, _ in found.values() for f in findings if not is_as_wanted(scenario, f)]
    return OTHERWISE if others else 0
