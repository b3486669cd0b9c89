"""The text form of filters: what it says, what it gives back, and where its errors point."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitreid.errors import FilterError
from bitreid.gallery.contract import Contract
from bitreid.gallery.fields import microseconds
from bitreid.gallery.filters.text import MOST_NESTED, format_filter, parse_filter
from bitreid.gallery.filters.types import (
    And,
    CameraIn,
    Filter,
    HasAttribute,
    IdIn,
    MetadataIs,
    Not,
    OlderThan,
    Or,
    PersonIn,
    TimeBetween,
    TrackletIn,
)
from bitreid.gallery.items import Items
from tests.gallery.filters.cases import ATTRIBUTES, CONTRACT, START, WITH_TEXT, batches
from tests.reference.filters import passes

NEW_YEAR = microseconds(START)
HOUR = 3_600_000_000
HAT, BAG = HasAttribute("hat"), HasAttribute("backpack")
RED, PINK = HasAttribute("upper_colour=red"), HasAttribute("upper_colour=pink")
CAMERA_3 = CameraIn(frozenset({3}))


def from_time(at: int) -> Filter:
    return TimeBetween(at, None)


def to_time(at: int) -> Filter:
    return TimeBetween(None, at)


@pytest.mark.parametrize(
    ("text", "filter"),
    [
        ("camera = 3", CAMERA_3),
        ("camera==3", CAMERA_3),
        ("camera != 3", Not(CAMERA_3)),
        ("CAMERA in (1,2)", CameraIn(frozenset({1, 2}))),
        ("camera Not In (-1)", Not(CameraIn(frozenset({-1})))),
        ("camera in ()", CameraIn(frozenset())),
        ("time >= 2026-01-01", from_time(NEW_YEAR)),
        ("time < 2026-01-01T01:00", to_time(NEW_YEAR + HOUR)),
        ("time < 2026-01-01T01:00:00Z", to_time(NEW_YEAR + HOUR)),
        ("time<2026-01-01t01:00:00+02:00", to_time(NEW_YEAR - HOUR)),
        ("time >= '2026-01-01 00:00:01.5'", from_time(NEW_YEAR + 1_500_000)),
        ("time > 2026-01-01T00:00:00.000001", from_time(NEW_YEAR + 2)),
        ("time <= 2025-12-31T22:00:00.000001-02:00", to_time(NEW_YEAR + 2)),
        ('person = "P 7"', PersonIn(frozenset({"P 7"}))),
        ("person != P-7", Not(PersonIn(frozenset({"P-7"})))),
        ("""person in ("it's", 'say "hi"', 'it\\'s')""", PersonIn(frozenset({"it's", 'say "hi"'}))),
        (r'tracklet = "\u0041\n\\"', TrackletIn(frozenset({"A\n\\"}))),
        ("tracklet = t12", TrackletIn(frozenset({"t12"}))),
        ("tracklet = 12", TrackletIn(frozenset({"12"}))),
        ("id = 17", IdIn(frozenset({17}))),
        ('id in (-17, "17", x17)', IdIn(frozenset({-17, "17", "x17"}))),
        ("metadata.zone = north", MetadataIs("zone", "north")),
        ("Metadata.a.b != 1", Not(MetadataIs("a.b", 1))),
        ('metadata."a b" = 1e+2', MetadataIs("a b", 100.0)),
        ("metadata.x = TRUE", MetadataIs("x", True)),
        ('metadata.x = "true"', MetadataIs("x", "true")),
        ("metadata.x in (null, -0.5)", Or((MetadataIs("x", None), MetadataIs("x", -0.5)))),
        ("backpack and not hat", And((BAG, Not(HAT)))),
        ("upper_colour = red", RED),
        ("upper_colour in (red, pink)", Or((RED, PINK))),
        ("upper_colour not in (red, 'pink')", Not(Or((RED, PINK)))),
        ("upper_colour in (red)", RED),
        ('"upper_colour=red"', RED),
        ('"long sleeve" and "time"', And((HasAttribute("long sleeve"), HasAttribute("time")))),
        ("hat or backpack and not hat or hat", Or((HAT, And((BAG, Not(HAT))), HAT))),
        ("(hat or backpack) and not (hat and backpack)", And((Or((HAT, BAG)), Not(And((HAT, BAG)))))),
        ("((hat))AND(hat and\nhat)", And((HAT, And((HAT, HAT))))),
        ("not not hat", Not(Not(HAT))),
    ],
)
def test_what_a_text_says(text: str, filter: Filter) -> None:
    found = parse_filter(text, CONTRACT)
    assert found == filter
    assert parse_filter(format_filter(found), CONTRACT) == filter


