"""What to say about a node that is not known: the right name, or the right place."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from functools import cache

from manycast.config.dialects import FLAT, MEDIA_ONLY, ONVIF_ONLY, Dialect, FieldPath, path_in
from manycast.config.problems import bracketed
from manycast.config.schema.fields import every_field
from manycast.config.schema.settings import Settings

# Names of the ONVIF dialect for what has another name here.
_ELSEWHERE_NAMED: Mapping[str, FieldPath] = {
    "server_ip": ("rtsp", "serverip"),
    "http_port": ("http", "serverport"),
    "https_port": ("https", "serverport"),
    "http_enable": ("http", "enable"),
    "https_enable": ("https", "enable"),
}
_MAX_PLACES = 4
_MAX_SWAPPED = 64  # characters: no name is longer


def unknown_node(name: str, here: Collection[str], dialect: Dialect, *, top: bool) -> str:
    """The warning for a node `name`, among whose siblings the names `here` would be known."""
    right = _right_name(name, here, dialect, top=top)
    if right is not None:
        return f"unknown node, ignored; here it is {right}"
    places = _places(dialect).get(name)
    if places:
        return f"unknown at this place, ignored; it belongs to {', '.join(places[:_MAX_PLACES])}"
    nearest = _nearest(name, here)
    if nearest is not None:
        return f"unknown node, ignored; the nearest known name is {_shown(nearest, dialect)}"
    if name in ONVIF_ONLY:
        return "unknown node, ignored; it belongs to a file of its own, in the ONVIF dialect"
    return "unknown node, ignored"


def _right_name(name: str, here: Collection[str], dialect: Dialect, *, top: bool) -> str | None:
    if dialect is Dialect.ONVIF:
        return None
    path = _ELSEWHERE_NAMED.get(name)
    if path is not None and path[-1] in here and not top:
        return _shown(path[-1], dialect)
    if path is None and top:
        path = FLAT.get(name)
    return None if path is None else _label(path_in(dialect, path))


def _nearest(name: str, here: Collection[str]) -> str | None:
    lowered = {known.lower(): known for known in here}
    swapped = [known for known in _with_neighbours_swapped(name.lower()) if known in lowered]
    close = swapped or difflib.get_close_matches(name.lower(), lowered, n=1)
    return lowered[close[0]] if close else None


def _with_neighbours_swapped(name: str) -> list[str]:
    return [name[:at] + name[at + 1] + name[at] + name[at + 2 :] for at in range(min(len(name), _MAX_SWAPPED) - 1)]


@cache
def _places(dialect: Dialect) -> Mapping[str, list[str]]:
    """For the name of each node, the groups that have it."""
    places: dict[str, list[str]] = {}
    for specs in every_field(Settings):
        if (specs[0].field == "onvif") is not (dialect is Dialect.ONVIF) and dialect is not Dialect.YAML:
            continue
        path = path_in(dialect, tuple(spec.field for spec in specs))
        if dialect is Dialect.RTSP and path.split("/")[1] in MEDIA_ONLY:
            continue
        above, _, name = path.rpartition("." if dialect is Dialect.YAML else "/")
        known = places.setdefault(name, [])
        if _label(above) not in known:
            known.append(_label(above))
    return places


def _label(path: str) -> str:
    return bracketed(path).removeprefix("<config>") or bracketed(path) or "the top"


def _shown(name: str, dialect: Dialect) -> str:
    return name if dialect is Dialect.YAML else f"<{name}>"
