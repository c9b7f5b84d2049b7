"""What happened, as a value: ONVIF Core, section "Message Payload" (tt:Message)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from lxml import etree

Value = str | bool | int | float
Items = Mapping[str, str]  # SimpleItems: name -> value, as XML Schema writes it
Elements = Mapping[str, etree._Element]  # ElementItems: name -> the one element in it


class PropertyOperation(Enum):
    """What a message says of a property (tt:PropertyOperation)."""

    INITIALIZED = "Initialized"
    CHANGED = "Changed"
    DELETED = "Deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventDescription:
    """What messages of a topic look like (tt:MessageDescription).

    `topic` is concrete: `tns1:Device/Trigger/Relay`. The maps give each item's type: `{"RelayToken":
    "tt:ReferenceToken"}`, with the prefixes `tt`, `xs`, `tns1`, and `pt` (of the access services).
    """

    topic: str
    is_property: bool = False
    source: Mapping[str, str] = field(default_factory=dict)
    key: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    source_elements: Mapping[str, str] = field(default_factory=dict)
    key_elements: Mapping[str, str] = field(default_factory=dict)
    data_elements: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventMessage:
    """One message of one topic. `operation` is None where the topic is no property."""

    topic: str
    utc: datetime
    operation: PropertyOperation | None = None
    source: Items = field(default_factory=dict)
    key: Items = field(default_factory=dict)
    data: Items = field(default_factory=dict)
    data_elements: Elements = field(default_factory=dict)


# What XML 1.0 cannot carry (section 2.2): names of streams may come from anybody.
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_written(value: Value) -> str:
    """A value as XML Schema writes it: `true`, not `True`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return _ILLEGAL.sub("\ufffd", str(value))
