import re

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from talweg.core import UserError, parse_call
from talweg.core.spec import split_calls

QUIET = settings(
    database=None,
    deadline=None,
    derandomize=True,
    max_examples=300,
    suppress_health_check=[HealthCheck.too_slow],  # a machine with other work is no failure
)


def is_a_word(text: str) -> bool:
    """Whether the text can be nothing but a word: neither a number nor true or false."""
    try:
        float(text)
    except ValueError:
        return text.lower() not in ("true", "false")
    return False


NAMES = st.from_regex(r"[A-Za-z_][\w.-]*", fullmatch=True)
KEYS = st.from_regex(r"[a-z_][a-z0-9_]*", fullmatch=True)
WORDS = st.from_regex(r"[A-Za-z][A-Za-z0-9_./-]*", fullmatch=True).filter(is_a_word)
VALUES = st.integers() | st.floats(allow_nan=False) | st.booleans() | WORDS
CALLS = st.tuples(NAMES, st.dictionaries(KEYS, VALUES, max_size=4))


def written(name: str, options: dict, comma: str = ", ") -> str:
    inside = comma.join(f"{key}={value}" for key, value in options.items())
    return f"{name}({inside})" if options else name


@QUIET
@given(CALLS, st.sampled_from([",", ", ", " ,  "]))
def test_what_is_written_reads_back(call, comma):
    name, options = call
    read_name, read = parse_call(written(name, options, comma))
    assert (read_name, read) == (name, options)
    assert [type(value) for value in read.values()] == [type(v) for v in options.values()]


@QUIET
@given(st.lists(CALLS, max_size=4))
def test_a_list_splits_into_its_calls(calls):
    texts = [written(*call) for call in calls]
    assert split_calls(", ".join(texts)) == texts


@QUIET
@given(st.text(max_size=30) | st.text("[]{}()'\"\\+-*_,=.eE0123456789 \0\n", max_size=30))
@example("{[]}")
@example("-" * 20_000 + "1")
@example("9" * 5_000)
@example("'\\d'")
@example("1if")
@example("\0")
def test_any_text_is_read_or_refused_in_one_line(text):
    for whole in (text, f"adam(x={text})"):
        try:
            message = str(parse_call(whole))
        except UserError as error:
            message = str(error)
        assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" adam ", ("adam", {})),
        ("adam()", ("adam", {})),
        ("adam( )", ("adam", {})),
        ("rmsprop-nesterov ( rho = 0.9 )", ("rmsprop-nesterov", {"rho": 0.9})),
        ("a(b=1e-3)", ("a", {"b": 1e-3})),
        ("a(b=-2)", ("a", {"b": -2})),
        ("a(b=TRUE, c=False)", ("a", {"b": True, "c": False})),
        ("a(b='1')", ("a", {"b": "1"})),
        ('a(b="it\'s")', ("a", {"b": "it's"})),
        ("a(b=c=d)", ("a", {"b": "c=d"})),
        ("a(b=None)", ("a", {"b": "None"})),
    ],
)
def test_reads(text, expected):
    assert parse_call(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected NAME or NAME(option=value, …), got ''"),
        ("adam sgd", "expected NAME or NAME(option=value, …), got 'adam sgd'"),
        ("adam(lr=1", "expected NAME or NAME(option=value, …), got 'adam(lr=1'"),
        ("adam(lr)", "expected option=value in 'adam(lr)', got 'lr'"),
        ("adam(lr=)", "expected option=value in 'adam(lr=)', got 'lr='"),
        ("adam(=1)", "expected option=value in 'adam(=1)', got '=1'"),
        ("adam(2x=1)", "expected option=value in 'adam(2x=1)', got '2x=1'"),
        ("adam(lr=1, lr=2)", "lr is given twice in 'adam(lr=1, lr=2)'"),
    ],
)
def test_refuses(text, message):
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        parse_call(text)


def test_split_calls_leaves_out_empty_pieces():
    assert split_calls(" , sgd,, adam(beta1=0.8,beta2=0.9) ,") == [
        "sgd",
        "adam(beta1=0.8,beta2=0.9)",
    ]
