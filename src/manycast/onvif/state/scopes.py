"""What the device is found by."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from pydantic import Field

from manycast.onvif.state.base import Part
from manycast.onvif.state.limits import MAX_SCOPE_CHARS

ONVIF_SCOPE = "onvif://www.onvif.org/"
PROFILE_SCOPE = f"{ONVIF_SCOPE}Profile/Streaming"
FIXED_CATEGORIES = ("profile", "type", "hardware", "name")  # Core wants a fixed scope each, older clients one of type
# The device test specification wants a type and a location, too.
DEFAULT_SCOPES = {
    "profile": PROFILE_SCOPE,
    "type": f"{ONVIF_SCOPE}type/Network_Video_Transmitter",
    "location": f"{ONVIF_SCOPE}location/unknown",
}


class Scope(Part):
    uri: str = Field(min_length=1, max_length=MAX_SCOPE_CHARS, pattern=r"^\S+$")  # lists of them have blanks between
    fixed: bool = False  # cannot be removed by a client


def category(uri: str) -> str | None:
    """What an ONVIF scope tells, in lower case: profile, name, location, ...; None for others."""
    if not uri.lower().startswith(ONVIF_SCOPE):
        return None
    return uri[len(ONVIF_SCOPE) :].partition("/")[0].lower()


def default_scopes() -> list[Scope]:
    """Of a device that says nothing of itself."""
    return completed([], name="Manycast", hardware="Manycast")


def completed(uris: Iterable[str], *, name: str, hardware: str) -> list[Scope]:
    """Scopes with one of each category that has to be there; one given twice is one."""
    said = list(uris)
    categories = {category(uri) for uri in said}
    needed = {
        **DEFAULT_SCOPES,
        "name": f"{ONVIF_SCOPE}name/{quote(name, safe='')}",
        "hardware": f"{ONVIF_SCOPE}hardware/{quote(hardware, safe='')}",
    }
    said += [uri for each, uri in needed.items() if each not in categories]
    return [Scope(uri=uri, fixed=category(uri) in FIXED_CATEGORIES) for uri in dict.fromkeys(said)]
