"""Jepsen's `bank`: money moves between accounts, and every read sees all of it.

The definitions are those of jepsen.tests.bank: of each ok read the first of these that holds is its error: an account
that there is not, a balance of nil, a wrong total, a negative balance. Totals are those of the numbers as they are
written, exactly: 0.1, 0.2 and 0.3 are 0.6 in any order, which the sums of a computer's own fractions are not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from analysis.checks.elements import brief
from analysis.checks.rows import rows_of
from analysis.checks.verdict import mistake, weigh
from analysis.lost_writes import plural
from analysis.table import INVOKE, NIL, OK

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from analysis.run_folder import Window
    from analysis.table import Table

_SENTENCES: Final = {
    "unexpected-account": "with an account that there is not",
    "nil-balance": "with a balance of nil",
    "wrong-total": "with a wrong total",
    "negative-balance": "with a negative balance",
}


@dataclass(frozen=True)
class _Rules:
    accounts: set[str]
    total: Fraction | float
    negative_balances: bool


@dataclass(frozen=True)
class _Error:
    kind: str
    row: int
    badness: float
    detail: dict[str, Any]


def check(
    table: Table,
    _windows: Sequence[Window] = (),
    *,
    accounts: Iterable[Any] | None = None,
    total_amount: float | None = None,
    negative_balances: bool = False,
) -> dict[str, Any]:
    """Judges `read`, whose ok value maps accounts to balances.

    Args:
        table: The history.
        accounts: The accounts that there are; those of the first ok read if None. 1 and "1" are the same account, for
            JSON knows no other keys than strings.
        total_amount: What the balances of each read must sum up to; the total of the first ok read if None.
        negative_balances: Whether an account may be overdrawn.

    Returns:
        The verdict; `read_count`, `error_count`, `total_amount`, `account_count`, `first_error`, and `errors`: by kind
        the count, the first, the worst and the last of them, each with its line, and for wrong totals the lowest and
        the highest.

    Raises:
        AnalysisError: If an ok read is not a map of accounts to numbers.
    """
    oks = rows_of(table, "read", OK)
    reads = [(int(row), _balances(table, int(row))) for row in oks[table.kind[oks] != NIL]]
    rules = _rules(reads, accounts, total_amount, negative_balances=negative_balances)
    errors = [error for row, balances in reads if (error := _judge(row, balances, rules))]
    kinds = {kind: [error for error in errors if error.kind == kind] for kind in _SENTENCES}
    tried = len(rows_of(table, "read", INVOKE))
    findings = [f"{plural(len(found), 'read')} {_SENTENCES[kind]}" for kind, found in kinds.items() if found]
    doubts = [] if reads else [f"of {plural(tried, 'read')} none told the balances" if tried else "nobody read"]
    if len(reads) == 1 and total_amount is None:
        doubts.append("one read alone has no other to agree with, and no total was given")
    return {
        **weigh(findings, doubts, f"all {plural(len(reads), 'read')} sum up to {_plain(rules.total):,}"),
        "read_count": len(reads),
        "error_count": len(errors),
        "total_amount": _plain(rules.total),
        "account_count": len(rules.accounts),
        "first_error": _told(table, errors[0]) if errors else None,
        "errors": {kind: _summary(table, found) for kind, found in kinds.items() if found},
    }


def _rules(
    reads: list[tuple[int, dict[str, Any]]],
    accounts: Iterable[Any] | None,
    total_amount: float | None,
    *,
    negative_balances: bool,
) -> _Rules:
    first = reads[0][1] if reads else {}
    known = [balance for balance in first.values() if balance is not None]
    total = _total(known if total_amount is None else [total_amount])
    return _Rules(set(first if accounts is None else map(str, accounts)), total, negative_balances)


def _total(balances: Collection[float]) -> Fraction | float:
    """Returns the sum of numbers as they are written: a Fraction where one has a point, unless it is infinite."""
    rough = sum(balances)
    if type(rough) is int or not math.isfinite(rough):
        return rough
    return sum((Fraction(repr(balance)) for balance in balances), Fraction(0))


def _plain(total: Fraction | float) -> float:
    return float(total) if isinstance(total, Fraction) else total


def _balances(table: Table, row: int) -> dict[str, Any]:
    value = table.value(row)
    if not isinstance(value, dict):
        raise mistake(table, row, f"an ok read of a bank needs a map of accounts to balances, found {brief(value)}")
    for account, balance in value.items():
        if balance is not None and type(balance) not in {int, float}:
            sentence = f"the balance of account {brief(account)} must be a number or nil, found {brief(balance)}"
            raise mistake(table, row, sentence)
    return {str(account): balance for account, balance in value.items()}


def _judge(row: int, balances: dict[str, Any], rules: _Rules) -> _Error | None:
    if unexpected := sorted(balances.keys() - rules.accounts):
        return _Error("unexpected-account", row, len(unexpected), {"accounts": unexpected})
    if nils := sorted(account for account, balance in balances.items() if balance is None):
        return _Error("nil-balance", row, len(nils), {"accounts": nils})
    if (total := _total(balances.values())) != rules.total:
        return _Error("wrong-total", row, abs(_plain(total) - _plain(rules.total)), {"total": _plain(total)})
    negative = {account: balance for account, balance in sorted(balances.items()) if balance < 0}
    if negative and not rules.negative_balances:
        return _Error("negative-balance", row, -sum(negative.values()), {"balances": negative})
    return None


def _told(table: Table, error: _Error) -> dict[str, Any]:
    return {"kind": error.kind, "line": int(table.line[error.row]), **error.detail}


def _summary(table: Table, errors: list[_Error]) -> dict[str, Any]:
    worst = max(errors, key=lambda error: error.badness)
    summary = {
        "count": len(errors),
        "first": _told(table, errors[0]),
        "worst": _told(table, worst),
        "last": _told(table, errors[-1]),
    }
    if worst.kind == "wrong-total":
        totals = [error.detail["total"] for error in errors]
        summary |= {"lowest": min(totals), "highest": max(totals)}
    return summary
