"""Copies of the process that go on with a part of the work: the same numbers, and no harm."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from talweg.core import UserError
from talweg.lanes.copying import can_divide, cores_for
from talweg.lanes.processes import Parent, StandsStill, divided

pytestmark = pytest.mark.skipif(not can_divide(), reason="processes are copied on Linux alone")


def place(number: int, parent: Parent) -> tuple[int, Tensor, int]:
    parent.tell("number", number)
    return number, torch.full((2,), number), torch.get_num_threads()


def test_works_return_in_order_and_tell_their_parent():
    told: list[int] = []
    found = divided([partial(place, i) for i in range(3)], {"number": told.append})
    assert [number for number, _, _ in found] == [0, 1, 2]
    assert all(torch.equal(tensor, torch.full((2,), i)) for i, tensor, _ in found)
    assert [threads for _, _, threads in found] == [1, 1, 1]
    assert sorted(told) == [0, 1, 2]


def test_a_question_is_answered_once_all_that_still_work_have_asked():
    def asks(times: int, parent: Parent) -> list[int]:
        return [parent.ask((times, turn)) for turn in range(times)]

    heard: list[list[tuple[int, int]]] = []

    def answer(questions: Any) -> int:
        heard.append(list(questions))
        return len(heard)

    found = divided([partial(asks, times) for times in (1, 3)], {}, answer)
    assert found == [[1], [1, 2, 3]]
    assert heard == [[(1, 0), (3, 0)], [(3, 1)], [(3, 2)]]


def waits(_parent: Parent) -> None:
    time.sleep(60)


def fails(_parent: Parent) -> None:
    raise UserError("this one")


class Unsendable(Exception):  # noqa: N818 - raised by no code but this
    def __init__(self, lock: object) -> None:
        super().__init__("held", lock)


def fails_unsendably(_parent: Parent) -> None:
    raise Unsendable(threading.Lock())


def is_killed(_parent: Parent) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def leaves(_parent: Parent) -> None:
    raise SystemExit(3)


def ends(_parent: Parent) -> None:
    os._exit(7)


class PickyError(ValueError):
    """It is sent, but cannot be received: it is made of two arguments and shows one."""

    def __init__(self, what: str, code: int) -> None:
        super().__init__(f"{what} {code}")


def fails_when_received(_parent: Parent) -> None:
    raise PickyError("a", 5)


@pytest.mark.parametrize(
    ("work", "kind", "words"),
    [
        (fails, UserError, "this one"),
        (fails_unsendably, RuntimeError, "held"),
        (is_killed, MemoryError, "was killed"),
        (leaves, SystemExit, "3"),
        (ends, RuntimeError, r"ended early \(7\)"),
        (fails_when_received, RuntimeError, "PickyError: a 5"),
    ],
)
def test_what_one_raises_is_raised_and_the_others_end(
    work: Callable[[Parent], None], kind: type[BaseException], words: str
):
    began = time.monotonic()
    with pytest.raises(kind, match=words):
        divided([waits, work], {})
    assert time.monotonic() - began < 30
    with pytest.raises(ChildProcessError):  # none is left
        os.waitpid(-1, os.WNOHANG)


def test_one_that_waits_for_a_thread_it_has_not_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("talweg.lanes.processes.STILL", 0.5)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()

        def asks_it(_parent: Parent) -> None:
            pool.submit(int).result()

        def computes(_parent: Parent) -> float:
            began = time.process_time()
            while time.process_time() - began < 2:
                pass
            return 1.0

        assert divided([computes], {}) == [1.0]
        with pytest.raises(StandsStill):
            divided([asks_it, computes], {})


def test_copies_print_once_and_draw_alike(capfd: pytest.CaptureFixture[str]):
    def prints(number: int, _parent: Parent) -> float:
        print(f"copy {number}")
        return random.random()

    random.seed(3)
    print("before", end=" ")
    found = divided([partial(prints, i) for i in range(2)], {})
    print("after")
    sys.stdout.flush()
    random.seed(3)
    assert found == [random.random()] * 2
    assert capfd.readouterr().out.count("before") == 1


def test_signals_are_heard_once(tmp_path: Path):
    def hear(_number: int, _frame: object) -> None:
        (tmp_path / str(os.getpid())).touch()

    def terminates(_parent: Parent) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    usual = signal.signal(signal.SIGTERM, hear)
    try:
        with pytest.raises(RuntimeError, match="ended early"):
            divided([terminates], {})
        assert signal.getsignal(signal.SIGTERM) is hear
    finally:
        signal.signal(signal.SIGTERM, usual)
    assert not list(tmp_path.iterdir())


def test_cores_are_left_free_where_there_are_more_than_needed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {2, 5, 7}, raising=False)
    assert cores_for(2) == [None, None]
    assert cores_for(3) == [2, 5, 7]
    assert cores_for(4) == [2, 5, 7, 2]


def test_ctrl_c_is_the_parents_and_ends_them():
    def press(_parent: Parent) -> None:
        os.kill(os.getpid(), signal.SIGINT)  # which a copy does not hear
        while True:  # Python loses one that comes while an object is being deleted
            os.kill(os.getppid(), signal.SIGINT)
            time.sleep(5)

    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            divided([press, waits], {})
    finally:
        signal.signal(signal.SIGINT, usual)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_they_end_with_a_parent_that_is_killed():
    code = (
        "import os, time\n"
        "from talweg.lanes.processes import divided\n"
        "def work(parent):\n"
        "    parent.tell('pid', os.getpid()); time.sleep(60)\n"
        "divided([work], {'pid': lambda pid: print(pid, flush=True)})\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        copy = int(run.stdout.readline())
        run.kill()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and _runs(copy):
        time.sleep(0.05)
    assert not _runs(copy)


def _runs(process: int) -> bool:
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
        return stat.rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
