"""Amounts of memory, as people write them."""

import pytest

from talweg.core import UserError, in_bytes, memory_size, usable_memory


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ("300M", 300_000_000),
        ("1g", 10**9),
        ("1GB", 10**9),
        ("1 GiB", 2**30),
        ("0.5K", 500),
        (".5k", 500),
        ("4096", 4096),
        (4096, 4096),
        ("2TiB", 2 * 2**40),
    ],
)
def test_amounts(written: str | int, amount: int) -> None:
    assert memory_size(written) == amount


@pytest.mark.parametrize("written", ["", "M", "-1G", "0", 0, -5, "1X", "1iB", "lots", True, "1 2M"])
def test_what_is_no_amount(written: str | int) -> None:
    with pytest.raises(UserError, match=r"memory must be an amount such as 300M or 1\.5GiB, got"):
        memory_size(written)


def test_shown_amounts_do_not_round_up_to_a_thousand() -> None:
    assert in_bytes(999_499) == "999 kB"
    assert in_bytes(999_600) == "1.0 MB"


def test_usable_is_a_part_of_the_machine() -> None:
    assert 10**7 < usable_memory() < 10**14