@given(WITH_TEXT, batches())
def test_a_filter_and_its_text_let_the_same_items_through(filter: Filter, batch: Items) -> None:
    text = format_filter(filter)
    again = parse_filter(text, CONTRACT)
    assert format_filter(again) == text
    for item in batch:
        assert passes(again, item, START, ATTRIBUTES) == passes(filter, item, START, ATTRIBUTES)


SIGNS = ["(", ")", ",", "=", "==", "!=", "<", ">=", "<=", ">"]
NAMES = [
    "and",
    "or",
    "not",
    "in",
    "true",
    "null",
    "camera",
    "time",
    "person",
    "id",
    "metadata.x",
    "metadata.",
    "hat",
    "upper_colour",
    "red",
]
VALUES = ["3", "-1", "1e5", "007", "2026-01-01", "2026-02-30", "9999-12-31T23:59:59.999999", "0001-01-01T00:00+01:00"]
QUOTED = ["'P 7'", '"a', "'b\\", r'"\ud800"', '""']
WORDS = st.sampled_from(SIGNS + NAMES + VALUES + QUOTED)


@given(st.text() | st.lists(WORDS, max_size=12).map(" ".join) | st.text("()'\"\\=<>!,-+.: aA0\ud800\n", max_size=12))
def test_any_text_is_a_filter_or_an_error_that_points_into_it(text: str) -> None:
    try:
        filter = parse_filter(text, CONTRACT)
    except FilterError as error:
        first, shown, caret = str(error).split("\n")
        place = int(first.removeprefix("at character ").partition(":")[0])
        assert 1 <= place <= len(text) + 1
        assert len(caret) <= len(shown) + 1
        str(error).encode()
    else:
        assert parse_filter(format_filter(filter), CONTRACT) == filter


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("", 1, "expected a predicate such as camera = 3, or the name of an attribute, got the end of the text"),
        ("hat and ", 9, "expected a predicate"),
        ("and hat", 1, "expected a predicate"),
        ("bakpack", 1, "expected an attribute .*got 'bakpack'; did you mean backpack?"),
        ("hat and upper_colour = purple", 24, "expected an attribute .*got 'upper_colour=purple'"),
        ("camrea = 3", 1, "expected a field .*got 'camrea'; did you mean camera?"),
        ("hat = 1", 1, "got 'hat'; hat or not hat is all"),
        ("(hat or (backpack)", 19, r"expected 'and', 'or' or the '\)' for the '\(' at character 1, got the end"),
        ("hat)", 4, r"expected 'and', 'or' or the end of the text, got '\)'"),
        ("hat backpack", 5, "got 'backpack'"),
        ("time > 2026-13-01", 8, "expected a time such as 2026-01-31 or .* got '2026-13-01'"),
        ("time > 2026-01-01T25:00", 8, "expected a time"),
        ("time > 2026-01-01T00:00:00.1234567", 8, "expected a time"),
        ("time > 20260101", 8, "expected a time"),
        ("time >", 7, "expected a time .* got the end of the text"),
        ("time > 0001-01-01T00:00+01:00", 8, "a time of the years 1 to 9999 in UTC"),
        ("time = 2026-01-01", 6, "expected '<', '<=', '>' or '>=' after time, got '='"),
        ("camera =", 9, "expected a value"),
        ("camera = and", 10, "expected a value"),
        ("camera 3", 8, "expected '=', '!=', 'in' or 'not in', got '3'"),
        ("camera not 3", 8, "expected '=', '!=', 'in' or 'not in', got 'not'"),
        ("camera in 3", 11, r"expected '\(' after in, got '3'"),
        ("camera in (1 2)", 14, r"expected ',' or '\)', got '2'"),
        ("camera in (1, -2)", 15, "whole numbers from -1 on, got -2"),
        ("camera = 1.5", 10, "a whole number"),
        ('camera = "1"', 10, "a whole number"),
        ("camera = 9223372036854775808", 10, "cameras to be whole"),
        ("person = null", 10, "expected text .quotes make text of a keyword., got 'null'"),
        ("person = 'abc", 10, "expected a ' that closes this one"),
        (r'person = "a\x"', 10, "expected backslashes in quotes as JSON has them"),
        (r'person = "\ud800"', 10, "expected persons to be text"),
        ("id = 3f", 6, "a whole number of 64 bits, or text in quotes, got '3f'"),
        ("metadata = 3", 1, "expected a key, as in metadata.zone = north"),
        ("metadata. = 3", 1, "expected a key"),
        ("metadata.x = 2026-01-01", 14, "expected a number, or text in quotes"),
        ("metadata.x = 1e999", 14, "a finite number"),
        ("metadata.x in ()", 16, r"at least one value between '\(' and '\)'"),
        ("hat & hat", 5, "expected a word, a sign or text in quotes, got '&'"),
    ],
)
def test_errors_point_at_the_character(text: str, place: int, message: str) -> None:
    with pytest.raises(FilterError, match=message) as caught:
        parse_filter(text, CONTRACT)
    first, shown, caret = str(caught.value).split("\n")
    assert first.startswith(f"at character {place}: ")
    assert (shown, caret) == (text, " " * (place - 1) + "^")


