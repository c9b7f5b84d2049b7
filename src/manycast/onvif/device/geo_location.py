"""Where the device, and what belongs to it, stands."""

from __future__ import annotations

from typing import Any

from manycast.onvif.device.arguments import finite, invalid
from manycast.onvif.device.part import DevicePart
from manycast.onvif.security.access import Access
from manycast.onvif.soap.fault import Fault
from manycast.onvif.soap.service import NOTHING, Caller, Reply, operation
from manycast.onvif.state.geo import GeoLocation, LocalLocation, LocalOrientation, Location, Orientation
from manycast.onvif.state.limits import MAX_LOCATIONS

MAX_TEXT_CHARS = 256

_PARTS = (  # of the state's model and of tt:LocationEntity
    ("geo_location", "GeoLocation", GeoLocation),
    ("geo_orientation", "GeoOrientation", Orientation),
    ("local_location", "LocalLocation", LocalLocation),
    ("local_orientation", "LocalOrientation", LocalOrientation),
)


class GeoLocations(DevicePart):
    @operation(Access.READ_SYSTEM)
    async def get_geo_location(self, request: Any, caller: Caller) -> Reply:
        return {"Location": [_written(each) for each in self.state.locations]}

    @operation(Access.WRITE_SYSTEM)
    async def set_geo_location(self, request: Any, caller: Caller) -> Reply:
        """Entries are known by entity and token; all are changed or none."""
        locations = {(each.entity, each.token): each for each in self.state.locations}
        for wanted in request.Location:
            location = _read(wanted)
            locations[location.entity, location.token] = location
        if len(locations) > MAX_LOCATIONS:
            raise Fault.receiver("ter:Action", "ter:TooManyEntries", reason=f"at most {MAX_LOCATIONS} places")
        self.state.locations = list(locations.values())
        self.save()
        return NOTHING

    @operation(Access.WRITE_SYSTEM)
    async def delete_geo_location(self, request: Any, caller: Caller) -> Reply:
        """All or none."""
        locations = {(each.entity, each.token): each for each in self.state.locations}
        for wanted in request.Location:
            known = locations.pop((wanted.Entity, wanted.Token), None)
            if known is None:
                raise invalid("ter:NoConfig", "no such place")
            if known.fixed:
                raise invalid("ter:Fixed", "the place is fixed")
        self.state.locations = list(locations.values())
        self.save()
        return NOTHING


def _read(wanted: Any) -> Location:
    """Raises Fault."""
    if wanted.AutoGeo:
        raise invalid("ter:NoAutoGeo", "the device does not find out where it is")
    texts = (wanted.Entity, wanted.Token, wanted.GeoSource)
    if any(len(text or "") > MAX_TEXT_CHARS for text in texts):
        raise Fault.sender("ter:InvalidArgVal", reason=f"at most {MAX_TEXT_CHARS} characters")
    geo = wanted.GeoLocation
    if geo is not None and not (abs(geo.lon or 0.0) <= 180.0 and abs(geo.lat or 0.0) <= 90.0):
        raise Fault.sender("ter:InvalidArgVal", reason="there is no such place on earth")
    parts = {}
    for name, onvif_name, model in _PARTS:
        value = wanted[onvif_name]
        if value is not None:
            parts[name] = model(**{field: finite(value[field]) for field in model.model_fields})
    return Location(
        entity=wanted.Entity,
        token=wanted.Token,
        fixed=wanted.Fixed,
        geo_source=wanted.GeoSource,
        auto_geo=wanted.AutoGeo,
        **parts,
    )


def _written(location: Location) -> Reply:
    parts = {
        onvif_name: value.model_dump()
        for name, onvif_name, _ in _PARTS
        if (value := getattr(location, name)) is not None
    }
    return {
        "Entity": location.entity,
        "Token": location.token,
        "Fixed": location.fixed,
        "GeoSource": location.geo_source,
        "AutoGeo": location.auto_geo,
        **parts,
    }
