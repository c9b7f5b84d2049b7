"""Streams that are lost and come back, as events: Imaging Specification, section "SignalLoss"."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from manycast.onvif.events.broker import EventBroker
from manycast.onvif.events.catalogue import SIGNAL_LOSS

MAX_STREAMS = 1000  # that are remembered; publishers choose the names


class StreamEvents:
    """Compares what is live now with what was live before. A stream that was live once and is no more is lost."""

    def __init__(self, broker: EventBroker, token_of: Callable[[str], str | None]) -> None:
        """`token_of` gives the video source that a path is shown as; None for paths that are none of the device."""
        self._broker = broker
        self._token_of = token_of
        self._known: dict[str, str] = {}
        broker.declare(SIGNAL_LOSS)

    def look(self, live: Iterable[str]) -> None:
        """`live` are the paths of all live streams whose source does not stop by itself."""
        paths = set(live)
        for path in paths - self._known.keys():
            token = self._token_of(path)
            if token is not None and len(self._known) < MAX_STREAMS:
                self._known[path] = token
        present = {token for path, token in self._known.items() if path in paths}
        for token in set(self._known.values()):
            self._broker.publish(SIGNAL_LOSS.topic, {"Source": token}, {"State": token not in present})
