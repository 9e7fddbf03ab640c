"""The models by name, and what decides a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from analysis.errors import AnalysisError
from analysis.linear.containers import Counter, FifoQueue, Set, Stack, UnorderedQueue
from analysis.linear.locks import FencedMutex, Mutex, ReentrantMutex, Semaphore
from analysis.linear.model import Model, Reading
from analysis.linear.registers import CasRegister, KeyValue, MultiRegister, Register

if TYPE_CHECKING:
    from collections.abc import Callable

MODELS: Final[dict[str, Callable[[], Model]]] = {
    "register": Register,
    "cas-register": CasRegister,
    "multi-register": MultiRegister,
    "kv": KeyValue,
    "mutex": Mutex,
    "reentrant-mutex": ReentrantMutex,
    "fenced-mutex": FencedMutex,
    "semaphore": Semaphore,
    "set": Set,
    "fifo-queue": FifoQueue,
    "unordered-queue": UnorderedQueue,
    "stack": Stack,
    "counter": Counter,
}


@dataclass(frozen=True)
class Options:
    """What decides a verdict, and what it may cost.

    Attributes:
        model: A name of `MODELS`, or a model of one's own.
        initial: The initial value; None: the model's own (nil for registers, 0, nothing).
        nil_read: Whether a read that answered nil says nothing (`wildcard`) or that the initial value was there
            (`initial`); None: `initial` where the initial value is nil, else `wildcard`.
        failed_cas: Whether a cas that failed is `evidence` that another value was there; `none`: it may have been an
            error of the connection.
        keyed: Whether values are pairs of a key and a value, each key an object of its own; `auto`: where the model
            says so, or every invocation has such a pair and reads ask with [key, nil].
        budget_s: Seconds.
        budget_bytes: Memory that one search may hold.
        budget_configurations: Configurations, of all keys together.
        explain: Whether a contradiction is explained.
    """

    model: str | Model = "cas-register"
    initial: Any = None
    nil_read: Literal["wildcard", "initial"] | None = None
    failed_cas: Literal["evidence", "none"] = "none"
    keyed: Literal["auto"] | bool = "auto"
    budget_s: float = 60.0
    budget_bytes: int = 2_000_000_000
    budget_configurations: int = 100_000_000
    explain: bool = True


def find_model(model: str | Model) -> Model:
    """Returns the model of that name.

    Raises:
        AnalysisError: If there is none, with the names that there are.
    """
    if isinstance(model, Model):
        return model
    if model not in MODELS:
        raise AnalysisError(f"unknown model {model!r}; there are: {', '.join(MODELS)}")
    return MODELS[model]()


def reading_of(options: Options, model: Model) -> Reading:
    """Returns how answers are to be understood, defaults filled in."""
    initial = model.initial if options.initial is None else options.initial
    nil_read = options.nil_read or ("initial" if initial is None else "wildcard")
    return Reading(nil_read, options.failed_cas, initial)
