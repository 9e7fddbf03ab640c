"""Small random histories for the rules: values are all different, or calls are alike."""

from analysis.history import Operation as Event
from analysis.linear.calls import NEVER
from analysis.linear.containers import Counter as CounterModel
from analysis.linear.containers import FifoQueue, Set, Stack, UnorderedQueue
from analysis.linear.locks import FencedMutex, Mutex, ReentrantMutex, Semaphore
from analysis.linear.model import Call, Reading
from analysis.linear.registers import CasRegister, Register
from analysis.table import table_of

SETS = [[], [1], [2], [3], [1, 2], [2, 3], [1, 3], [1, 2, 3]]
VALUES = tuple(range(1, 9))


def fresh(f):
    """A function that is asked with another value each time."""
    return lambda rng, state: (f, state["next"].pop() if state["next"] else 99)  # noqa: ARG005


def plain(f, *arguments):
    return lambda rng, state: (f, rng.choice(arguments) if arguments else None)  # noqa: ARG005


def cas(rng, state):
    return "cas", [rng.choice([0, *state["used"]]), state["next"].pop()]


def lock(rng, state):
    return rng.choice(("acquire", "release")), None


# model, what is asked, what may be answered, initial values, the least share that the rule decides
KINDS = {
    "register": (Register(), (plain("read"), fresh("write")), {"read": (None, 0, *VALUES)}, (None, 0), 0.9),
    "cas": (CasRegister(), (plain("read"), fresh("write"), cas, cas), {"read": (None, 0, *VALUES)}, (None, 0), 0.7),
    "cas-same": (CasRegister(), (plain("read"), plain("cas", [0, 1], [1, 2], [2, 3], [3, 1], [1, 1], [4, 3]),
                                 plain("write", 4)), {"read": (None, 0, 1, 2, 3)}, (0,), 0.1),
    "fifo": (FifoQueue(), (fresh("enqueue"), plain("dequeue")), {"dequeue": (None, *VALUES)}, ([], [11, 12]), 0.85),
    "bag": (UnorderedQueue(), (fresh("enqueue"), plain("dequeue")), {"dequeue": (None, *VALUES)}, ([], [11]), 0.9),
    "stack": (Stack(), (fresh("push"), plain("pop")), {"pop": (None, *VALUES)}, ([], [11, 12]), 0.8),
    "set": (Set(), (plain("add", 1, 2, 3), plain("read")), {"read": SETS}, ([], [1]), 0.95),
    "mutex": (Mutex(), (lock,), {}, (False, True), 0.99),
    "semaphore": (Semaphore(2), (lock,), {}, (0, 1), 0.99),
    "fenced": (FencedMutex(), (lock,), {"acquire": (1, 2, 3, 4)}, (None, 1), 0.95),
    "reentrant": (ReentrantMutex(), (lock,), {}, (None, 1), 0.95),
    "counter": (CounterModel(), (plain("read"), plain("add", 1, 1, None)), {"read": (0, 1, 2, 3, None)}, (0, 1), 0.99),
    "counter-down": (CounterModel(), (plain("read"), plain("decrement", 2), plain("add", -2, -2, 0)),
                     {"read": (0, -2, -4, -6, -1)}, (0,), 0.99),
}  # fmt: skip


def draw(kind, rng):
    """A history whose answers are mostly what an object gave; its table and the reading."""
    model, reading, events = draw_events(kind, rng)
    return model, reading, table_of(events)


def draw_events(kind, rng):
    """The same, as events."""
    model, asks, answers, initials, _ = KINDS[kind]
    initial = rng.choice(initials)
    reading = Reading(rng.choice(("wildcard", "initial")), rng.choice(("none", "none", "evidence")), initial)
    state = model.start(initial)
    numbers = {"next": rng.sample(VALUES, len(VALUES)), "used": []}
    free, pending, events, calls = [0, 1, 2], {}, [], 0
    wanted, wrong, crash = rng.randint(2, 8), rng.choice((0.0, 0.1, 0.4)), rng.choice((0, 0.1, 0.3))

    def record(process, kind, f, value):
        events.append(Event(len(events), len(events), process, kind, f, value))

    while pending or (free and calls < wanted):
        if calls < wanted and free and (not pending or rng.random() < 0.55):
            process = free.pop(rng.randrange(len(free)))
            f, argument = rng.choice(asks)(rng, numbers)
            numbers["used"].append(argument[1] if isinstance(argument, list) else argument or 0)
            pending[process] = [f, argument, None]
            record(process, "invoke", f, argument)
            calls += 1
            continue
        process = rng.choice(list(pending))
        f, argument, taken = pending[process]
        if taken is None:
            outcome = "ok" if rng.random() >= crash else rng.choice(("info", "info", "fail", "never"))
            told = None
            if outcome == "ok" or (outcome != "fail" and rng.random() < 0.6):
                options = list(answers.get(f, (argument,)))
                rng.shuffle(options)
                fits = [(a, after) for a in options if (after := step(model, state, reading, process, f, argument, a))]
                if fits and rng.random() >= wrong:
                    told, after = fits[0]
                    state = after[0]
                elif outcome == "ok" and rng.random() < wrong:
                    told = options[0]
                elif outcome == "ok":
                    outcome = "fail"
            pending[process][2] = (outcome, told)
            continue
        del pending[process]
        outcome, told = taken
        if outcome == "never":
            continue
        free.append(process + 10 if outcome == "info" else process)
        record(process, outcome, f, told if outcome == "ok" else argument)
    return model, reading, events


def step(model, state, reading, process, f, argument, answer):  # noqa: PLR0917
    meaning = model.operation(Call(process, f, argument, answer, "ok"), reading)
    after = state if meaning is None else model.step(state, *meaning)
    return None if after is None else (after,)


def judge(model, start, calls):
    """Tries every order that agrees with real time; crashed calls may be left out."""
    seen = set()

    def fits(left, state):
        if all(calls[call][2] == NEVER for call in left):
            return True
        if (left, state) in seen:
            return False
        seen.add((left, state))
        until = min(calls[call][2] for call in left)
        for call in left:
            operation, invoked, _ = calls[call]
            if invoked < until:
                after = model.step(state, *operation)
                if after is not None and fits(left - {call}, after):
                    return True
        return False

    return fits(frozenset(range(len(calls))), start)
