"""What a person may decide about the checkers, and which of them each decision is for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

_FOR: Final[dict[str, frozenset[str]]] = {
    "model": frozenset({"linearizable"}),
    "initial": frozenset({"linearizable", "counter"}),
    "nil_read": frozenset({"linearizable"}),
    "failed_cas": frozenset({"linearizable"}),
    "log_pattern": frozenset({"log-file-pattern"}),
}
_WHOLE: Final = frozenset({"linearizable-mutex", "linearizable-register", "log-file-pattern"})
"""Checkers that do not ask for independent keys."""


@dataclass(frozen=True)
class Settings:
    """What decides a verdict, None where the checker's own default does, and what it may cost.

    Attributes:
        model: Of `linearizable`: a name of `analysis.linear.options.MODELS`.
        initial: Of `linearizable` and `counter`: the initial value.
        nil_read: Of `linearizable`: see `analysis.linear.options.Options`.
        failed_cas: The same.
        independent: Whether values are pairs of a key and a value, each key a history of its own. `auto`: for
            `linearizable` where the history looks like it, else not.
        log_pattern: Of `log-file-pattern`: a regular expression.
        budget_s: Seconds that one search may take.
        budget_bytes: Memory that one search may hold.
        budget_configurations: Configurations that one search may visit.
    """

    model: str | None = None
    initial: Any = None
    nil_read: Literal["wildcard", "initial"] | None = None
    failed_cas: Literal["evidence", "none"] | None = None
    independent: Literal["auto", "yes", "no"] = "auto"
    log_pattern: str | None = None
    budget_s: float = 60.0
    budget_bytes: int = 2_000_000_000
    budget_configurations: int = 100_000_000

    def misplaced(self, checkers: Sequence[str]) -> str | None:
        """Says which decision none of the checkers asks for; None where each has its own."""
        named = " and ".join(checkers) or "no checker"
        for name, wanted in _FOR.items():
            if getattr(self, name) is not None and not wanted & set(checkers):
                return f"{_option(name)} is for {' and '.join(sorted(wanted))}, not for {named}"
        if self.independent == "yes" and set(checkers) <= _WHOLE:
            return f"{_option('independent')} is not for {named}"
        return None


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
