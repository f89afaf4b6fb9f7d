import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from talweg.core import UserError
from talweg.data import BatchOrder

counts = st.integers(1, 200)
sizes = st.integers(1, 250) | st.none()
seeds = st.integers(0, 2**64 - 1)  # what torch.manual_seed takes
epochs = st.integers(0, 1000)


@given(counts, sizes, seeds, epochs)
@settings(deadline=None)
def test_each_epoch_is_a_permutation(count, size, seed, epoch):
    order = BatchOrder(count, size, seed).epoch(epoch)
    assert order.dtype == torch.int64
    assert order.sort().values.tolist() == list(range(count))


@given(counts, sizes, seeds, st.lists(epochs, min_size=1, max_size=6))
@settings(deadline=None)
def test_an_epoch_depends_on_seed_and_number_alone(count, size, seed, asked):
    order = BatchOrder(count, size, seed)
    in_sequence = [order.epoch(number) for number in asked]
    for number, found in zip(asked, in_sequence, strict=True):
        assert torch.equal(found, BatchOrder(count, size, seed).epoch(number))


@given(counts, sizes, seeds, st.booleans())
@settings(deadline=None)
def test_batches_are_the_epochs_cut_into_pieces(count, size, seed, drop_last):
    if drop_last and size and size > count:
        with pytest.raises(
            UserError, match=f"drop_last leaves no batch: batch_size is {size}, but"
        ):
            BatchOrder(count, size, seed, drop_last=drop_last)
        return
    order = BatchOrder(count, size, seed, drop_last=drop_last)
    steps = order.steps_per_epoch
    assert steps == (count // (size or count) if drop_last else -(-count // (size or count)))
    for epoch in (0, 1):
        batches = [order.batch(epoch * steps + step) for step in range(steps)]
        joined = torch.cat(batches)
        assert torch.equal(joined, order.epoch(epoch)[: len(joined)])
        lengths = {len(batch) for batch in batches[:-1]}
        assert lengths <= {order.batch_size}
        assert 0 <= count - len(joined) < order.batch_size
        if not drop_last:
            assert len(joined) == count


def test_batches_can_be_asked_for_in_any_order():
    order = BatchOrder(10, 4, seed=3)
    forward = [order.batch(step) for step in range(9)]
    for step in (8, 0, 5, 2, 7):
        assert torch.equal(order.batch(step), forward[step])


def test_steps_per_epoch():
    assert BatchOrder(50_000, 256, 0).steps_per_epoch == 196
    assert BatchOrder(50_000, 256, 0, drop_last=True).steps_per_epoch == 195
    assert BatchOrder(50_000, 1, 0).steps_per_epoch == 50_000
    assert BatchOrder(50_000, None, 0).steps_per_epoch == 1
    assert len(BatchOrder(50_000, 256, 0).batch(195)) == 80


@pytest.mark.parametrize(
    ("size", "drop_last"), [(None, True), (12, True), (12, False), (13, False), (1000, False)]
)
def test_a_full_batch_is_the_set_in_order(size, drop_last):
    order = BatchOrder(12, size, seed=5, drop_last=drop_last)
    assert order.steps_per_epoch == 1
    assert order.is_full
    assert order.batch(7).tolist() == list(range(12))


def test_neighbouring_seeds_and_epochs_are_unrelated():
    """The rank correlation of two independent orders of N has standard deviation 1/sqrt(N - 1)."""
    count = 2000
    orders = [
        BatchOrder(count, 1, seed).epoch(epoch).double().numpy()
        for seed in (0, 1, 2, 2**32, 2**32 + 1)
        for epoch in range(5)
    ]
    between = np.corrcoef(orders)[~np.eye(len(orders), dtype=bool)]
    assert np.abs(between).max() < 5 / np.sqrt(count - 1)


def test_the_order_is_the_same_on_every_machine():
    assert BatchOrder(8, 2, seed=0).epoch(0).tolist() == [6, 3, 1, 4, 5, 2, 7, 0]


@pytest.mark.parametrize("size", [0, -1, True, 2.5, "4"])
def test_a_batch_size_must_be_a_positive_whole_number(size):
    with pytest.raises(UserError, match=r"batch_size must be a whole number of at least 1, got"):
        BatchOrder(10, size, 0)


def test_other_numbers_are_checked_too():
    with pytest.raises(UserError, match="drop_last must be true or false, got 1"):
        BatchOrder(10, 4, 0, drop_last=1)
    with pytest.raises(UserError, match="number of samples must be a whole number of at least 1"):
        BatchOrder(0, 4, 0)
    with pytest.raises(UserError, match="seed must be a whole number of at least 0, got -1"):
        BatchOrder(10, 4, -1)
    with pytest.raises(UserError, match="epoch must be a whole number of at least 0"):
        BatchOrder(10, 4, 0).epoch(-1)
    with pytest.raises(UserError, match="step must be a whole number of at least 0"):
        BatchOrder(10, 4, 0).batch(-1)
