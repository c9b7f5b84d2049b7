"""Opens every device once, however many encode what it sees or hears."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable
from typing import Protocol

from manycast.hub.source import SourceError
from manycast.sources.capture.inbox import Captured, Inbox

log = logging.getLogger(__name__)


class Reader(Protocol):
    """One opened device. Used by one thread."""

    def read(self) -> Captured | None:
        """Wait for the next picture or piece of sound, not much longer than a second; None where there was none.

        Raises SourceError at the end.
        """

    def close(self) -> None: ...


class DevicePool:
    """The devices that are open, each with a thread that reads it. Its methods may be called in any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[Hashable, _SharedDevice] = {}

    def join(self, key: Hashable, make_reader: Callable[[], Reader], inbox: Inbox) -> None:
        """Have what a device gives put into an inbox; its reader is made, in a thread, if it is not open yet."""
        with self._lock:
            device = self._open.get(key)
            if device is None or not device.add(inbox):
                device = self._open[key] = _SharedDevice(key, make_reader, self._forget)
                device.add(inbox)
                device.start()

    def leave(self, inbox: Inbox) -> None:
        """Put nothing more into an inbox. A device that nobody needs any more is closed."""
        with self._lock:
            devices = list(self._open.values())
        for device in devices:
            device.remove(inbox)

    def _forget(self, key: Hashable, device: _SharedDevice) -> None:
        with self._lock:
            if self._open.get(key) is device:
                del self._open[key]


class _SharedDevice:
    def __init__(
        self,
        key: Hashable,
        make_reader: Callable[[], Reader],
        on_closed: Callable[[Hashable, _SharedDevice], None],
    ) -> None:
        self._key = key
        self._make_reader = make_reader
        self._on_closed = on_closed
        self._lock = threading.Lock()
        self._inboxes: tuple[Inbox, ...] = ()
        self._closing = False

    def start(self) -> None:
        threading.Thread(target=self._run, name=f"capture {self._key}", daemon=True).start()

    def add(self, inbox: Inbox) -> bool:
        """False when the device is being closed."""
        with self._lock:
            if not self._closing:
                self._inboxes = (*self._inboxes, inbox)
            return not self._closing

    def remove(self, inbox: Inbox) -> None:
        with self._lock:
            self._inboxes = tuple(other for other in self._inboxes if other is not inbox)
            self._closing = self._closing or not self._inboxes

    def _run(self) -> None:
        error = SourceError("the device was closed")
        reader: Reader | None = None
        try:
            reader = self._make_reader()
            log.info("capture of %s opened", self._key)
            while not self._closing:
                item = reader.read()
                if item is not None:
                    for inbox in self._inboxes:
                        inbox.put(item)
        except SourceError as failure:
            error = failure
        except Exception as failure:
            error = SourceError(f"{self._key}: {failure}")
        finally:
            with self._lock:
                self._closing = True
            if reader is not None:
                reader.close()
                log.info("capture of %s closed", self._key)
            self._on_closed(self._key, self)
            for inbox in self._inboxes:
                inbox.fail(error)
