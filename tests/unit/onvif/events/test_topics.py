from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.onvif.events.topics import (
    CONCRETE,
    CONCRETE_SET,
    TOPICS_NAMESPACE,
    InvalidTopicExpression,
    UnknownDialect,
    parse_topic_expression,
)

NAMESPACES: dict[str | None, str] = {"tns1": TOPICS_NAMESPACE, "mine": "http://example.org/topics"}
RELAY = "tns1:Device/Trigger/Relay"
INPUT = "tns1:Device/Trigger/DigitalInput"
MOTION = "tns1:VideoSource/MotionAlarm"


def chosen(text: str, dialect: str = CONCRETE_SET, topics: tuple[str, ...] = (RELAY, INPUT, MOTION)) -> set[str]:
    expression = parse_topic_expression(text, dialect, NAMESPACES)
    return {topic for topic in topics if expression.matches(topic)}


@pytest.mark.parametrize(
    ("text", "topics"),
    [
        (RELAY, {RELAY}),
        ("tns1:Device//.", {RELAY, INPUT}),
        ("tns1:Device/Trigger/Relay//.", {RELAY}),
        ("tns1:Device", set()),
        ("tns1:Device/Trigger", set()),
        (f"{RELAY}|{MOTION}", {RELAY, MOTION}),
        (f" {RELAY} |\n tns1:VideoSource//. ", {RELAY, MOTION}),
        ("tns1:Dev//.", set()),
        ("Device//.", set()),
        ("mine:Device/Trigger/Relay", set()),
        ("tns1:Device/mine:Trigger/Relay", set()),
        ("tns1:Device/tns1:Trigger/tns1:Relay", {RELAY}),
    ],
)
def test_concrete_sets(text: str, topics: set[str]) -> None:
    assert chosen(text) == topics


def test_the_prefix_is_what_the_client_declared() -> None:
    expression = parse_topic_expression("x:Device/Trigger/Relay", CONCRETE, {"x": TOPICS_NAMESPACE, "tns1": "other"})
    assert expression.matches(RELAY)
    assert not parse_topic_expression(RELAY, CONCRETE, {"tns1": "other"}).matches(RELAY)


def test_the_concrete_dialect_has_one_topic() -> None:
    assert chosen(f" {RELAY}\n", CONCRETE) == {RELAY}
    for text in (f"{RELAY}|{MOTION}", "tns1:Device//."):
        with pytest.raises(InvalidTopicExpression):
            chosen(text, CONCRETE)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "|",
        "//.",
        f"{RELAY}|",
        "tns1:",
        ":Device",
        "tns1:Device/",
        "tns1:Device//",
        "tns1:Device/*",
        "//tns1:Device",
        "unknown:Device",
        "tns1:Device/Trigger Relay",
        'boolean(//tt:SimpleItem[@Name="xyz" and @Value="xyz"])',
        "/".join(["tns1:Device"] * 17),
        "|".join([RELAY] * 65),
        "x" * 4097,
    ],
)
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(InvalidTopicExpression):
        chosen(text)


def test_other_dialects_are_unknown() -> None:
    with pytest.raises(UnknownDialect, match="TopicExpression/Full"):
        chosen(RELAY, "http://docs.oasis-open.org/wsn/t-1/TopicExpression/Full")


LEVELS = st.lists(st.sampled_from(["Device", "Trigger", "Relay", "A-1", "b.c"]), min_size=1, max_size=6)


@given(LEVELS, LEVELS)
def test_a_subtree_is_a_topic_and_what_is_below(ancestor: list[str], topic: list[str]) -> None:
    expression = parse_topic_expression("tns1:" + "/".join(ancestor) + "//.", CONCRETE_SET, NAMESPACES)
    assert expression.matches("tns1:" + "/".join(topic)) == (topic[: len(ancestor)] == ancestor)


@given(st.lists(LEVELS, min_size=1, max_size=8), LEVELS)
def test_one_of_several_is_enough(wanted: list[list[str]], topic: list[str]) -> None:
    text = "|".join("tns1:" + "/".join(path) for path in wanted)
    assert parse_topic_expression(text, CONCRETE_SET, NAMESPACES).matches("tns1:" + "/".join(topic)) == (
        topic in wanted
    )


@given(st.text(max_size=60) | st.text("tns1:Device/|. ", max_size=60), st.sampled_from([CONCRETE, CONCRETE_SET]))
def test_any_text_is_read_or_refused(text: str, dialect: str) -> None:
    try:
        parse_topic_expression(text, dialect, NAMESPACES).matches(RELAY)
    except InvalidTopicExpression:
        pass
