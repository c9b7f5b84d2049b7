"""How one value is read, and what is allowed for it.

A rule is the only metadata of a leaf: the reader of values, the messages and the reference all go by it.
Values come as text from a file, or as Python objects from code that builds settings.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr
from pydantic_core import CoreSchema, core_schema

from manycast.hub.names import CAPTURE_NAMES, is_capture_name

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_MAX_NAME_CHARS = 255
_SCOPE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+")  # RFC 3986: what is not ASCII is escaped with %
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")

MAX_SCOPE_CHARS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Reads one kind of value; `parse` raises ValueError for what is not allowed."""

    allowed: str
    unit: str = ""
    secret: bool = False

    def parse(self, value: Any) -> Any:
        raise NotImplementedError

    def fault(self, _value: Any) -> str:
        """What is said of a value that is not allowed."""
        return f"allowed: {self.allowed}"

    def __get_pydantic_core_schema__(self, _source: Any, _handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.parse)


def _integer(value: Any) -> int:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError("not a whole number")


@dataclass(frozen=True, slots=True, kw_only=True)
class Number(Rule):
    """A whole number between two bounds; `zero` replaces a 0 that stands for the default."""

    low: int
    high: int
    zero: int | None = None

    def parse(self, value: Any) -> int:
        number = _integer(value)
        if not self.low <= number <= self.high:
            raise ValueError(f"not in {self.low} to {self.high}")
        return self.zero if number == 0 and self.zero is not None else number


def between(low: int, high: int, *, unit: str = "", zero: int | None = None, note: str = "") -> Number:
    allowed = f"{low} to {high}" + (f" {unit}" if unit else "") + (f" ({note})" if note else "")
    return Number(allowed=allowed, unit=unit, low=low, high=high, zero=zero)


@dataclass(frozen=True, slots=True, kw_only=True)
class OneNumberOf(Rule):
    """One of a few whole numbers; `zero` replaces a 0 that stands for the default."""

    numbers: tuple[int, ...]
    zero: int | None = None

    def parse(self, value: Any) -> int:
        number = _integer(value)
        if number not in self.numbers:
            raise ValueError("not in the list")
        return self.zero if number == 0 and self.zero is not None else number


