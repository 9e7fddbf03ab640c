"""Parallel work: in order, and one item's end is not the others'."""

import os
import signal
import threading
import time

import pytest

from callmaybe.workers import Lost, run_all

pytestmark = pytest.mark.unit


def test_answers_come_in_order_and_a_dead_process_loses_only_its_own() -> None:
    def task(item: str) -> str:
        if item == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.1 if item == "slow" else 0)
        return item

    answers = list(run_all(task, ["slow", "a", "dies", "b", "c"]))
    assert [answers[at] for at in (0, 1, 3, 4)] == ["slow", "a", "b", "c"]
    assert isinstance(answers[2], Lost)
    assert "signal 9" in str(answers[2])


def test_ctrl_c_takes_what_is_known() -> None:
    def task(item: str) -> str:
        try:
            time.sleep(60 if item == "long" else 0)
        except KeyboardInterrupt:
            return "so far"
        return item

    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    answers = list(run_all(task, ["quick", "long", "long", "long"]))
    timer.join()
    assert answers[0] == "quick"
    assert "so far" in answers
    assert isinstance(answers[3], Lost)
