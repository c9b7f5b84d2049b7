"""Action Message Format, as RTMP's commands and FLV's script tags have it: AMF0, and AMF3 to read.

Adobe's "Action Message Format -- AMF 0" (2007) and "-- AMF 3" (2013). Values are those of Python:

| AMF | Python |
|---|---|
| number, integer | float, int |
| boolean | bool |
| string, XML | str |
| object, ECMA array, typed object, dictionary | dict with str keys, in order |
| strict array, vector | list |
| date | datetime, in UTC |
| byte array | bytes |
| null, undefined | None |
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import IntEnum

from manycast.errors import ProtocolError

Value = float | int | bool | str | bytes | datetime | dict[str, "Value"] | list["Value"] | None

MAX_DEPTH = 32  # of objects within objects; an RTMP command has 2
MAX_ITEMS = 10_000  # in one message, of all objects and arrays together

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_DATE_MS = 8.64e15  # ECMAScript's
_DOUBLE = struct.Struct(">d")


class Amf0(IntEnum):
    """What a value begins with (AMF 0, section 2.1)."""

    NUMBER = 0x00
    BOOLEAN = 0x01
    STRING = 0x02
    OBJECT = 0x03
    NULL = 0x05
    UNDEFINED = 0x06
    REFERENCE = 0x07
    ECMA_ARRAY = 0x08
    OBJECT_END = 0x09
    STRICT_ARRAY = 0x0A
    DATE = 0x0B
    LONG_STRING = 0x0C
    UNSUPPORTED = 0x0D
    XML = 0x0F
    TYPED_OBJECT = 0x10
    AMF3 = 0x11


class Amf3(IntEnum):
    """The same in AMF 3 (section 3.1)."""

    UNDEFINED = 0x00
    NULL = 0x01
    FALSE = 0x02
    TRUE = 0x03
    INTEGER = 0x04
    DOUBLE = 0x05
    STRING = 0x06
    XML_DOCUMENT = 0x07
    DATE = 0x08
    ARRAY = 0x09
    OBJECT = 0x0A
    XML = 0x0B
    BYTE_ARRAY = 0x0C


class MalformedAmf(ProtocolError):
    """Bytes that are no AMF, or too deep or too many."""


class EcmaArray(dict[str, Value]):
    """A dict that is written as an ECMA array, as `onMetaData` is."""


def encode(*values: Value) -> bytes:
    """Values in AMF0, one after another."""
    out = bytearray()
    for value in values:
        _encode(out, value)
    return bytes(out)


def decode(data: bytes) -> list[Value]:
    """All values of an AMF0 message. Raises MalformedAmf."""
    reader = _Amf0Reader(data)
    values = []
    while not reader.at_end:
        values.append(reader.value(0))
    return values


def _encode(out: bytearray, value: Value) -> None:
    match value:
        case None:
            out.append(Amf0.NULL)
        case bool():
            out += bytes((Amf0.BOOLEAN, value))
        case int() | float():
            out.append(Amf0.NUMBER)
            out += _DOUBLE.pack(value)
        case str():
            encoded = value.encode("utf-8", "surrogateescape")
            if len(encoded) < 0x10000:
                out.append(Amf0.STRING)
                out += len(encoded).to_bytes(2) + encoded
            else:
                out.append(Amf0.LONG_STRING)
                out += len(encoded).to_bytes(4) + encoded
        case dict():
            if isinstance(value, EcmaArray):
                out.append(Amf0.ECMA_ARRAY)
                out += len(value).to_bytes(4)
            else:
                out.append(Amf0.OBJECT)
            for name, item in value.items():
                encoded = name.encode("utf-8", "surrogateescape")
                out += len(encoded).to_bytes(2) + encoded
                _encode(out, item)
            out += bytes((0, 0, Amf0.OBJECT_END))
        case list():
            out.append(Amf0.STRICT_ARRAY)
            out += len(value).to_bytes(4)
            for item in value:
                _encode(out, item)
        case datetime():
            out.append(Amf0.DATE)
            out += _DOUBLE.pack((value - _EPOCH) / timedelta(milliseconds=1)) + bytes(2)
        case bytes():
            raise ValueError("AMF0 has no byte arrays")


class _Reader:
    """Bytes from front to back, and how much was made of them."""

    def __init__(self, data: bytes, position: int = 0) -> None:
        self.data = data
        self.position = position
        self.items = 0

    @property
    def at_end(self) -> bool:
        return self.position >= len(self.data)

    def take(self, size: int) -> bytes:
        end = self.position + size
        if end > len(self.data):
            raise MalformedAmf(f"AMF ends at byte {len(self.data)}, {size} bytes wanted at {self.position}")
        data = self.data[self.position : end]
        self.position = end
        return data

    def byte(self) -> int:
        return self.take(1)[0]

    def double(self) -> float:
        return float(_DOUBLE.unpack(self.take(8))[0])

    def date(self) -> datetime:
        milliseconds = self.double()
        if not math.isfinite(milliseconds) or abs(milliseconds) > _MAX_DATE_MS:
            raise MalformedAmf(f"AMF date {milliseconds}")
        try:
            return _EPOCH + timedelta(milliseconds=milliseconds)
        except OverflowError:
            raise MalformedAmf(f"AMF date {milliseconds}") from None

    def count(self, depth: int, items: int = 1) -> None:
        """Note what is to be made. Raises MalformedAmf when it is too deep or too much."""
        self.items += items
        if depth > MAX_DEPTH:
            raise MalformedAmf(f"AMF objects nested deeper than {MAX_DEPTH}")
        if self.items > MAX_ITEMS:
            raise MalformedAmf(f"more than {MAX_ITEMS} AMF values in one message")


class _Amf0Reader(_Reader):
    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._objects: list[Value] = []  # what references count

    def value(self, depth: int) -> Value:
        self.count(depth)
        marker = self.byte()
        match marker:
            case Amf0.NUMBER:
                return self.double()
            case Amf0.BOOLEAN:
                return self.byte() != 0
            case Amf0.STRING:
                return self._text(2)
            case Amf0.OBJECT:
                return self._members(depth)
            case Amf0.NULL | Amf0.UNDEFINED | Amf0.UNSUPPORTED:
                return None
            case Amf0.REFERENCE:
                index = int.from_bytes(self.take(2))
                if index >= len(self._objects):
                    raise MalformedAmf(f"AMF0 reference to object {index} of {len(self._objects)}")
                return self._objects[index]
            case Amf0.ECMA_ARRAY:
                self.take(4)  # how many there may be; the end is marked all the same
                return self._members(depth)
            case Amf0.STRICT_ARRAY:
                return self._array(depth)
            case Amf0.DATE:
                date = self.date()
                self.take(2)  # the time zone is not used (section 2.13)
                return date
            case Amf0.LONG_STRING | Amf0.XML:
                return self._text(4)
            case Amf0.TYPED_OBJECT:
                self._text(2)
                return self._members(depth)
            case Amf0.AMF3:
                inner = _Amf3Reader(self.data, self.position)
                inner.items = self.items
                value = inner.value(depth + 1)
                self.position, self.items = inner.position, inner.items
                return value
        raise MalformedAmf(f"AMF0 marker {marker:#04x}")

    def _text(self, length_bytes: int) -> str:
        return self.take(int.from_bytes(self.take(length_bytes))).decode("utf-8", "surrogateescape")

    def _members(self, depth: int) -> dict[str, Value]:
        members: dict[str, Value] = {}
        self._objects.append(members)
        while not self.at_end:  # some encoders leave out the end marker of the last one
            name = self._text(2)
            if not name and self.data[self.position : self.position + 1] == bytes((Amf0.OBJECT_END,)):
                self.position += 1
                break
            members[name] = self.value(depth + 1)
        return members

    def _array(self, depth: int) -> list[Value]:
        count = int.from_bytes(self.take(4))
        if count > len(self.data) - self.position:
            raise MalformedAmf(f"AMF0 array of {count} in {len(self.data)} bytes")
        items: list[Value] = []
        self._objects.append(items)
        for _ in range(count):
            items.append(self.value(depth + 1))
        return items


class _Traits:
    """The class of an AMF3 object."""

    __slots__ = ("dynamic", "names")

    def __init__(self, names: list[str], dynamic: bool) -> None:
        self.names = names
        self.dynamic = dynamic


class _Amf3Reader(_Reader):
    def __init__(self, data: bytes, position: int) -> None:
        super().__init__(data, position)
        self._strings: list[str] = []
        self._objects: list[Value] = []
        self._traits: list[_Traits] = []

    def value(self, depth: int) -> Value:
        self.count(depth)
        marker = self.byte()
        match marker:
            case Amf3.UNDEFINED | Amf3.NULL:
                return None
            case Amf3.FALSE | Amf3.TRUE:
                return marker == Amf3.TRUE
            case Amf3.INTEGER:
                number = self._number()
                return number - 0x2000_0000 if number & 0x1000_0000 else number
            case Amf3.DOUBLE:
                return self.double()
            case Amf3.STRING:
                return self._text()
            case Amf3.XML_DOCUMENT | Amf3.XML:
                return self._shared(lambda size: self._keep(self.take(size).decode("utf-8", "surrogateescape")))
            case Amf3.DATE:
                return self._shared(lambda _: self._keep(self.date()))
            case Amf3.ARRAY:
                return self._shared(lambda count: self._array(count, depth))
            case Amf3.OBJECT:
                return self._shared(lambda flags: self._object(flags, depth))
            case Amf3.BYTE_ARRAY:
                return self._shared(lambda size: self._keep(self.take(size)))
        raise MalformedAmf(f"AMF3 marker {marker:#04x}")

    def _number(self) -> int:
        """Up to 29 bits (section 1.3.1)."""
        number = 0
        for _ in range(3):
            byte = self.byte()
            number = number << 7 | byte & 0x7F
            if byte < 0x80:
                return number
        return number << 8 | self.byte()

    def _shared(self, read: Callable[[int], Value]) -> Value:
        """An object: one from before, or one that stands here, which `read` makes of its length or flags."""
        number = self._number()
        if number & 1:
            return read(number >> 1)
        if number >> 1 >= len(self._objects):
            raise MalformedAmf(f"AMF3 reference to object {number >> 1} of {len(self._objects)}")
        return self._objects[number >> 1]

    def _keep(self, value: Value) -> Value:
        self._objects.append(value)
        return value

    def _text(self) -> str:
        number = self._number()
        if not number & 1:
            if number >> 1 >= len(self._strings):
                raise MalformedAmf(f"AMF3 reference to string {number >> 1} of {len(self._strings)}")
            return self._strings[number >> 1]
        text = self.take(number >> 1).decode("utf-8", "surrogateescape")
        if text:
            self._strings.append(text)
        return text

    def _array(self, count: int, depth: int) -> Value:
        named: dict[str, Value] = {}
        items: list[Value] = []
        place = len(self._objects)
        self._objects.append(items)
        while name := self._text():
            named[name] = self.value(depth + 1)
        if count > len(self.data) - self.position:
            raise MalformedAmf(f"AMF3 array of {count} in {len(self.data)} bytes")
        for _ in range(count):
            items.append(self.value(depth + 1))
        if not named:
            return items
        named |= {str(index): item for index, item in enumerate(items)}
        self._objects[place] = named
        return named

    def _object(self, flags: int, depth: int) -> Value:
        traits = self._read_traits(flags)
        members: dict[str, Value] = {}
        self._objects.append(members)
        for name in traits.names:
            members[name] = self.value(depth + 1)
        while traits.dynamic and (name := self._text()):
            members[name] = self.value(depth + 1)
        return members

    def _read_traits(self, flags: int) -> _Traits:
        """The class: one from before, or one that stands here (section 3.12)."""
        if not flags & 1:
            if flags >> 1 >= len(self._traits):
                raise MalformedAmf(f"AMF3 reference to class {flags >> 1} of {len(self._traits)}")
            return self._traits[flags >> 1]
        if flags & 2:
            raise MalformedAmf("AMF3 object with a serialisation of its own")
        count = flags >> 3
        self.count(0, count)
        self._text()
        traits = _Traits([self._text() for _ in range(count)], bool(flags & 4))
        self._traits.append(traits)
        return traits
