"""Whether what a client looks for is what a device is (WS-Discovery of April 2005, section 5.1; ONVIF Core 7.3.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from urllib.parse import unquote, urlsplit

_RULES = "http://schemas.xmlsoap.org/ws/2005/04/discovery/"
RFC3986 = f"{_RULES}rfc3986"
RFC2396 = f"{_RULES}rfc2396"  # the same, by the older standard
STRCMP0 = f"{_RULES}strcmp0"
NONE = f"{_RULES}none"

_DOT_SEGMENTS = (".", "..")


def matches(wanted: Sequence[str], scopes: Iterable[str], rule: str) -> bool:
    """Whether each wanted scope is among a device's.

    Raises KeyError for a rule that is not among SUPPORTED_RULES.
    """
    known = tuple(scopes)
    if rule == NONE:
        return not known and not wanted
    same = _SAME[rule]
    return all(any(same(want, have) for have in known) for want in wanted)


def _same_or_below(wanted: str, scope: str) -> bool:
    """Scheme and authority in any case, then whole segments of the path; a query is not looked at."""
    try:
        want, have = urlsplit(wanted), urlsplit(scope)
    except ValueError:
        return False
    if (want.scheme.lower(), want.netloc.lower()) != (have.scheme.lower(), have.netloc.lower()):
        return False
    segments, others = _segments(want.path), _segments(have.path)
    if any(segment in _DOT_SEGMENTS for segment in (*segments, *others)):
        return False
    return segments == others[: len(segments)]


def _segments(path: str) -> list[str]:
    """An empty last one is what `/a/` ends with; it does not count."""
    return [unquote(segment) for segment in path.removesuffix("/").split("/")]


def _same_text(wanted: str, scope: str) -> bool:
    return wanted == scope


_SAME: dict[str, Callable[[str, str], bool]] = {
    RFC3986: _same_or_below,
    RFC2396: _same_or_below,
    STRCMP0: _same_text,
}
SUPPORTED_RULES = (*_SAME, NONE)
