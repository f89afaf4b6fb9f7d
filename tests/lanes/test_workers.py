"""Threads that work side by side, and what becomes of them when one fails."""

import os
import signal
import threading
from collections.abc import Callable

import pytest
import torch

from talweg.lanes.workers import Workers


def until_halted(workers: Workers, begun: threading.Event) -> Callable[[], None]:
    def call() -> None:
        begun.set()
        while True:
            workers.check()

    return call


def test_results_come_in_order_each_on_one_thread():
    workers, before = Workers(2), torch.get_num_threads()
    with workers.at_work():
        found = workers.map([lambda i=i: (i, torch.get_num_threads()) for i in range(9)])
    assert found == [(i, 1) for i in range(9)]
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("first", [True, False])
def test_what_one_raises_is_raised_and_the_others_stop(first: bool):
    workers, begun = Workers(2), threading.Event()

    def fails() -> None:
        begun.wait()
        raise ValueError("this one")

    calls = [until_halted(workers, begun), fails]
    with workers.at_work():
        with pytest.raises(ValueError, match="this one"):
            workers.map(calls[::-1] if first else calls)
        assert workers.map([lambda: 1, lambda: 2]) == [1, 2]  # and they can work again
    assert workers.map([lambda: 3]) == [3]


def test_ctrl_c_stops_all_of_them_at_their_next_step():
    workers, begun = Workers(2), threading.Event()

    def press() -> None:
        begun.wait()
        os.kill(os.getpid(), signal.SIGINT)

    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    pressing = threading.Thread(target=press)
    pressing.start()
    try:
        with workers.at_work(), pytest.raises(KeyboardInterrupt):
            workers.map([until_halted(workers, begun)] * 6)
    finally:
        signal.signal(signal.SIGINT, usual)
    pressing.join()


def test_where_cores_cannot_be_chosen_threads_work_all_the_same(monkeypatch: pytest.MonkeyPatch):
    def refused(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", refused, raising=False)
    workers = Workers(2)
    with workers.at_work():
        assert workers.map([lambda: 1, lambda: 2]) == [1, 2]