def one_of(*numbers: int, unit: str = "", zero: int | None = None, note: str = "") -> OneNumberOf:
    allowed = ", ".join(map(str, numbers)) + (f" {unit}" if unit else "") + (f" ({note})" if note else "")
    return OneNumberOf(allowed=allowed, unit=unit, numbers=numbers, zero=zero)


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchRule(Rule):
    """0 or 1. True and false reach this rule only from YAML, where the reader has made them Python's."""

    allowed: str = "0 or 1"

    def parse(self, value: Any) -> bool:
        if isinstance(value, bool):
            return value
        if value in ("0", "1", 0, 1):
            return bool(int(value))
        raise ValueError("neither 0 nor 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class WordRule(Rule):
    """One member of a closed set, in any case."""

    words: type[Enum]
    members: tuple[Enum, ...]

    def parse(self, value: Any) -> Enum:
        if isinstance(value, self.words) and value in self.members:
            return value
        for member in self.members:
            if isinstance(value, str) and value.upper() == str(member.value).upper():
                return member
        raise ValueError("not in the list")


def one_word_of(words: type[Enum], *, without: frozenset[Enum] = frozenset()) -> WordRule:
    members = tuple(word for word in words if word not in without)
    return WordRule(allowed=", ".join(str(word.value) for word in members), words=words, members=members)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError("not a printable text")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRule(Rule):
    """Any text on one line, except for a few characters."""

    allowed: str = "a text on one line"
    forbidden: str = ""

    def parse(self, value: Any) -> str:
        text = _text(value)
        if any(character in self.forbidden for character in text):
            raise ValueError("a forbidden character")
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretRule(Rule):
    """A text that is shown nowhere."""

    allowed: str = "a text on one line"
    secret: bool = True
    min_chars: int = 1
    max_chars: int = 1024

    def parse(self, value: Any) -> SecretStr:
        text = _text(value.get_secret_value() if isinstance(value, SecretStr) else value)
        if not self.min_chars <= len(text) <= self.max_chars:
            raise ValueError("wrong length")
        return SecretStr(text)


def is_path_element(name: str) -> bool:
    """Whether the name can be one element of an address, as it is, in every protocol."""
    return (
        0 < len(name) <= _MAX_NAME_CHARS
        and name.isprintable()
        and name == name.strip()
        and name not in (".", "..")
        and not any(character in "/\\?#%" for character in name)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NameRule(Rule):
    """The first element of an address; empty for the root."""

    allowed: str = r"one element of an address: a name without / \ ? # % and not . or .."

    def parse(self, value: Any) -> str:
        if isinstance(value, str) and (not value or is_path_element(value)):
            return value
        raise ValueError("not a name")


@dataclass(frozen=True, slots=True, kw_only=True)
class SuffixRule(Rule):
    """The name of a stream within its application."""

    allowed: str = (
        r"elements of an address, joined by /, without \ ? # % and not . or ..; not a capture's name "
        f"({', '.join(CAPTURE_NAMES)} and what begins so)"
    )

    def parse(self, value: Any) -> str:
        if not isinstance(value, str) or is_capture_name(value):
            raise ValueError("not a suffix")
        if not all(map(is_path_element, value.split("/"))):
            raise ValueError("not a suffix")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class PathNameRule(Rule):
    """A stream's path on this server."""

    allowed: str = r"elements of an address, joined by /, without \ ? # % and not . or .."

    def parse(self, value: Any) -> str:
        if not isinstance(value, str) or not all(map(is_path_element, value.split("/"))):
            raise ValueError("not a path")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeRule(Rule):
    """A scope of WS-Discovery: scopes travel in lists that are separated by blanks."""

    allowed: str = "a URI without blanks, such as onvif://www.onvif.org/name/Camera"

    def parse(self, value: Any) -> str:
        text = _text(value)
        if len(text) > MAX_SCOPE_CHARS or not _SCOPE.fullmatch(text):
            raise ValueError("not a URI")
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class MacRule(Rule):
    """A hardware address."""

    allowed: str = "a hardware address, such as 02:00:5e:10:00:01"

    def parse(self, value: Any) -> str:
        text = _text(value).replace("-", ":").lower()
        if not _MAC.fullmatch(text):
            raise ValueError("not a hardware address")
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressRule(Rule):
    """An address or a name to listen on; brackets around an IPv6 address are dropped."""

    allowed: str = "an IPv4 address, an IPv6 address or a host name"

    def parse(self, value: Any) -> str:
        text = _text(value)
        if text.startswith("[") and text.endswith("]"):
            return str(ipaddress.IPv6Address(text[1:-1]))
        try:
            return str(ipaddress.ip_address(text))
        except ValueError:
            return _host_name(text)


def _host_name(text: str) -> str:
    labels = text.removesuffix(".").split(".")
    if len(text) > 253 or not all(map(_LABEL.fullmatch, labels)) or labels[-1].isdigit():
        raise ValueError("not a host name")
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamAddressRule(Rule):
    """Where a stream is fetched from."""

    schemes: tuple[str, ...] = field(default=())

    def parse(self, value: Any) -> str:
        text = _text(value)
        if not self._begins_right(text) or _address_fault(text) is not None:
            raise ValueError("not a stream's address")
        return text

    def fault(self, value: Any) -> str:
        """Of what begins as it should, the fault itself."""
        found = None
        if isinstance(value, str) and value.isprintable() and self._begins_right(value):
            found = _address_fault(value)
        return found or f"allowed: {self.allowed}"

    def _begins_right(self, text: str) -> bool:
        scheme, found, _ = text.partition("://")
        return bool(found) and scheme.lower() in self.schemes


def _address_fault(text: str) -> str | None:
    if any(map(str.isspace, text)):
        return "an address has no blanks: write them as %20, also in a login"
    try:
        parts = urlsplit(text)
    except ValueError:
        return "its host cannot be read: an IPv6 address stands in [brackets]"
    if not parts.hostname:
        return f"there is no host behind {parts.scheme}://" + (
            ": an address of this machine, such as 0.0.0.0, or a multicast group" if parts.scheme == "udp" else ""
        )
    try:
        _ = parts.port
    except ValueError:
        return "its port is no number from 1 to 65535"
    return None


def stream_address(*schemes: str) -> StreamAddressRule:
    return StreamAddressRule(
        allowed=f"an address beginning with {', '.join(f'{s}://' for s in schemes)}", schemes=schemes
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PathRule(Rule):
    """A file or folder; a relative one counts from the configuration file's folder."""

    allowed: str = "a path"

    def parse(self, value: Any) -> Path:
        return value if isinstance(value, Path) else Path(_text(value))
