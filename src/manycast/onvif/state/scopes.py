"""What the device is found by."""

from __future__ import annotations

from pydantic import Field

from manycast.onvif.state.base import Part

ONVIF_SCOPE = "onvif://www.onvif.org/"
PROFILE_SCOPE = f"{ONVIF_SCOPE}Profile/Streaming"


class Scope(Part):
    uri: str = Field(min_length=1)
    fixed: bool = False  # cannot be removed by a client


def default_scopes() -> list[Scope]:
    """One fixed scope of each category that Core asks for: profile, hardware, name; and where it is."""
    return [
        Scope(uri=PROFILE_SCOPE, fixed=True),
        Scope(uri=f"{ONVIF_SCOPE}hardware/Manycast", fixed=True),
        Scope(uri=f"{ONVIF_SCOPE}name/Manycast", fixed=True),
        Scope(uri=f"{ONVIF_SCOPE}location/"),
    ]
