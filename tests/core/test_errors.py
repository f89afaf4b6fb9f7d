import pytest

from talweg.core import UserError, choose, nearest, whole_number


def test_user_errors_are_value_errors():
    assert issubclass(UserError, ValueError)


@pytest.mark.parametrize(
    ("given", "found"),
    [("adma", "Adam"), ("ADAM", "Adam"), ("sg", "SGD"), ("xyzzy", None), ("", None)],
)
def test_nearest_looks_past_capitals_and_gives_up_when_nothing_is_close(given, found):
    assert nearest(given, ["Adam", "SGD"]) == found


def test_nearest_takes_any_iterable():
    assert nearest("one", iter(["two", "one"])) == "one"
    assert nearest("one", []) is None


def test_choose_names_the_nearest_choice_and_the_allowed_ones():
    error = choose("loss", "hubr", iter(["huber", "hinge"]))
    assert isinstance(error, UserError)
    assert str(error) == "unknown loss 'hubr'; did you mean 'huber'? (allowed: huber, hinge)"


def test_choose_asks_nothing_when_nothing_is_close():
    assert str(choose("loss", "zz", ["huber"])) == "unknown loss 'zz' (allowed: huber)"


def test_choose_can_point_to_a_command():
    error = choose("rule", "adma", ["adam"], "talweg list rules")
    assert str(error) == "unknown rule 'adma'; did you mean 'adam'? (talweg list rules)"


@pytest.mark.parametrize(("value", "least"), [(1, 1), (7, 1), (0, 0), (-2, -3)])
def test_whole_number_gives_back_what_fits(value, least):
    assert whole_number("epochs", value, least) == value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (-1, "-1"),
        (1.5, "1.5"),
        (2.0, "2.0"),
        (True, "True"),
        ("3", "'3'"),
        (None, "None"),
    ],
)
def test_whole_number_refuses_the_rest(value, shown):
    with pytest.raises(UserError) as caught:
        whole_number("epochs", value)
    assert str(caught.value) == f"epochs must be a whole number of at least 1, got {shown}"
