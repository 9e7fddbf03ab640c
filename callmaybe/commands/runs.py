"""`callmaybe test` and `callmaybe demo`: runs of scenarios."""

import secrets
import sys
from pathlib import Path

import click

from analysis.judge import read_results
from analysis.run_folder import read_scenario
from analysis.sentences import sentences
from callmaybe import lab
from callmaybe.check import EXIT_OF
from callmaybe.console import console
from callmaybe.project import UserError
from callmaybe.run import Run
from callmaybe.scenario import find_scenario, load_scenario
from callmaybe.terminal import print_verdict

ahead = click.option(
    "--ahead",
    "ahead_s",
    type=click.FloatRange(min=1),
    help="Seconds to arm in before a run; more where it is slow.",
)


@click.command()
@click.argument("scenario")
@click.option(
    "--inventory", "-i", type=click.Path(path_type=Path, exists=True), help="The machines; the lab by default."
)
@click.option("--target", help="The group or pattern of the cluster's hosts in the inventory; 'nodes' by default.")
@click.option("--seed", type=click.IntRange(min=0), help="Of all that is drawn; a run repeats from its seed.")
@click.option("--no-provision", is_flag=True, help="The cluster is already there: install nothing, wipe nothing.")
@ahead
def test(  # noqa: PLR0913 - click's options
    scenario: str,
    inventory: Path | None,
    target: str | None,
    seed: int | None,
    ahead_s: float | None,
    *,
    no_provision: bool,
) -> None:
    """Runs SCENARIO, a name or a file: installs, cuts, drives, heals, judges."""
    sys.exit(run_scenario(scenario, inventory, target, seed, ahead_s, no_provision=no_provision))


def run_scenario(  # noqa: PLR0913 - what a user may say of a run
    scenario: str,
    inventory: Path | None,
    target: str | None,
    seed: int | None,
    ahead_s: float | None = None,
    *,
    no_provision: bool = False,
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
    if ahead_s is not None:
        variables["arm_ahead_s"] = ahead_s
    run = Run(console, inventory or lab.inventory())
    outcome = run.go(variables)
    judged = run.folder is not None and (run.folder / "results.json").exists()
    if run.folder and judged:
        results = read_results(run.folder)
        console.print()
        print_verdict(sentences(results, read_scenario(run.folder)), run.folder / "report.html")
    if run.interrupted:
        raise click.Abort
    if not outcome.ok or not judged:
        raise UserError(f"{path.stem}: {outcome.reason}")
    return EXIT_OF[results["valid"]]


@click.command()
def demo() -> None:
    """Tells the whole story here: lab up, Redis of 2013, verdict, lab down. Exits with 0 when there is a verdict."""
    was_up = lab.is_up()
    try:
        lab.up(console, {})
        run_scenario("redis-sentinel", None, None, None)
    finally:
        if not was_up:
            lab.down(console)
