"""Streams: samples in batches as they arrive, checked, each drawn once and none too early."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from talweg.core import UserError
from talweg.data import Stream, as_samples, is_stream, load, stream_of

X = torch.arange(22.0).reshape(11, 2)
Y = torch.arange(11) % 3


class Counted:
    """An endless iterable that knows how often it was asked."""

    def __init__(self, size: int | None = None) -> None:
        self.size = size
        self.drawn = 0
        self.begun = 0

    def __iter__(self) -> Iterator[Any]:
        self.begun += 1
        while True:
            self.drawn += 1
            value = torch.full((2,), float(self.drawn))
            yield (value, 1) if self.size is None else (value.expand(self.size, 2), [1] * self.size)


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter(Counted())


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("size", [1, 4, 11, 12])
def test_samples_are_cut_into_batches(size, drop_last):
    sources = (
        zip(X, Y, strict=True),
        zip(X, Y.tolist(), strict=True),
        ([x, y] for x, y in zip(X.numpy(), Y.numpy(), strict=True)),
    )
    for source in sources:
        found = list(Stream(source).batches(size, drop_last=drop_last))
        kept = 11 - 11 % size if drop_last else 11
        assert [len(samples) for samples in found[:-1]] == [size] * (len(found) - 1)
        assert sum(map(len, found)) == kept
        if found:
            assert torch.equal(torch.cat([samples.x for samples in found]), X[:kept])
            assert torch.equal(torch.cat([samples.y for samples in found]), Y[:kept])


def test_batches_are_taken_as_they_come():
    pieces = list(zip(X.split([4, 4, 1, 2]), Y.split([4, 4, 1, 2]), strict=True))
    found = list(Stream(pieces, batched=True).batches(3))
    assert [len(samples) for samples in found] == [4, 4, 1, 2]
    assert torch.equal(torch.cat([samples.x for samples in found]), X)
    whole = list(Stream(pieces, batched=True).batches(None, drop_last=True))
    assert [len(samples) for samples in whole] == [4, 4]


def test_values_are_taken_as_those_of_data_in_memory_are():
    tokens = torch.arange(6).reshape(3, 2)
    for x, y in ((X[:3].double(), Y[:3]), (tokens, Y[:3]), (X[:3].numpy(), [0.5, 1.5, 2.5])):
        given = as_samples((x, y))
        (found,) = Stream(zip(x, y, strict=True)).batches(3)
        assert (found.x.dtype, found.y.dtype) == (given.x.dtype, given.y.dtype)
        assert torch.equal(found.x, given.x)
        assert torch.equal(found.y, given.y)


@pytest.mark.parametrize("size", [None, 5])
def test_no_sample_is_drawn_too_early(size):
    source = Counted(size)
    batches = Stream(source, batched=size is not None).batches(5)
    assert source.drawn == 0
    for number in range(1, 4):
        next(batches)
        assert source.drawn == (number if size else 5 * number)
    assert source.begun == 1


@pytest.mark.parametrize(
    ("source", "batched"),
    [
        (zip(X, Y, strict=True), False),
        (iter([(X[0], 1)]), False),
        ((pair for pair in [(X[0], 1)]), False),
        (Counted(), False),
        (Endless(), False),
        (DataLoader(TensorDataset(X, Y), batch_size=4), True),
        (DataLoader(Endless(), batch_size=4), True),
        (DataLoader(Endless(), batch_size=None), False),
    ],
)
def test_what_is_a_stream(source, batched):
    assert is_stream(source)
    assert stream_of(source) == Stream(source, batched)
    ours = Stream(source, not batched)
    assert is_stream(ours)
    assert stream_of(ours) is ours


@pytest.mark.parametrize("source", [(X, Y), [X, Y], X, X.numpy(), "digits", TensorDataset(X, Y), 3])
def test_what_is_none(source):
    assert not is_stream(source)


def fails(after: int) -> Iterator[Any]:
    yield from zip(X[:after], Y, strict=False)
    raise OSError("the line is dead\nvery dead")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (fails(0), r"^the stream failed after 0 samples: OSError: the line is dead$"),
        (fails(5), r"^the stream failed after 5 samples: OSError: the line is dead$"),
        ([(X[0], 1), (X[1], 2), (X[2, :1], 3)], "sample 3 of the stream differs from the "
         r"first: x is float32 tensor of shape \[1\], there float32 tensor of shape \[2\]"),
        ([(X[0], 1), (X[1].double(), 2)], r"sample 2 .* x is float64 tensor of shape \[2\]"),
        ([(X[0], 1), (X[1].numpy(), 2)], r"sample 2 .* x is float32 array of shape \[2\]"),
        ([(X[0], 1), (X[1], 2.5)], r"sample 2 .* y is float64 array of shape \[\]"),
        ([(X[0], 1), (X[1], [2])], r"sample 2 .* y is int64 array of shape \[1\]"),
        ([(X[0], 1), X[1], 2], "must give pairs .x, y., got Tensor after 1 sample$"),
        ([(X[0], 1, 2)], "must give pairs .x, y., got tuple of 3 after 0 samples"),
        ([{"x": X[0], "y": 1}], "must give pairs .x, y., got dict after 0 samples"),
        ([(X[0], 1), (X[1] / 0, 2)], "samples 1 to 2 of the stream cannot be used: features must "
         "be finite numbers, but hold 2 values"),
        ([([[1.0], [2.0, 3.0]], 1)], "sample 1 of the stream cannot be used: x must be an array"),
        ([(X[0], "cat")], "sample 1 of the stream cannot be used: target must be an array of num"),
    ],
)  # fmt: skip
def test_samples_that_cannot_be_used_are_told_with_their_number(source, message):
    with pytest.raises(UserError, match=message) as error:
        list(Stream(source).batches(4))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([(X[:2], Y[:2]), (X[:3, :1], Y[:3])], r"sample 3 .* x is float32 tensor .* \[1\]"),
        ([(X[:2], Y[:2]), (X[:3], Y[:2])], "the batch from sample 3 .* 3 inputs and 2 targets"),
        ([(X[:2], Y[:2]), (X[:0], Y[:0])], "of the stream cannot be used: there are no samples"),
        ([(X[0], 1)], "must give x .batch, …. and y .batch, …., got a single number after 0 sam"),
    ],
)
def test_batches_that_cannot_be_used(source, message):
    with pytest.raises(UserError, match=message):
        list(Stream(source, batched=True).batches(None))


def test_the_cause_of_a_failure_is_kept():
    with pytest.raises(UserError) as error:
        list(Stream(fails(3)).batches(2))
    assert isinstance(error.value.__cause__, OSError)


def test_a_stream_is_checked_when_it_is_made():
    with pytest.raises(UserError, match="a stream must be an iterable, got int"):
        Stream(3)
    with pytest.raises(UserError, match="batched must be true or false, got 'yes'"):
        Stream([], "yes")
    with pytest.raises(UserError, match="batch_size must be a whole number of at least 1, got 0"):
        Stream([]).batches(0)
    with pytest.raises(UserError, match="a stream has no end to wait for"):
        Stream([]).batches(None)


@pytest.mark.parametrize("read", [load, as_samples])
@pytest.mark.parametrize("source", [Endless(), zip(X, Y, strict=True), Stream([])])
def test_data_with_rows_are_asked_for_elsewhere(read, source):
    with pytest.raises(UserError, match=r"\(X, y\), or learn .* by talweg\.lanes\.train"):
        read(source)
