"""Time zones as POSIX writes them (IEEE 1003.1 section 8.3): CET-1CEST,M3.5.0,M10.5.0/3."""

from __future__ import annotations

import re
import struct
from datetime import tzinfo
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo

_NAME = r"(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)"
_TIME = r"[+-]?\d{1,3}(?::[0-5]\d){0,2}"
_RULE = rf"(?:J\d{{1,3}}|\d{{1,3}}|M\d{{1,2}}\.[1-5]\.[0-6])(?:/{_TIME})?"
_ZONE = re.compile(rf"({_NAME}{_TIME})({_NAME}(?:{_TIME})?(?:,{_RULE},{_RULE})?)?")
_DEFAULT_RULES = ",M3.2.0,M11.1.0"  # where a zone has summer time without rules, those of the USA are usual
_LOCAL = Path("/etc/localtime")


def read_zone(text: str, *, daylight_savings: bool) -> tzinfo:
    """The zone; without its summer time if that is off. Raises ValueError for what is none."""
    return _zone(text, daylight_savings)


@lru_cache(maxsize=64)
def _zone(text: str, daylight_savings: bool) -> tzinfo:
    match = _ZONE.fullmatch(text)
    if match is None:
        raise ValueError(f"no time zone of POSIX: {text[:60]!r}")
    standard, summer = match.groups()
    rules = "" if summer is None or "," in summer else _DEFAULT_RULES
    zone = _from_rules(f"{standard}{summer or ''}{rules}")
    return zone if daylight_savings else _from_rules(standard)


def machine_zone() -> str:
    """The machine's zone, as its file ends with it."""
    try:
        last = _LOCAL.read_bytes().rstrip(b"\n").rpartition(b"\n")[2].decode("ascii")
    except (OSError, UnicodeDecodeError):
        return "UTC0"
    return last if _ZONE.fullmatch(last) else "UTC0"


def _from_rules(rules: str) -> ZoneInfo:
    """Python reads such rules at the end of a time zone file only (RFC 8536 section 3.3), so here is one with nothing
    else in it: version 2, two headers, one type, no transitions. Raises ValueError for rules that cannot be."""
    header = b"TZif2" + bytes(15) + struct.pack(">6l", 0, 0, 0, 0, 1, 4)
    body = struct.pack(">lbb", 0, 0, 0) + b"UTC\0"
    return ZoneInfo.from_file(BytesIO((header + body) * 2 + b"\n" + rules.encode() + b"\n"))
