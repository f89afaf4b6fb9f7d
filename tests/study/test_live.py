"""What is shown while a study runs."""

import math

from talweg.lanes import Reading
from talweg.study.history import Lane
from talweg.study.live import Board

TASK = {"metric": "rmse", "higher_is_better": False}


def test_the_leaders_are_each_rules_best_rate_so_far():
    board = Board(TASK, {"a": "A", "b": "B"})
    lanes = [("a", 0.1), ("a", 1.0), ("b", 0.1), ("b", 1.0)]
    board.begin([Lane(i, "tune", rule, lr, 0) for i, (rule, lr) in enumerate(lanes)])
    scores = {("validation", "rmse"): [3.0, math.nan, math.inf, 2.0]}
    board.read(Reading((0, 1, 2, 3), 10, 1.0, scores))
    assert board.leaders() == [("B", 1.0, 2.0), ("A", 0.1, 3.0)]
    board.read(Reading((3,), 12, 1.2, {("train", "diverged"): [1.0]}))
    assert board.alive == 3
    assert board.leaders() == [("A", 0.1, 3.0)]
    board.stop([0])
    assert board.alive == 2
    assert board.leaders() == []
