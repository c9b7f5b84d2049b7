"""Content filters in ONVIF's ItemFilter dialect, a small part of XPath 1.0: ONVIF Core, "Message Content Filter".

boolean(//tt:SimpleItem[@Name="Rule" and @Value="Fence"]) and not(boolean(//tt:ElementItem[@Name="Shape"]))
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from manycast.onvif.events.message import EventMessage

ITEM_FILTER = "http://www.onvif.org/ver10/tev/messageContentFilter/ItemFilter"
SCHEMA_NAMESPACE = "http://www.onvif.org/ver10/schema"

MAX_TEXT = 2048  # characters
MAX_DEPTH = 32  # brackets within brackets

_TOKEN = re.compile(
    r"""\s*(?: (?P<mark>//|[()\[\]@=])
             | (?P<string>"[^"]*"|'[^']*')
             | (?P<name>[^\W\d][\w.\-]*(?::[^\W\d][\w.\-]*)?) )\s*""",
    re.VERBOSE,
)


class InvalidContentFilter(ValueError):
    """Text that is no expression of the ItemFilter dialect."""


@dataclass(frozen=True, slots=True)
class ContentFilter:
    """Which messages somebody wants, by the items in them."""

    test: _Test[EventMessage]

    def matches(self, message: EventMessage) -> bool:
        return self.test.holds(message)

    def can_match(self, names: Collection[str]) -> bool:
        """Whether any message can pass, if items have no other names than these."""
        return True in self.test.outcomes(names)


def parse_content_filter(text: str, namespaces: Mapping[str | None, str]) -> ContentFilter:
    """Read an expression, its prefixes as `namespaces` has them where it stands. Raises InvalidContentFilter."""
    if len(text) > MAX_TEXT:
        raise InvalidContentFilter(f"a content filter of {len(text)} characters, at most {MAX_TEXT} are read")
    return ContentFilter(_Parser(text, namespaces).whole())


# What an expression is made of. `outcomes` is what a test can come to where items have no other names than these.

_SubjectT = TypeVar("_SubjectT", contravariant=True)
_Outcomes = frozenset[bool]

_EITHER = frozenset((True, False))
_NEVER = frozenset((False,))


class _Test(Protocol[_SubjectT]):
    def holds(self, subject: _SubjectT) -> bool: ...
    def outcomes(self, names: Collection[str]) -> _Outcomes: ...


@dataclass(frozen=True, slots=True)
class _Item:
    name: str
    value: str | None  # an ElementItem has none


@dataclass(frozen=True, slots=True)
class _Compare:
    """`@Name="…"`, `@Value="…"`."""

    attribute: str
    wanted: str

    def holds(self, subject: _Item) -> bool:
        return (subject.name if self.attribute == "Name" else subject.value) == self.wanted

    def outcomes(self, names: Collection[str]) -> _Outcomes:
        return _NEVER if self.attribute == "Name" and self.wanted not in names else _EITHER


@dataclass(frozen=True, slots=True)
class _AnyItem:
    """`boolean(//tt:SimpleItem[…])`: one such item is there, in Source, Key or Data."""

    simple: bool
    test: _Test[_Item]

    def holds(self, subject: EventMessage) -> bool:
        return any(map(self.test.holds, _simple_items(subject) if self.simple else _element_items(subject)))

    def outcomes(self, names: Collection[str]) -> _Outcomes:
        return self.test.outcomes(names) | _NEVER


@dataclass(frozen=True, slots=True)
class _Not(Generic[_SubjectT]):
    inner: _Test[_SubjectT]

    def holds(self, subject: _SubjectT) -> bool:
        return not self.inner.holds(subject)

    def outcomes(self, names: Collection[str]) -> _Outcomes:
        return frozenset(not outcome for outcome in self.inner.outcomes(names))


@dataclass(frozen=True, slots=True)
class _Joined(Generic[_SubjectT]):
    inner: tuple[_Test[_SubjectT], ...]
    settled_by: bool  # `or` is settled by one true, `and` by one false

    def holds(self, subject: _SubjectT) -> bool:
        return (
            self.settled_by
            if any(test.holds(subject) is self.settled_by for test in self.inner)
            else (not self.settled_by)
        )

    def outcomes(self, names: Collection[str]) -> _Outcomes:
        each = [test.outcomes(names) for test in self.inner]
        settled = any(self.settled_by in outcomes for outcomes in each)
        unsettled = all((not self.settled_by) in outcomes for outcomes in each)
        return frozenset((self.settled_by,) * settled + (not self.settled_by,) * unsettled)


def _simple_items(message: EventMessage) -> Iterator[_Item]:
    for items in (message.source, message.key, message.data):
        for name, value in items.items():
            yield _Item(name, value)


def _element_items(message: EventMessage) -> Iterator[_Item]:
    for name in message.data_elements:
        yield _Item(name, None)


_Term = Callable[["_Parser"], _Test[_SubjectT]]


class _Parser:
    """Recursive descent; `and` binds closer than `or`."""

    def __init__(self, text: str, namespaces: Mapping[str | None, str]) -> None:
        self._namespaces = namespaces
        self._tokens = list(_tokens(text))
        self._position = 0
        self._depth = 0

    def whole(self) -> _Test[EventMessage]:
        test = self._either(_Parser._boolean)
        if self._peek():
            raise InvalidContentFilter(f"unexpected {self._peek()!r}")
        return test

    def _either(self, term: _Term[_SubjectT]) -> _Test[_SubjectT]:
        return self._chain("or", lambda parser: parser._chain("and", lambda inner: inner._unary(term)))

    def _chain(self, word: str, part: _Term[_SubjectT]) -> _Test[_SubjectT]:
        tests = [part(self)]
        while self._peek() == word:
            self._position += 1
            tests.append(part(self))
        return tests[0] if len(tests) == 1 else _Joined(tuple(tests), settled_by=word == "or")

    def _unary(self, term: _Term[_SubjectT]) -> _Test[_SubjectT]:
        negated = self._peek() == "not"
        if negated:
            self._position += 1
        elif self._peek() != "(":
            return term(self)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise InvalidContentFilter(f"more than {MAX_DEPTH} brackets within brackets")
        self._take("(")
        test = self._either(term)
        self._take(")")
        self._depth -= 1
        return _Not(test) if negated else test

    def _boolean(self) -> _Test[EventMessage]:
        self._take("boolean")
        self._take("(")
        self._take("//")
        prefix, _, element = self._next().rpartition(":")
        if self._namespaces.get(prefix or None) != SCHEMA_NAMESPACE or element not in ("SimpleItem", "ElementItem"):
            raise InvalidContentFilter(f"only tt:SimpleItem and tt:ElementItem can be chosen, of {SCHEMA_NAMESPACE}")
        self._take("[")
        test = self._either(_Parser._compare)
        self._take("]")
        self._take(")")
        return _AnyItem(element == "SimpleItem", test)

    def _compare(self) -> _Test[_Item]:
        self._take("@")
        attribute = self._next()
        if attribute not in ("Name", "Value"):
            raise InvalidContentFilter(f"only @Name and @Value can be compared, not @{attribute}")
        self._take("=")
        string = self._next()
        if string[:1] not in ("'", '"'):
            raise InvalidContentFilter(f"@{attribute} is compared with a string in quotes, not {string!r}")
        return _Compare(attribute, string[1:-1])

    def _peek(self) -> str:
        return self._tokens[self._position] if self._position < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        if not token:
            raise InvalidContentFilter("the expression ends too early")
        self._position += 1
        return token

    def _take(self, wanted: str) -> None:
        token = self._next()
        if token != wanted:
            raise InvalidContentFilter(f"{wanted!r} is expected, not {token!r}")


def _tokens(text: str) -> Iterator[str]:
    """The tokens of an expression, strings with their quotes."""
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise InvalidContentFilter(f"not understood: {text[position : position + 50]!r}")
        position = match.end()
        yield match["mark"] or match["string"] or match["name"]
