"""What a run looks like while it goes on: one line a step, the present one alive."""

import json
import time
from pathlib import Path
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

QUIET_LINE_S = 10.0  # where nothing can be redrawn, say this often how far it is
SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


class Progress:
    """Prints finished steps and keeps the present one moving. Use as a context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._step = ""
        self._doing = ""
        self._began = self._said = time.monotonic()
        self._drive: Path | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def step(self, name: str, drive: Path | None = None) -> None:
        """Begins a step; `drive` is the file in which it says how far it is."""
        self._step, self._doing, self._drive = name, "", drive
        self._began = self._said = time.monotonic()
        self.tick()

    def doing(self, what: str) -> None:
        """Says what the present step is at."""
        self._doing = what
        self.tick()

    def done(self, detail: str) -> None:
        """Ends the present step with its result."""
        self._console.print(self._line(" ", detail), highlight=False, soft_wrap=True)
        self._step = ""
        self.tick()

    def say(self, text: str, style: str = "") -> None:
        """Prints a line above the present step."""
        self._console.print(text, style=style, highlight=False, soft_wrap=True)

    def tick(self) -> None:
        """Redraws the present step; call it several times a second."""
        now = time.monotonic()
        if self._drive is not None:
            self._doing = describe_drive(self._drive) or self._doing
        if self._console.is_terminal:
            frame = SPINNER[int(now * 8) % len(SPINNER)]
            self._live.update(self._line(frame, self._doing) if self._step else Text(""), refresh=True)
        elif self._step and now - self._said >= QUIET_LINE_S:
            self._said = now
            self._console.print(self._line(" ", f"... {self._doing}"), highlight=False, soft_wrap=True)

    def _line(self, mark: str, text: str) -> Text:
        seconds = f"{time.monotonic() - self._began:.0f} s"
        return Text.assemble(
            (f"{mark} ", "cyan"), (f"{self._step:<10}", "bold"), f"{text:<58}", (f"{seconds:>6}", "dim")
        )


def describe_drive(path: Path) -> str:
    """One line on how far the driver is, from its progress.json; empty before it has begun."""
    try:
        at: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    parts = [f"{_clock(at['elapsed_s'])}/{_clock(at['duration_s'])}", f"{at['ok']:,} ok"]
    parts += [f"{at[kind]:,} {word}" for kind, word in (("fail", "failed"), ("info", "unknown")) if at[kind]]
    if at["active_windows"]:
        parts.append("now " + ", ".join(at["active_windows"]))
    if at.get("waiting_for"):
        parts.append(at["waiting_for"])
    return "   ".join(parts)


def _clock(seconds: float) -> str:
    return f"{max(0, int(seconds)) // 60:02d}:{max(0, int(seconds)) % 60:02d}"
