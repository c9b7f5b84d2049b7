"""Pictures of a monitor or a window, by FFmpeg's x11grab. Imports PyAV: import it late."""

from __future__ import annotations

import logging
import time

import av
from av.container.input import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame

from manycast.hub.source import SourceError
from manycast.sources.capture.arrival_clock import ArrivalClock
from manycast.sources.capture.devices import Monitor, find_monitor, find_window
from manycast.sources.capture.inbox import Picture
from manycast.sources.capture.x11 import Desktop, display_name

LOOK_INTERVAL_S = 0.25  # how often the window's or monitor's size is looked at, and what has failed is tried again

log = logging.getLogger(__name__)


class ScreenReader:
    """One monitor."""

    def __init__(self, index: int, frame_rate: int) -> None:
        """Raises SourceError."""
        self._index = index
        self._rate = frame_rate
        self._desktop = Desktop()
        self._monitor = self._find()
        self._grab = self._open()
        self._clock = ArrivalClock()
        self._looked_s = time.monotonic()

    def read(self) -> Picture | None:
        if time.monotonic() - self._looked_s > LOOK_INTERVAL_S:
            self._looked_s = time.monotonic()
            monitor = self._find()
            if monitor != self._monitor:  # it has been moved, or has another size
                self._monitor = monitor
                self._grab.close()
                self._grab = self._open()
        try:
            image = self._grab.read()
        except FFmpegError as error:
            raise SourceError(f"the screen cannot be captured any more: {error}") from error
        return Picture(image, self._clock.time(time.monotonic(), 1 / self._rate))

    def close(self) -> None:
        self._grab.close()
        self._desktop.close()

    def _find(self) -> Monitor:
        return find_monitor(self._index, self._desktop.monitors())

    def _open(self) -> _Grab:
        monitor = self._monitor
        try:
            return _Grab(
                f"{display_name()}+{monitor.x},{monitor.y}",
                self._rate,
                {"video_size": f"{monitor.width}x{monitor.height}"},
            )
        except FFmpegError as error:
            raise SourceError(f"monitor {self._index} cannot be captured: {error}") from error


class WindowReader:
    """One window, wherever it moves.

    While it cannot be seen, its last picture is repeated: when it is minimised, and, where no compositor keeps windows
    whole, when it hangs over the edge of the desktop.
    """

    def __init__(self, title: str, frame_rate: int) -> None:
        """Raises SourceError."""
        self._rate = frame_rate
        self._desktop = Desktop()
        self._id = find_window(self._desktop.windows(), title).id
        self._size = self._desktop.size_of(self._id)
        self._grab: _Grab | None = None
        self._failed_s: float | None = None
        self._last: VideoFrame | None = None
        self._clock = ArrivalClock()
        self._looked_s = time.monotonic()

    def read(self) -> Picture | None:
        if time.monotonic() - self._looked_s > LOOK_INTERVAL_S:
            self._look()
        image = self._read() if self._size is not None else None
        if image is None:
            time.sleep(1 / self._rate)
            image = self._last
        self._last = image
        return None if image is None else Picture(image, self._clock.time(time.monotonic(), 1 / self._rate))

    def close(self) -> None:
        if self._grab is not None:
            self._grab.close()
        self._desktop.close()

    def _look(self) -> None:
        """Follow the window. Raises SourceError when it is closed."""
        self._looked_s = time.monotonic()
        size = self._desktop.size_of(self._id)
        if size != self._size:
            self._size = size
            self._stop()

    def _read(self) -> VideoFrame | None:
        """The window as it is; None where that fails, and for a while after that."""
        if self._failed_s is not None and time.monotonic() - self._failed_s < LOOK_INTERVAL_S:
            return None
        try:
            if self._grab is None:
                self._grab = _Grab(display_name(), self._rate, {"window_id": str(self._id)})
            image = self._grab.read()
        except FFmpegError as error:
            log.debug("window %#x cannot be captured now: %s", self._id, error)
            self._stop()
            self._failed_s = time.monotonic()
            return None
        self._failed_s = None
        return image

    def _stop(self) -> None:
        if self._grab is not None:
            self._grab.close()
            self._grab = None


class _Grab:
    """One opened x11grab."""

    def __init__(self, place: str, frame_rate: int, options: dict[str, str]) -> None:
        # The device says what it gives: nothing is to be read and kept to find that out.
        options = {"framerate": str(frame_rate), "draw_mouse": "1", "fpsprobesize": "0", "probesize": "32", **options}
        container = av.open(place, format="x11grab", options=options)
        assert isinstance(container, InputContainer)
        self._container = container
        self._packets = container.demux(container.streams.video[0])

    def read(self) -> VideoFrame:
        """Wait for the next picture's time and take it. Raises FFmpegError."""
        while True:
            for image in next(self._packets).decode():
                assert isinstance(image, VideoFrame)
                return image

    def close(self) -> None:
        self._container.close()
