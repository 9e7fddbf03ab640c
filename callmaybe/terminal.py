"""What a person sees: the console, and verdicts on it."""

from pathlib import Path

from rich.console import Console
from rich.text import Text

VERDICT_STYLES = {"VALID": "bold green", "INVALID": "bold red", "UNKNOWN": "bold yellow"}
console = Console()


def print_verdict(lines: list[str], report: Path | None = None) -> None:
    """Prints the verdict's word in its colour, and all that is said of it in a column beside it."""
    print_line(lines[0])
    for line in lines[1:] + ([f"report  {_short(report)}"] if report else []):
        console.print(Text(f"{'':9}{line}"), soft_wrap=True)


def print_line(line: str, about: str = "") -> None:
    """Prints the first line of a verdict; `about` comes between its word and its sentence."""
    word, _, sentence = line.partition("  ")
    console.print(Text.assemble((f"{word:<9}", VERDICT_STYLES.get(word, "")), about, sentence), soft_wrap=True)


def _short(path: Path) -> str:
    latest = path.parent.parent / "latest" / path.name
    shown = latest if latest.exists() and latest.resolve() == path.resolve() else path
    return str(shown.relative_to(Path.cwd())) if shown.is_relative_to(Path.cwd()) else str(shown)
