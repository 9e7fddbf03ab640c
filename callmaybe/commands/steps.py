"""`callmaybe step`: what playbooks/test.yml calls between its plays, on the files of a run's folder."""

import json
import secrets
import sys
from pathlib import Path

import click

from analysis.judge import judge
from analysis.report import write_report
from analysis.run_folder import read_scenario
from analysis.sentences import sentences
from callmaybe.expand import expand as expand_scenario
from callmaybe.faults import plan_windows, record_counters

FOLDER = click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))


@click.group(hidden=True)
def step() -> None:
    """One step of a run, for playbooks/test.yml."""


@step.command()
@click.argument("scenario")
@click.argument("nodes", nargs=-1)
@click.option("--seed", type=click.IntRange(min=0))
@click.option("--provision", type=bool)
def expand(scenario: str, nodes: tuple[str, ...], seed: int | None, provision: bool | None) -> None:  # noqa: FBT001 - click
    """Writes the plan of a run and prints its folder."""
    drawn = secrets.randbelow(10_000) if seed is None else seed
    click.echo(expand_scenario(scenario, drawn, list(nodes), provision=provision))


@step.command()
@FOLDER
@click.option("--ahead", "ahead_s", type=float, required=True, help="Seconds to commit in before T0.")
def arm(folder: Path, ahead_s: float) -> None:
    """Takes the nodes' probes on standard input, chooses T0 and prints faults.json."""
    click.echo(json.dumps(plan_windows(folder, json.load(sys.stdin), ahead_s)))


@step.command()
@FOLDER
def collect(folder: Path) -> None:
    """Takes the nodes' counters on standard input into faults.json."""
    record_counters(folder, json.load(sys.stdin))


@step.command(name="judge")
@FOLDER
def judge_run(folder: Path) -> None:
    """Judges a run, writes its report and prints the verdict."""
    results = judge(folder)
    write_report(folder)
    click.echo("\n".join(sentences(results, read_scenario(folder))))
