"""`callmaybe lab`: the lab, its state, and a shell on a node."""

import click

from callmaybe import lab as the_lab
from callmaybe.console import console


@click.group()
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
