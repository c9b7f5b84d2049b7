"""Events in the metadata track of RTSP: ONVIF Core, section "Notification Streaming Interface"."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from lxml import etree

from manycast.hub.metadata import MetadataFeeds
from manycast.onvif.events.broker import EventBroker
from manycast.onvif.events.message import EventMessage
from manycast.onvif.events.notification import notification
from manycast.onvif.soap.names import PREFIXES, expanded

STATE_INTERVAL_S = 10.0  # datagrams are lost, and viewers come: the state of all properties is told anew

_NAMESPACES = {prefix: PREFIXES[prefix] for prefix in ("tt", "wsnt", "tns1")}


def metadata_stream(messages: Iterable[EventMessage]) -> bytes:
    """The tt:MetadataStream that tells of events."""
    root = etree.Element(expanded("tt:MetadataStream"), nsmap=_NAMESPACES)
    event = etree.SubElement(root, expanded("tt:Event"))
    event.extend(map(notification, messages))
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)


class MetadataTrack:
    """Puts the events of one device beside the streams that are its own. Each document is made once for all of them."""

    def __init__(self, broker: EventBroker, feeds: MetadataFeeds, shows: Callable[[str], bool]) -> None:
        """`shows` says which paths are the device's."""
        self._broker = broker
        self._feeds = feeds
        self._shows = shows
        self._watchers: dict[str, int] = {}
        self._state_told_s: dict[str, float] = {}
        self._leave = broker.listen(self._on_message)

    def close(self) -> None:
        self._leave()

    def handle_timer(self, *, now_s: float) -> None:
        """Tell the state of properties where somebody has come, and now and then. Call it every second."""
        watchers = {feed.path: feed.watchers for feed in self._feeds if self._shows(feed.path)}
        due = [
            path
            for path, count in watchers.items()
            if count > self._watchers.get(path, 0)
            or now_s - self._state_told_s.get(path, float("-inf")) >= STATE_INTERVAL_S
        ]
        self._watchers = watchers
        self._state_told_s = {path: self._state_told_s.get(path, now_s) for path in watchers}
        state = list(self._broker.properties()) if due else []
        if state:
            self._put(due, state)
            self._state_told_s.update(dict.fromkeys(due, now_s))

    def _on_message(self, message: EventMessage) -> None:
        paths = [feed.path for feed in self._feeds if self._shows(feed.path)]
        if paths:
            self._put(paths, [message])

    def _put(self, paths: Iterable[str], messages: Iterable[EventMessage]) -> None:
        document = metadata_stream(messages)
        for path in paths:
            self._feeds.put(path, document)
