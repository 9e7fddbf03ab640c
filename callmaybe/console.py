"""The console that live progress is shown on; only what needs it waits for it."""

from rich.console import Console

console = Console()
