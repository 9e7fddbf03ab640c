"""`callmaybe test`: playbooks/test.yml through ansible-runner, with progress, an orderly Ctrl-C, and healing."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import yaml
from rich.console import Console

from analysis.run_folder import Window, read_faults
from callmaybe.ansible import Outcome, run_playbook
from callmaybe.progress import Progress

STEPS = ("Expand", "Provision", "Arm", "Drive", "Collect", "Judge")  # the plays of playbooks/test.yml that begin a step


class Run:
    """One run: follows the playbook's events, and knows how far it came."""

    def __init__(self, console: Console, inventory: Path) -> None:
        self.folder: Path | None = None
        self._inventory = inventory
        self._progress = Progress(console)
        self._step = ""
        self._interrupts = 0
        self._warned = False

    @property
    def interrupted(self) -> bool:
        """Whether somebody wanted it to end early."""
        return self._interrupts > 0

    def go(self, variables: dict[str, Any]) -> Outcome:
        """Runs playbooks/test.yml to its end; on the way out no fault is left behind.

        Args:
            variables: extra variables of the playbook: scenario, seed, target, provision.

        Returns:
            How the playbook ended; `folder` is set if it came as far as that.
        """
        with self._progress, self._interruptible():
            try:
                outcome = run_playbook(
                    "test.yml",
                    {**variables, "callmaybe_verdict_fails": False},
                    inventory=self._inventory,
                    on_event=self._follow,
                    cancelled=self._cancelled,
                )
                if outcome.ok:
                    self._finish_step()
            finally:
                if self._step in ("Arm", "Drive", "Collect") and not self._collected():
                    self._heal(variables)
        return outcome

    def _follow(self, event: dict[str, Any]) -> None:
        data = event.get("event_data", {})
        if event["event"] == "playbook_on_play_start" and data.get("play") in STEPS:
            self._finish_step()
            self._step = data["play"]
            drive = self.folder / "progress.json" if self.folder and self._step == "Drive" else None
            if self._step != "Expand":
                self._progress.step(self._step.lower(), drive)
        elif event["event"] == "playbook_on_task_start":
            self._progress.doing(str(data.get("name", "")).rpartition(" : ")[2])
        elif event["event"] == "runner_on_ok" and data.get("task") == "Expand | Write the plan":
            self._begin(Path(data["res"]["stdout"].strip()))

    def _begin(self, folder: Path) -> None:
        self.folder = folder
        plan = yaml.safe_load((folder / "scenario.yml").read_text(encoding="utf-8"))
        load, nodes = plan["workload"], plan["nodes"]
        self._progress.say(
            f"{plan['scenario']}   seed {plan['seed']}   {nodes[0]}..{nodes[-1]}   "
            f"{load['name']}, {len(load['clients'])} clients, {load['rate']:g} ops/s"
        )

    def _finish_step(self) -> None:
        if self.folder and self._step and self._step != "Expand":
            self._progress.done(describe_step(self._step, self.folder))

    def _collected(self) -> bool:
        """Whether the playbook itself has healed and read the counters."""
        if self.folder is None or not (self.folder / "faults.json").exists():
            return self._step != "Arm"
        faults = json.loads((self.folder / "faults.json").read_text(encoding="utf-8"))
        return bool(faults.get("collected"))

    def _heal(self, variables: dict[str, Any]) -> None:
        self._progress.step("heal")
        interrupts, self._interrupts = self._interrupts, 0
        target = {"target": variables["target"]} if "target" in variables else {}
        outcome = run_playbook("heal.yml", target, inventory=self._inventory, cancelled=self._cancelled)
        left = f"{outcome.reason}; the node ends every fault by itself at its window's end"
        self._progress.done("every fault ended" if outcome.ok else left)
        self._interrupts += interrupts

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        self._interrupts += 1

    def _cancelled(self) -> bool:
        """Asked by ansible-runner several times a second: redraws, and acts on Ctrl-C.

        The first Ctrl-C of a driven run ends the workload in order: the playbook goes on to heal, collect and judge.
        Anywhere else, and the second time, it ends the playbook.
        """
        self._progress.tick()
        if self._interrupts == 1 and self._step in ("Drive", "Collect", "Judge"):
            if not self._warned:
                self._warned = True
                self._progress.say("interrupted: ending the workload, then healing and reporting (again: at once)")
                self._stop_driver()
            return False
        return self._interrupts > 0

    def _stop_driver(self) -> None:
        if self._step != "Drive" or self.folder is None:
            return
        try:
            os.kill(json.loads((self.folder / "progress.json").read_text(encoding="utf-8"))["pid"], signal.SIGINT)
        except (OSError, ValueError, KeyError):
            self._interrupts += 1  # the driver cannot be told: end the playbook


def describe_step(step: str, folder: Path) -> str:
    """What a finished step came to, in a few words, from the files that it wrote."""

    def read(name: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((folder / name).read_text(encoding="utf-8"))
        return content

    if step == "Provision":
        cluster = read("cluster.json")
        return f"{cluster['database']} {cluster['version']}, variant {cluster['variant']}"
    if step == "Arm":
        faults, nodes = read("faults.json"), len(read("cluster.json")["nodes"])
        count = len(faults["windows"])
        windows = f"{count} window{'s' if count != 1 else ''} on {nodes} nodes"
        return f"{windows}, clocks within {faults['clock_spread_ns'] / 1000:,.0f} us"
    if step == "Drive":
        at = read("progress.json")
        return f"{at['ok']:,} ok   {at['fail']:,} failed   {at['info']:,} unknown"
    if step == "Collect":
        return describe_effects(read_faults(folder / "faults.json").windows)
    return "report written"


def describe_effects(windows: list[Window]) -> str:
    """What all windows did, by the unit of their kinds, and those that did nothing by their names."""
    if not windows:
        return "no faults in this scenario"
    units: dict[str, list[Window]] = {}
    for window in windows:
        units.setdefault(window.kind.unit, []).append(window)
    sums = {unit: sum(window.effect_total or 0 for window in some) for unit, some in units.items()}
    said = ", ".join(f"{round(total, 1):,.10g} {unit}" for unit, total in sums.items())
    idle = [window.name for window in windows if not window.effect_total]
    where = f" in {windows[0].name}" if len(windows) == 1 else ""
    return f"{said}{where}" + (f"; nothing in {', '.join(idle)}" if idle else "")
