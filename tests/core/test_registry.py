import pytest

from talweg.core import Registry, UserError


@pytest.fixture
def fruit() -> Registry[int]:
    registry: Registry[int] = Registry("fruit", "talweg list fruit")
    registry.add("pear", 1)
    registry.add("apple", 2)
    return registry


def test_gives_back_what_was_added(fruit):
    assert fruit.add("fig", 3) == 3
    assert fruit["fig"] == 3


def test_is_a_mapping_in_the_order_of_adding(fruit):
    assert list(fruit) == ["pear", "apple"]
    assert dict(fruit) == {"pear": 1, "apple": 2}
    assert len(fruit) == 2
    assert "pear" in fruit
    assert "plum" not in fruit
    assert 3 not in fruit


def test_an_unknown_name_is_told_with_the_nearest_and_where_to_look(fruit):
    with pytest.raises(UserError) as caught:
        fruit["aple"]
    assert str(caught.value) == "unknown fruit 'aple'; did you mean 'apple'? (talweg list fruit)"


@pytest.mark.parametrize("given", [3, None, ["apple"], {"apple": 1}])
def test_what_is_no_name_is_told_as_an_unknown_one(fruit, given):
    with pytest.raises(UserError) as caught:
        fruit[given]
    assert str(caught.value) == f"unknown fruit {given!r} (talweg list fruit)"


def test_without_a_place_to_look_the_names_are_listed():
    registry: Registry[int] = Registry("fruit")
    registry.add("pear", 1)
    with pytest.raises(UserError) as caught:
        registry["zzz"]
    assert str(caught.value) == "unknown fruit 'zzz' (allowed: pear)"


def test_a_name_is_taken_once(fruit):
    with pytest.raises(AssertionError, match="fruit 'pear' is registered twice"):
        fruit.add("pear", 9)
    assert fruit["pear"] == 1
