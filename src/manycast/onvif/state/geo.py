"""Where the device stands."""

from __future__ import annotations

from manycast.onvif.state.base import Part


class GeoLocation(Part):
    lon: float | None = None  # degrees
    lat: float | None = None
    elevation: float | None = None  # metres


class Orientation(Part):
    """Degrees."""

    roll: float | None = None
    pitch: float | None = None
    yaw: float | None = None


class LocalLocation(Part):
    """Metres."""

    x: float | None = None
    y: float | None = None
    z: float | None = None


class LocalOrientation(Part):
    """Degrees."""

    pan: float | None = None
    tilt: float | None = None
    roll: float | None = None


class Location(Part):
    """tt:LocationEntity."""

    entity: str | None = None
    token: str | None = None
    fixed: bool | None = None
    geo_source: str | None = None
    auto_geo: bool | None = None
    geo_location: GeoLocation | None = None
    geo_orientation: Orientation | None = None
    local_location: LocalLocation | None = None
    local_orientation: LocalOrientation | None = None
