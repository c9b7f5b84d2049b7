"""What can be captured, and which of it an address means."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from manycast.hub.source import SourceMissing
from manycast.media.track import Codec
from manycast.sources.capture.pool import Reader

SYSTEM_SOUND_NAME = "System sound"


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """One camera; `address` is what FFmpeg opens."""

    index: int
    name: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Microphone:
    """Anything that gives sound; `address` is what FFmpeg opens."""

    index: int
    name: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """One monitor of the desktop; place and size in pixels."""

    index: int
    name: str
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A window that has a title; its size is in pixels."""

    id: int
    title: str
    width: int
    height: int


class System(Protocol):
    """What an operating system has, and the readers for it. Readers are made and read in threads.

    Lists and readers raise SourceError where the system does not let us.
    """

    def cameras(self) -> list[Camera]: ...

    def microphones(self) -> list[Microphone]:
        """The system's own sound, SYSTEM_SOUND_NAME, is the last one, where it can be recorded."""

    def no_system_sound(self) -> str:
        """What to say where it cannot."""

    def monitors(self) -> list[Monitor]:
        """The primary one first."""

    def windows(self) -> list[Window]: ...

    def capabilities(self, camera: Camera) -> Iterator[str]:
        """A line for each format and size, as far as the system tells."""

    def open_camera(self, camera: Camera, rate: float, size: tuple[int, int] | None, codec: Codec | None) -> Reader:
        """With the rate and size asked for, if the camera has them, and coded by itself as `codec`, if it does that."""

    def open_microphone(self, microphone: Microphone, rate_hz: int, channels: int) -> Reader: ...

    def open_screen(self, index: int, rate: int) -> Reader: ...

    def open_window(self, title: str, rate: int) -> Reader: ...


def find_camera(index: int, name: str | None, cameras: Sequence[Camera]) -> Camera:
    """By its name as listed or its address, or by its number. Raises SourceMissing."""
    for camera in cameras:
        if camera.index == index if name is None else name in (camera.name, camera.address):
            return camera
    raise _no_device("video", index, name, len(cameras))


def find_microphone(index: int, name: str | None, microphones: Sequence[Microphone]) -> Microphone:
    """By its name as listed or its address, or by its number. Raises SourceMissing."""
    for microphone in microphones:
        if microphone.index == index if name is None else name in (microphone.name, microphone.address):
            return microphone
    raise _no_device("audio", index, name, len(microphones))


def find_system_sound(system: System) -> Microphone:
    """What the default output plays. Raises SourceMissing."""
    for microphone in system.microphones():
        if microphone.name == SYSTEM_SOUND_NAME:
            return microphone
    raise SourceMissing(system.no_system_sound())


def find_monitor(index: int, monitors: Sequence[Monitor]) -> Monitor:
    """Raises SourceMissing."""
    if index >= len(monitors):
        raise _no_number("monitor", index, len(monitors))
    return monitors[index]


def find_window(windows: Sequence[Window], title: str) -> Window:
    """The window of a title, without regard to case: a whole title first, then one that contains the text, when it is
    only one. Raises SourceMissing."""
    wanted = title.casefold()
    for window in windows:
        if window.title.casefold() == wanted:
            return window
    containing = [window for window in windows if wanted in window.title.casefold()]
    if len(containing) > 1:
        titles = ", ".join(repr(window.title) for window in containing[:5])
        raise SourceMissing(f"{len(containing)} windows have {title!r} in their titles: {titles}")
    if not containing:
        raise SourceMissing(f"no window has the title {title!r}, or has it in its title")
    return containing[0]


def _no_device(kind: str, index: int, name: str | None, count: int) -> SourceMissing:
    if name is None:
        return _no_number(f"{kind} device", index, count)
    return SourceMissing(f"there is no {kind} device {name!r}")


def _no_number(what: str, index: int, count: int) -> SourceMissing:
    if not count:
        return SourceMissing(f"there is no {what}")
    there = "the only one is number 0" if count == 1 else f"they have the numbers 0 to {count - 1}"
    return SourceMissing(f"there is no {what} {index}: {there}")
