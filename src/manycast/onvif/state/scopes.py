"""What the device is found by."""

from __future__ import annotations

from pydantic import Field

from manycast.onvif.state.base import Part

ONVIF_SCOPE = "onvif://www.onvif.org/"
PROFILE_SCOPE = f"{ONVIF_SCOPE}Profile/Streaming"
FIXED_CATEGORIES = ("profile", "hardware", "name")  # of which Core wants a fixed scope each


class Scope(Part):
    uri: str = Field(min_length=1)
    fixed: bool = False  # cannot be removed by a client


def category(uri: str) -> str | None:
    """What an ONVIF scope tells, in lower case: profile, name, location, ...; None for others."""
    if not uri.lower().startswith(ONVIF_SCOPE):
        return None
    return uri[len(ONVIF_SCOPE) :].partition("/")[0].lower()


def default_scopes() -> list[Scope]:
    """One fixed scope of each category that Core asks for: profile, hardware, name."""
    return [
        Scope(uri=PROFILE_SCOPE, fixed=True),
        Scope(uri=f"{ONVIF_SCOPE}hardware/Manycast", fixed=True),
        Scope(uri=f"{ONVIF_SCOPE}name/Manycast", fixed=True),
    ]