def test_errors_in_long_texts_show_what_is_near() -> None:
    text = "hat\tor\n" * 50 + "hat hut" + " or hat" * 50
    with pytest.raises(FilterError) as caught:
        parse_filter(text, CONTRACT)
    first, shown, caret = str(caught.value).split("\n")
    assert first.startswith("at character 355: ")
    assert shown[len(caret) - 1 :].startswith("hut or hat")
    assert shown[: len(caret) - 1].endswith("hat or hat or hat ")
    assert len(shown) == 100


@pytest.mark.parametrize(
    ("outer", "inner", "closing", "deepest"),
    [
        ("not ", "hat", "", 100),
        ("(", "hat", ")", 100),
        ("not (hat or ", "hat", ")", 50),
        ("not ", "camera != 3", "", 99),
        ("not ", "upper_colour in (red, pink)", "", 99),
        ("not ", "upper_colour not in (red, pink)", "", 98),
    ],
)
def test_nesting_has_a_limit_and_what_was_read_can_be_written(
    outer: str, inner: str, closing: str, deepest: int
) -> None:
    filter = parse_filter(outer * deepest + inner + closing * deepest, CONTRACT)
    assert parse_filter(format_filter(filter), CONTRACT) == filter
    for times in (deepest + 1, 10_000):
        with pytest.raises(FilterError, match=f"expected at most {MOST_NESTED} parentheses and not within one another"):
            parse_filter(outer * times + inner + closing * times, CONTRACT)


def test_times_beyond_the_calendar_are_written_as_its_ends() -> None:
    first, last = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"
    assert format_filter(TimeBetween(-(2**62), 2**62)) == f"time >= {first} and time <= {last}"
    assert format_filter(TimeBetween(2**62, None)) == f"time > {last}"
    assert format_filter(TimeBetween(None, None)) == f"time >= {first}"
    assert parse_filter(f"time > {last}", CONTRACT) == TimeBetween(253_402_300_800_000_000, None)


def test_retention_has_no_text() -> None:
    with pytest.raises(FilterError, match=r"expected a filter that has a text form, got OlderThan\(before=1\)"):
        format_filter(HAT & OlderThan(1))


def test_a_gallery_without_attributes_says_so() -> None:
    with pytest.raises(FilterError, match=r"\(there are none\), got 'hat'"):
        parse_filter("hat", Contract(64))
