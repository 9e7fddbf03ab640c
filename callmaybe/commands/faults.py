"""`callmaybe faults`: a scenario's timeline, printed and drawn without touching a node."""

import json
import secrets
from pathlib import Path

import click

from analysis.atomic import write_atomically
from analysis.lost_writes import plural
from callmaybe.chart import LATE, svg_chart, text_chart
from callmaybe.console import console
from callmaybe.expand import check_known, check_nodes, make_actions, make_windows
from callmaybe.scenario import find_scenario, load_scenario


@click.command()
@click.argument("scenario")
@click.option("--seed", type=click.IntRange(min=0), help="Of all that is drawn; a run with it has this timeline.")
@click.option("--nodes", default="n1 n2 n3 n4 n5", show_default=True, help="The cluster's nodes, in their order.")
@click.option("--json", "as_json", is_flag=True, help="The windows as the nodes would get them, as one JSON object.")
@click.option("--svg", type=click.Path(path_type=Path, dir_okay=False), help="Draws it into this file too.")
def faults(scenario: str, seed: int | None, nodes: str, *, as_json: bool, svg: Path | None) -> None:
    """Shows the timeline of SCENARIO, a name or a file: which fault hits whom, from when to when. Touches no node."""
    path = find_scenario(scenario)
    found = load_scenario(path)
    check_known(found, path)
    drawn = secrets.randbelow(10_000) if seed is None else seed
    names = nodes.replace(",", " ").split()
    check_nodes(names)
    windows = make_windows(found, path, names, drawn)
    actions = make_actions(found, path, windows, names, drawn)
    run_s = float(found.workload.duration)
    late = [window["name"] for window in windows if "late" in window]
    heading = f"{path.stem}   seed {drawn}   {names[0]}..{names[-1]}   {run_s:g} s, {plural(len(windows), 'window')}"
    if svg is not None:
        write_atomically(svg, svg_chart(windows, run_s, heading).encode())
    if as_json:
        told = {"scenario": path.stem, "seed": drawn, "nodes": names, "duration_s": run_s}
        told |= {"windows": windows, "actions": actions}
        click.echo(json.dumps(told))
        return
    console.print(heading, highlight=False, soft_wrap=True)
    for line in text_chart(windows, run_s, console.width):
        console.print(line, soft_wrap=True)
    for action in actions:
        console.print(f"at {action['at_s']:g} s an operator: {action['title']}", highlight=False, soft_wrap=True)
    if late:
        console.print(
            f"{LATE} late: {', '.join(late)}: whom it hits is looked up shortly before it begins",
            highlight=False,
            soft_wrap=True,
        )
    console.print(
        f"the same again: callmaybe test {scenario} --seed {drawn}", style="dim", highlight=False, soft_wrap=True
    )
