from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from manycast.onvif.events.content_filter import SCHEMA_NAMESPACE, InvalidContentFilter, parse_content_filter
from manycast.onvif.events.message import EventMessage

NAMESPACES: dict[str | None, str] = {"tt": SCHEMA_NAMESPACE, "other": "http://example.org"}
FENCE = EventMessage(
    topic="tns1:RuleEngine/FieldDetector/ObjectsInside",
    utc=datetime(2026, 1, 2, tzinfo=UTC),
    source={"VideoSource": "1", "Rule": "Fence"},
    key={"ObjectId": "5"},
    data={"IsInside": "true"},
    data_elements={"Shape": etree.Element("Polygon")},
)


def passes(text: str, message: EventMessage = FENCE) -> bool:
    return parse_content_filter(text, NAMESPACES).matches(message)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('boolean(//tt:SimpleItem[@Name="Rule" and @Value="Fence"])', True),
        ("boolean(//tt:SimpleItem[@Name='Rule' and @Value='Fence'])", True),
        ('boolean(//tt:SimpleItem[@Name="Rule"and @Value="Fence"])', True),
        (' boolean ( // tt:SimpleItem [ @ Name = "Rule" ] ) ', True),
        ('boolean(//tt:SimpleItem[@Name="Rule" and @Value="fence"])', False),
        ('boolean(//tt:SimpleItem[@Name="ObjectId" and @Value="5"])', True),
        ('boolean(//tt:SimpleItem[@Name="IsInside" and @Value="true"])', True),
        ('boolean(//tt:SimpleItem[@Name="Rule" and @Value="1"])', False),  # of two different items
        ('boolean(//tt:ElementItem[@Name="Shape"])', True),
        ('boolean(//tt:ElementItem[@Name="Rule"])', False),
        ('boolean(//tt:SimpleItem[@Name="Shape"])', False),
        ('boolean(//tt:ElementItem[@Value="Shape"])', False),
        ('not(boolean(//tt:SimpleItem[@Name="Other"]))', True),
        ('not ( boolean(//tt:SimpleItem[@Name="Rule"] ) )', False),
        ('boolean(//tt:SimpleItem[not(@Name="Rule")])', True),
        ('boolean(//tt:SimpleItem[@Value="1" or @Value="x" and @Name="y"])', True),
        ('boolean(//tt:SimpleItem[(@Value="1" or @Value="x") and @Name="y"])', False),
        (
            'boolean(//tt:SimpleItem[@Name="Rule"]) and boolean(//tt:SimpleItem[@Name="x"]) '
            'or boolean(//tt:SimpleItem[@Name="ObjectId"])',
            True,
        ),
        (
            'boolean(//tt:SimpleItem[@Name="x"]) and '
            '(boolean(//tt:SimpleItem[@Name="Rule"]) or boolean(//tt:SimpleItem[@Name="ObjectId"]))',
            False,
        ),
    ],
)
def test_expressions(text: str, expected: bool) -> None:
    assert passes(text) is expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "true()",
        'boolean((//tt:SimpleItem[@Name="xyz" and @Value="xyz"])',
        'boolean(//tt:SimpleItem[@Name="xyz"]',
        'boolean(//tt:SimpleItem[@Name="xyz"]))',
        'boolean(//tt:SimpleItem[@Name="xyz"]) boolean(//tt:SimpleItem[@Name="xyz"])',
        'boolean(//tt:SimpleItem[@Name="xyz"]) and',
        "boolean(//tt:SimpleItem)",
        "boolean(//tt:SimpleItem[])",
        "boolean(//tt:SimpleItem[@Name=”x”])",
        'boolean(//tt:SimpleItem[@Name="x])',
        "boolean(//tt:SimpleItem[@Name=and])",
        'boolean(//tt:SimpleItem[@Type="x"])',
        'boolean(//tt:Message[@Name="x"])',
        'boolean(//SimpleItem[@Name="x"])',
        'boolean(//other:SimpleItem[@Name="x"])',
        'boolean(//unknown:SimpleItem[@Name="x"])',
        'count(//tt:SimpleItem[@Name="x"])',
        "not(" * 40 + 'boolean(//tt:SimpleItem[@Name="x"])' + ")" * 40,
        'boolean(//tt:SimpleItem[@Name="' + "x" * 5000 + '"])',
    ],
)
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(InvalidContentFilter):
        passes(text)


def test_the_prefix_is_what_the_client_declared() -> None:
    text = 'boolean(//SimpleItem[@Name="Rule"])'
    assert parse_content_filter(text, {None: SCHEMA_NAMESPACE}).matches(FENCE)
    with pytest.raises(InvalidContentFilter):
        parse_content_filter('boolean(//tt:SimpleItem[@Name="Rule"])', {"onvif": SCHEMA_NAMESPACE})


@pytest.mark.parametrize(
    ("text", "possible"),
    [
        ('boolean(//tt:SimpleItem[@Name="xyz" and @Value="xyz"])', False),
        ('boolean(//tt:SimpleItem[@Name="Rule" and @Value="xyz"])', True),
        ('boolean(//tt:SimpleItem[@Value="xyz"])', True),
        ('not(boolean(//tt:SimpleItem[@Name="xyz"]))', True),
        ('boolean(//tt:SimpleItem[@Name="xyz"]) or boolean(//tt:SimpleItem[@Name="Rule"])', True),
        ('boolean(//tt:SimpleItem[@Name="xyz"]) and boolean(//tt:SimpleItem[@Name="Rule"])', False),
        ('boolean(//tt:SimpleItem[not(@Name="xyz")])', True),
    ],
)
def test_what_can_never_pass_is_known(text: str, possible: bool) -> None:
    assert parse_content_filter(text, NAMESPACES).can_match({"Rule", "ObjectId"}) is possible


NAMES = st.sampled_from(["A", "B", "C"])
COMPARISONS = st.builds("@{}={!r}".format, st.sampled_from(["Name", "Value"]), NAMES)


def nested(leaves: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.recursive(
        leaves,
        lambda inner: (
            st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner)
            | st.builds("not({})".format, inner)
            | st.builds("{} {} {}".format, inner, st.sampled_from(["and", "or"]), inner)
        ),
        max_leaves=8,
    )


EXPRESSIONS = nested(st.builds("boolean(//tt:SimpleItem[{}])".format, nested(COMPARISONS)))


@given(EXPRESSIONS, st.dictionaries(NAMES, NAMES))
def test_they_mean_what_they_mean_in_xpath(text: str, items: dict[str, str]) -> None:
    root = etree.Element(f"{{{SCHEMA_NAMESPACE}}}Message")
    for name, value in items.items():
        etree.SubElement(root, f"{{{SCHEMA_NAMESPACE}}}SimpleItem", Name=name, Value=value)
    expected = root.xpath(text, namespaces={"tt": SCHEMA_NAMESPACE})
    message = replace(FENCE, source=items, key={}, data={})
    content_filter = parse_content_filter(text, NAMESPACES)
    assert content_filter.matches(message) is expected
    assert content_filter.can_match(items.keys()) or not expected


@given(
    st.text(max_size=80)
    | st.lists(
        st.sampled_from(["boolean", "(", "//", "tt:SimpleItem", "[", "@", "Name", "=", '"x"', "]", ")", "and", "not"])
    ).map(" ".join)
)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse_content_filter(text, NAMESPACES).matches(FENCE)
    except InvalidContentFilter:
        pass
