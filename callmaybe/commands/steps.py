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
from callmaybe.aims import await_aim, await_end, choose_targets, record_aimed, record_missed
from callmaybe.expand import expand as expand_scenario
from callmaybe.faults import plan_windows, record_armed, record_counters
from callmaybe.operator import await_action, begin_action, end_action

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
@click.option(
    "--ahead", "ahead_s", type=float, help="Seconds to commit in before T0; by the kinds of faults if absent."
)
def arm(folder: Path, ahead_s: float | None) -> None:
    """Takes the nodes' probes and clocks on standard input, chooses T0 and prints what the nodes are to be told."""
    told = json.load(sys.stdin)
    click.echo(json.dumps(plan_windows(folder, told["probes"], told["clocks"], ahead_s)))


@step.command()
@FOLDER
def armed(folder: Path) -> None:
    """Takes what the nodes list, and since when, on standard input; fails if one lacks a window or has it too late."""
    told = json.load(sys.stdin)
    record_armed(folder, told["statuses"], told["armed_ns"])


@step.command(name="await")
@FOLDER
@click.argument("names", nargs=-1)
@click.option("--at", "at_s", type=float, help="Seconds after T0; the end of the drive if absent.")
@click.option("--action", help="An operator's action that is to be waited for instead.")
def await_moment(folder: Path, names: tuple[str, ...], at_s: float | None, action: str | None) -> None:
    """Waits until the windows NAMES are to be aimed and prints `go`, or `over` if there is nothing left to do."""
    if action is not None:
        click.echo("go" if await_action(folder, action) else "over")
        return
    if at_s is None:
        await_end(folder)
        return
    click.echo("go" if await_aim(folder, at_s, list(names)) else "over")


@step.command()
@FOLDER
@click.argument("names", nargs=-1)
def aim(folder: Path, names: tuple[str, ...]) -> None:
    """Takes the names of the primaries on standard input, aims NAMES and prints what the nodes are to be told."""
    click.echo(json.dumps(choose_targets(folder, list(names), json.load(sys.stdin))))


@step.command()
@FOLDER
@click.argument("names", nargs=-1)
def aimed(folder: Path, names: tuple[str, ...]) -> None:
    """Takes what the nodes listed before and after NAMES were armed, and when, on standard input; notes it."""
    told = json.load(sys.stdin)
    record_aimed(folder, list(names), told["before"], told["after"], told["armed_ns"])


@step.command()
@FOLDER
@click.argument("names", nargs=-1)
@click.option("--why", required=True)
def missed(folder: Path, names: tuple[str, ...], why: str) -> None:
    """Notes why NAMES could not be aimed."""
    record_missed(folder, list(names), why)


@step.command()
@FOLDER
@click.argument("name")
def act(folder: Path, name: str) -> None:
    """Takes the names of the primaries on standard input, notes that NAME begins and prints whom it is for."""
    click.echo(json.dumps(begin_action(folder, name, json.load(sys.stdin))))


@step.command()
@FOLDER
@click.argument("name")
@click.option("--failed", help="Why it could not be done.")
def acted(folder: Path, name: str, failed: str | None) -> None:
    """Notes that the action NAME has ended."""
    end_action(folder, name, failed)


@step.command()
@FOLDER
def collect(folder: Path) -> None:
    """Takes the nodes' counters and clocks on standard input into faults.json."""
    told = json.load(sys.stdin)
    record_counters(folder, told["statuses"], told["clocks"])


@step.command(name="judge")
@FOLDER
def judge_run(folder: Path) -> None:
    """Judges a run, writes its report and prints the verdict."""
    results = judge(folder)
    write_report(folder)
    click.echo("\n".join(sentences(results, read_scenario(folder))))
