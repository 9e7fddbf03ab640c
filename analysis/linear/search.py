"""Just-in-time linearization, depth first, compiled.

After Lowe, "Testing for linearizability" (2017). A configuration is the next return, the object's state, which pending
live calls are linearized already, and how many crashed calls of each kind. These rules keep them few:

- A *pure* call, one that never changes a state, such as a read, is linearized as soon as it is possible.
- When a *blind* call, one that leaves the same state whatever was before, such as a write, is linearized, every other
  blind call that is pending may have been linearized just before it, unseen. It becomes *excused*: it may still be used
  as if nothing had happened, and may return as if it had been used. That decides later, and for free.
- A blind call that nobody has observed is not followed by another: the other could have come at once.
- Of blind calls that are alike, the one that returns first is used first; of crashed calls, the earliest.
- A configuration that another one dominates is left out: same return and state, no crashed call more, and every call
  linearized in both, in neither, or excused in the other. (Comparing the linearized calls as sets as well would be
  wrong: a call that is linearized too early cannot be taken back.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.compiled import compiled
from analysis.linear.effects import ILLEGAL, PURE, UNASKED, WRITE, step

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analysis.linear.effects import Effects
    from analysis.linear.problem import Problem

LINEARIZABLE: Final = 0
IMPOSSIBLE: Final = 1
PAUSED: Final = 2
FULL: Final = 3
ASKS: Final = 4

ROWS: Final = 0  # places in `progress`
DEPTH: Final = 1
FURTHEST: Final = 2
ASKED_STATE: Final = 3
ASKED_OPERATION: Final = 4
PROGRESS: Final = 5

_EMPTY: Final = -1


@compiled
def search(  # noqa: C901, PLR0911, PLR0912, PLR0913, PLR0915, PLR0917 - one loop, and compiled code has no objects
    problem: Problem,
    effects: Effects,
    rows: NDArray[np.int64],
    heads: NDArray[np.int32],
    following: NDArray[np.int32],
    stack: NDArray[np.int64],
    progress: NDArray[np.int64],
    effort: int,
) -> int:
    """Goes on with a search until something must be told.

    Args:
        problem: The calls.
        effects: What the operations do.
        rows: int64[r, 1 + words]: the configurations; the first word is return << 32 | state.
        heads: int32[power of two]: by hash of a configuration, see `_hash`, the newest such row, or -1.
        following: int32[r]: the next older row of the same hash, or -1.
        stack: int64[3, r]: the rows on the way, the choice to try next in each, and whether it is unobserved.
        progress: int64[PROGRESS]: what it has come to; kept between calls.
        effort: How many choices to try before pausing.

    Returns:
        `LINEARIZABLE`, `IMPOSSIBLE`, `PAUSED`, `FULL` (the rows are used up), or `ASKS` (a step of the model that
        nobody has computed yet); after the last three it can go on.
    """
    last = len(problem.call)
    live_words, words = problem.live_words, problem.words
    scratch = np.zeros(1 + words, np.int64)
    linearized = np.zeros(live_words, np.int64)
    if progress[ROWS] == 0:
        root = _settle(problem, effects, rows[0], progress)
        if root == UNASKED:
            return ASKS
        if root == last:
            progress[FURTHEST] = last
            return LINEARIZABLE
        progress[FURTHEST] = root
        heads[_hash(problem, rows[0]) & (len(heads) - 1)] = 0
        following[0] = _EMPTY
        stack[0, 0], stack[1, 0] = 0, 0
        progress[ROWS], progress[DEPTH] = 1, 1
    while progress[DEPTH] > 0:
        if effort <= 0:
            return PAUSED
        top = progress[DEPTH] - 1
        row = rows[stack[0, top]]
        k, state = row[0] >> 32, row[0] & 0xFFFFFFFF
        first = problem.pending_start[k]
        live = problem.pending_start[k + 1] - first
        kinds = problem.plain_kinds if stack[2, top] else len(problem.crashed_operation)
        choices = 1 + live + kinds
        choice = stack[1, top]
        after = ILLEGAL
        word, bits = 0, 0
        while choice < choices:
            effort -= 1
            if choice <= live:
                nth = first + max(choice - 1, 0)
                slot = problem.pending_slot[nth]
                word, bits = 1 + (slot >> 6), 1 << (slot & 63)
                if choice == 0:  # the returning call returns, excused
                    if row[word + live_words] & bits:
                        after = state
                        break
                    choice += 1
                    continue
                if row[word] & bits:
                    choice += 1
                    continue
                operation = problem.pending_operation[nth]
                alike = nth
            else:
                kind = choice - live - 1
                word, bits = 1 + problem.crashed_word[kind], 1 << problem.crashed_shift[kind]
                used = (row[word] >> problem.crashed_shift[kind]) & problem.crashed_mask[kind]
                at = problem.crashed_start[kind] + used
                if at >= problem.crashed_start[kind + 1] or problem.crashed_from[at] > k:
                    choice += 1
                    continue
                operation = problem.crashed_operation[kind]
                alike = first + live
            if effects.code[operation] == WRITE and (
                stack[2, top] or _has_alike(problem, row, first, alike, operation)
            ):
                choice += 1
                continue
            after = step(effects, state, operation)
            if after == UNASKED:
                stack[1, top] = choice
                progress[ASKED_STATE], progress[ASKED_OPERATION] = state, operation
                return ASKS
            if after != ILLEGAL and (after != state or choice <= live):
                break
            choice += 1
        stack[1, top] = choice
        if choice >= choices:
            progress[DEPTH] -= 1
            continue
        scratch[:] = row
        if choice <= live:
            scratch[word] |= bits
            scratch[word + live_words] &= ~bits
        else:
            scratch[word] += bits
        scratch[0] = (k << 32) | after
        blind = choice > 0 and effects.code[operation] == WRITE
        if blind:
            _excuse(problem, effects, scratch, first, first + live)
        linearized[:] = scratch[1 : 1 + live_words]
        effort -= live + (live >> 2) * (live >> 4)
        reached = _settle(problem, effects, scratch, progress)
        if reached == UNASKED:
            return ASKS
        progress[FURTHEST] = max(progress[FURTHEST], reached)
        if reached == last:
            return LINEARIZABLE
        place = _hash(problem, scratch) & (len(heads) - 1)
        if not _dominated(problem, rows, heads[place], following, scratch):
            new = progress[ROWS]
            if new >= len(rows):
                return FULL
            rows[new] = scratch
            following[new] = heads[place]
            heads[place] = new
            progress[ROWS] = new + 1
            stack[0, top + 1], stack[1, top + 1] = new, 0
            stack[2, top + 1] = blind and reached == k and np.array_equal(linearized, scratch[1 : 1 + live_words])
            progress[DEPTH] += 1
        stack[1, top] = choice + 1
    return IMPOSSIBLE


@compiled
def _settle(
    problem: Problem,
    effects: Effects,
    row: NDArray[np.int64],
    progress: NDArray[np.int64],
) -> int:
    """Linearizes what never changes a state and is possible, and passes the returns of what is linearized.

    Returns:
        The next return, or `UNASKED`; the row is then half way, and whoever asks again begins with it anew or goes on.
    """
    last = len(problem.call)
    k, state = row[0] >> 32, row[0] & 0xFFFFFFFF
    while k < last:
        first, end = problem.pending_start[k], problem.pending_start[k + 1]
        slot = problem.pending_slot[first]
        word, bits = 1 + (slot >> 6), 1 << (slot & 63)
        if not row[word] & bits:
            for at in range(first, end):
                slot_at = problem.pending_slot[at]
                word_at, bits_at = 1 + (slot_at >> 6), 1 << (slot_at & 63)
                operation = problem.pending_operation[at]
                if effects.code[operation] <= PURE and not row[word_at] & bits_at:
                    after = step(effects, state, operation)
                    if after == UNASKED:
                        progress[ASKED_STATE], progress[ASKED_OPERATION] = state, operation
                        return UNASKED
                    if after == state:
                        row[word_at] |= bits_at
            if not row[word] & bits:
                break
        row[word] &= ~bits
        k += 1
        row[0] = (k << 32) | state
    return int(k)


@compiled
def _has_alike(problem: Problem, row: NDArray[np.int64], first: int, end: int, operation: int) -> bool:
    """Whether a pending call of the same operation, not linearized yet, stands in a part of the list."""
    for at in range(first, end):
        slot = problem.pending_slot[at]
        if problem.pending_operation[at] == operation and not row[1 + (slot >> 6)] & (1 << (slot & 63)):
            return True
    return False


@compiled
def _excuse(problem: Problem, effects: Effects, row: NDArray[np.int64], first: int, end: int) -> None:
    """Excuses the pending blind calls that are not linearized."""
    for at in range(first, end):
        slot = problem.pending_slot[at]
        word, bits = 1 + (slot >> 6), 1 << (slot & 63)
        if effects.code[problem.pending_operation[at]] == WRITE and not row[word] & bits:
            row[word + problem.live_words] |= bits


@compiled
def _hash(problem: Problem, row: NDArray[np.int64]) -> int:
    """Hashes what a configuration shares with those that can dominate it."""
    mixed = np.uint64(row[0]) * np.uint64(0x9E3779B97F4A7C15)
    for word in range(problem.live_words):
        linearized = row[1 + word] & problem.plain[row[0] >> 32, word]
        mixed = (mixed ^ (mixed >> np.uint64(31)) ^ np.uint64(linearized)) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(31)
    return np.int64(mixed & np.uint64(0x7FFFFFFFFFFFFFFF))  # type: ignore[return-value]  # numpy's scalar


@compiled
def _dominated(
    problem: Problem, rows: NDArray[np.int64], newest: int, following: NDArray[np.int32], row: NDArray[np.int64]
) -> bool:
    """Whether another row can do all that a row can.

    It has the same return and state, and no crashed call more; whatever call it does not have excused is as in the row.
    """
    other = newest
    while other != _EMPTY:
        candidate = rows[other]
        better = candidate[0] == row[0]
        for word in range(1, 1 + problem.live_words):
            excused = candidate[word + problem.live_words]
            if (candidate[word] ^ row[word]) & ~excused or row[word + problem.live_words] & ~excused:
                better = False
                break
        if better:
            for kind in range(len(problem.crashed_operation)):
                word = 1 + problem.crashed_word[kind]
                shift, mask = problem.crashed_shift[kind], problem.crashed_mask[kind]
                if (candidate[word] >> shift) & mask > (row[word] >> shift) & mask:
                    better = False
                    break
        if better:
            return True
        other = following[other]
    return False


@compiled
def rehash(problem: Problem, rows: NDArray[np.int64], count: int, heads: NDArray[np.int32]) -> NDArray[np.int32]:
    """Fills `heads` for the first `count` rows and returns `following`."""
    following = np.full(len(rows), _EMPTY, np.int32)
    heads[:] = _EMPTY
    for row in range(count):
        place = _hash(problem, rows[row]) & (len(heads) - 1)
        following[row] = heads[place]
        heads[place] = row
    return following
