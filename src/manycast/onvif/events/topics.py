"""Topics and the expressions that choose among them.

Sources: WS-Topics 1.3 (concrete expressions); ONVIF Core, section "Topic Filter" (`|` and `//.`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

TOPICS_NAMESPACE = "http://www.onvif.org/ver10/topics"
TOPIC_NAMESPACES: Mapping[str, str] = {"tns1": TOPICS_NAMESPACE}  # the prefixes that topics are declared with

CONCRETE = "http://docs.oasis-open.org/wsn/t-1/TopicExpression/Concrete"
CONCRETE_SET = "http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet"
DIALECTS = (CONCRETE, CONCRETE_SET)

MAX_EXPRESSION = 4096  # characters
MAX_PATHS = 64  # joined by `|`
MAX_LEVELS = 16

Name = tuple[str, str]  # namespace ("" for none), local name
TopicPath = tuple[Name, ...]

_QNAME = re.compile(r"(?:([^\W\d][\w.\-]*):)?([^\W\d][\w.\-]*)")


class UnknownDialect(ValueError):
    """A dialect of topic expressions that is not spoken here."""


class InvalidTopicExpression(ValueError):
    """Text that its dialect does not allow."""


@dataclass(frozen=True, slots=True)
class _Choice:
    path: TopicPath
    subtree: bool  # `//.`: the topic, and all below it

    def matches(self, topic: TopicPath) -> bool:
        return topic[: len(self.path)] == self.path if self.subtree else topic == self.path


@dataclass(frozen=True, slots=True)
class TopicExpression:
    """Which topics somebody wants."""

    choices: tuple[_Choice, ...]

    def matches(self, topic: str) -> bool:
        """Whether a declared topic (`tns1:Device/Trigger/Relay`) is chosen."""
        path = topic_path(topic)
        return any(choice.matches(path) for choice in self.choices)

    def matches_any(self, topics: Iterable[str]) -> bool:
        return any(map(self.matches, topics))


def parse_topic_expression(text: str, dialect: str, namespaces: Mapping[str | None, str]) -> TopicExpression:
    """Read a topic expression, its prefixes as `namespaces` has them where it stands.

    Raises UnknownDialect, InvalidTopicExpression.
    """
    if dialect not in DIALECTS:
        raise UnknownDialect(f"unknown topic expression dialect {dialect[:200]!r}; known are {', '.join(DIALECTS)}")
    if len(text) > MAX_EXPRESSION:
        raise InvalidTopicExpression(f"a topic expression of {len(text)} characters, at most {MAX_EXPRESSION} are read")
    if dialect == CONCRETE:
        return TopicExpression((_Choice(_path(text.strip(), namespaces), subtree=False),))
    parts = text.split("|")
    if len(parts) > MAX_PATHS:
        raise InvalidTopicExpression(f"{len(parts)} topics in one expression, at most {MAX_PATHS} are read")
    return TopicExpression(tuple(_choice(part.strip(), namespaces) for part in parts))


@lru_cache(maxsize=1024)
def topic_path(topic: str) -> TopicPath:
    """The path of a topic as it is declared, with the prefixes of TOPIC_NAMESPACES. Raises InvalidTopicExpression."""
    return _path(topic, dict(TOPIC_NAMESPACES))


def _choice(text: str, namespaces: Mapping[str | None, str]) -> _Choice:
    subtree = text.endswith("//.")
    return _Choice(_path(text[:-3] if subtree else text, namespaces), subtree)


def _path(text: str, namespaces: Mapping[str | None, str] | dict[str, str]) -> TopicPath:
    steps = text.split("/")
    if len(steps) > MAX_LEVELS:
        raise InvalidTopicExpression(f"a topic of {len(steps)} levels, at most {MAX_LEVELS} are read")
    root = _name(steps[0], namespaces)
    path = [root]
    for step in steps[1:]:
        namespace, local = _name(step, namespaces)
        # Topics below one of the same namespace have none (WS-Topics section 3); some clients write it nevertheless.
        path.append(("" if namespace == root[0] else namespace, local))
    return tuple(path)


def _name(text: str, namespaces: Mapping[str | None, str] | dict[str, str]) -> Name:
    match = _QNAME.fullmatch(text)
    if match is None:
        raise InvalidTopicExpression(f"{text[:100]!r} is no topic's name")
    prefix, local = match.groups()
    if prefix is None:
        return "", local
    namespace = namespaces.get(prefix)
    if namespace is None:
        raise InvalidTopicExpression(f"no namespace is declared for the prefix {prefix!r}")
    return namespace, local
