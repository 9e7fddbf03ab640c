"""What a person sees: verdicts, in their colours where it is a terminal."""

from pathlib import Path

import click

VERDICT_COLOURS = {"VALID": "green", "INVALID": "red", "UNKNOWN": "yellow"}


def print_verdict(lines: list[str], report: Path | None = None) -> None:
    """Prints the verdict's word in its colour, and all that is said of it in a column beside it."""
    print_line(lines[0])
    for line in lines[1:] + ([f"report  {_short(report)}"] if report else []):
        print_plain(f"{'':9}{line}")


def print_line(line: str, about: str = "") -> None:
    """Prints the first line of a verdict; `about` comes between its word and its sentence."""
    word, _, sentence = line.partition("  ")
    click.echo(click.style(f"{word:<9}", fg=VERDICT_COLOURS.get(word), bold=True) + printable(about + sentence))


def print_plain(line: str) -> None:
    """Prints a line as it is."""
    click.echo(printable(line))


def printable(text: str) -> str:
    """Returns a text without what could move the cursor or break the line: histories are anybody's."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def _short(path: Path) -> str:
    latest = path.parent.parent / "latest" / path.name
    shown = latest if latest.exists() and latest.resolve() == path.resolve() else path
    return str(shown.relative_to(Path.cwd())) if shown.is_relative_to(Path.cwd()) else str(shown)
