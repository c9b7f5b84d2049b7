"""Streams that are lost and come back, as events: Imaging Specification, section "SignalLoss"."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from manycast.onvif.events.broker import EventBroker
from manycast.onvif.events.catalogue import SIGNAL_LOSS

MAX_STREAMS = 1000  # that are remembered; publishers choose the names


class StreamEvents:
    """Compares what is live now with what was live before. A video source whose streams are all gone is lost."""

    def __init__(self, broker: EventBroker, token_of: Callable[[str], str | None]) -> None:
        """`token_of` gives the video source that a path is shown as; None for paths that are none of the device."""
        self._broker = broker
        self._token_of = token_of
        self._tokens: dict[str, str] = {}  # of the paths that were live once
        self._live: set[str] = set()
        broker.declare(SIGNAL_LOSS)

    def look(self, live: Iterable[str]) -> None:
        """`live` are the paths of all live streams whose source does not stop by itself."""
        now = set(live)
        if now == self._live:
            return
        for path in now - self._tokens.keys():
            token = self._token_of(path)
            if token is not None and len(self._tokens) < MAX_STREAMS:
                self._tokens[path] = token
        present = {self._tokens[path] for path in now if path in self._tokens}
        changed = {self._tokens[path] for path in now ^ self._live if path in self._tokens}
        self._live = now
        for token in sorted(changed):
            self._broker.publish(SIGNAL_LOSS.topic, {"Source": token}, {"State": token not in present})
