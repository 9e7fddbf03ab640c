"""Just-in-time linearization, depth first, compiled.

After Lowe, "Testing for linearizability" (2017). A configuration is the next return, the object's state, which pending
live calls are linearized already, and how many crashed calls of each kind. Two rules keep them few:

- a pending call that is possible and could never change a state, such as a read, is linearized at once;
- a configuration that another one dominates is left out: same return, state and live calls, and no crashed call fewer.
  (Comparing the live calls as sets as well would be wrong: a call that is linearized too early cannot be taken back.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.linear.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

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

ILLEGAL: Final = -1
UNASKED: Final = -2

_EMPTY: Final = -1


@compiled
def search(  # noqa: C901, PLR0911, PLR0912, PLR0913, PLR0915, PLR0917 - one loop, and compiled code has no objects
    problem: Problem,
    pure: NDArray[np.bool_],
    step_keys: NDArray[np.int64],
    step_values: NDArray[np.int32],
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
        pure: bool[operations], whether it can never change a state.
        step_keys: int64[power of two], state << 32 | operation, or -1.
        step_values: int32[as many], the state after it, or `ILLEGAL`.
        rows: int64[r, 1 + words]: the configurations; the first word is return << 32 | state.
        heads: int32[power of two]: by hash of a configuration without its crashed calls, the newest such row, or -1.
        following: int32[r]: the next older row of the same hash, or -1.
        stack: int64[2, r]: the rows on the way, and the choice to try next in each.
        progress: int64[PROGRESS]: what it has come to; kept between calls.
        effort: How many choices to try before pausing.

    Returns:
        `LINEARIZABLE`, `IMPOSSIBLE`, `PAUSED`, `FULL` (the rows are used up), or `ASKS` (a step of the model that nobody
        has computed yet); after the last three it can go on.
    """
    last = len(problem.call)
    live_words, words = problem.live_words, problem.words
    scratch = np.zeros(1 + words, np.int64)
    if progress[ROWS] == 0:
        root = _settle(problem, pure, step_keys, step_values, rows[0], progress)
        if root == UNASKED:
            return ASKS
        if root == last:
            progress[FURTHEST] = last
            return LINEARIZABLE
        progress[FURTHEST] = root
        heads[_hash(rows[0], live_words) & (len(heads) - 1)] = 0
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
        choices = live + len(problem.crashed_operation)
        choice = stack[1, top]
        after = ILLEGAL
        word, bits = 0, 0
        while choice < choices:
            effort -= 1
            if choice < live:
                slot = problem.pending_slot[first + choice]
                word, bits = 1 + (slot >> 6), 1 << (slot & 63)
                if row[word] & bits:
                    choice += 1
                    continue
                operation = problem.pending_operation[first + choice]
            else:
                kind = choice - live
                word, bits = 1 + problem.crashed_word[kind], 1 << problem.crashed_shift[kind]
                used = (row[word] >> problem.crashed_shift[kind]) & problem.crashed_mask[kind]
                at = problem.crashed_start[kind] + used
                if at >= problem.crashed_start[kind + 1] or problem.crashed_from[at] > k:
                    choice += 1
                    continue
                operation = problem.crashed_operation[kind]
            after = _step(step_keys, step_values, state, operation)
            if after == UNASKED:
                stack[1, top] = choice
                progress[ASKED_STATE], progress[ASKED_OPERATION] = state, operation
                return ASKS
            if after != ILLEGAL and (after != state or choice < live):
                break
            choice += 1
        stack[1, top] = choice
        if choice >= choices:
            progress[DEPTH] -= 1
            continue
        scratch[:] = row
        if choice < live:
            scratch[word] |= bits
        else:
            scratch[word] += bits
        scratch[0] = (k << 32) | after
        effort -= live
        reached = _settle(problem, pure, step_keys, step_values, scratch, progress)
        if reached == UNASKED:
            return ASKS
        progress[FURTHEST] = max(progress[FURTHEST], reached)
        if reached == last:
            return LINEARIZABLE
        place = _hash(scratch, live_words) & (len(heads) - 1)
        if not _dominated(problem, rows, heads[place], following, scratch):
            new = progress[ROWS]
            if new >= len(rows):
                return FULL
            rows[new] = scratch
            following[new] = heads[place]
            heads[place] = new
            progress[ROWS] = new + 1
            stack[0, top + 1], stack[1, top + 1] = new, 0
            progress[DEPTH] += 1
        stack[1, top] = choice + 1
    return IMPOSSIBLE


@compiled
def _settle(
    problem: Problem,
    pure: NDArray[np.bool_],
    step_keys: NDArray[np.int64],
    step_values: NDArray[np.int32],
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
                if pure[operation] and not row[word_at] & bits_at:
                    after = _step(step_keys, step_values, state, operation)
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
    return k


@compiled
def _step(step_keys: NDArray[np.int64], step_values: NDArray[np.int32], state: int, operation: int) -> int:
    """Looks a step of the model up."""
    key = (state << 32) | operation
    mask = len(step_keys) - 1
    place = np.int64((np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)) & mask
    while step_keys[place] != key:
        if step_keys[place] == _EMPTY:
            return UNASKED
        place = (place + 1) & mask
    return step_values[place]


@compiled
def add_steps(
    step_keys: NDArray[np.int64], step_values: NDArray[np.int32], keys: NDArray[np.int64], values: NDArray[np.int32]
) -> None:
    """Puts steps of the model where `_step` finds them; those that are there stay."""
    mask = len(step_keys) - 1
    for at in range(len(keys)):
        key = keys[at]
        if key == _EMPTY:
            continue
        place = np.int64((np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)) & mask
        while step_keys[place] != _EMPTY and step_keys[place] != key:  # noqa: PLR1714 - sets are not compiled
            place = (place + 1) & mask
        step_keys[place], step_values[place] = key, values[at]


@compiled
def _hash(row: NDArray[np.int64], live_words: int) -> int:
    mixed = np.uint64(0)
    for word in range(1 + live_words):
        mixed = (mixed ^ np.uint64(row[word])) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(31)
    return np.int64(mixed & np.uint64(0x7FFFFFFFFFFFFFFF))


@compiled
def _dominated(
    problem: Problem, rows: NDArray[np.int64], newest: int, following: NDArray[np.int32], row: NDArray[np.int64]
) -> bool:
    """Whether a row of the same return, state and live calls used no more crashed calls of any kind."""
    other = newest
    while other != _EMPTY:
        candidate = rows[other]
        better = True
        for word in range(1 + problem.live_words):
            if candidate[word] != row[word]:
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
def rehash(rows: NDArray[np.int64], count: int, live_words: int, heads: NDArray[np.int32]) -> NDArray[np.int32]:
    """Fills `heads` for the first `count` rows and returns `following`."""
    following = np.full(len(rows), _EMPTY, np.int32)
    heads[:] = _EMPTY
    for row in range(count):
        place = _hash(rows[row], live_words) & (len(heads) - 1)
        following[row] = heads[place]
        heads[place] = row
    return following
