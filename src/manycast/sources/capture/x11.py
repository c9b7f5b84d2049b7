"""Monitors and windows of an X server, through its protocol (python-xlib)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from manycast.hub.source import SourceError
from manycast.sources.capture.devices import Monitor, Window

MAX_WINDOWS = 2000  # looked at


def display_name() -> str:
    """Which X server. Raises SourceError where there is none."""
    name = os.environ.get("DISPLAY")
    if name:
        return name
    if os.environ.get("WAYLAND_DISPLAY"):
        raise SourceError(
            "Wayland does not let other programs see its screens and windows; "
            "log in with an X session, or start the server with DISPLAY set for windows of Xwayland"
        )
    raise SourceError("there is no X server: DISPLAY is not set; start the server in the session it is to show")


class Desktop:
    """A connection to the X server. Used by one thread. Every method raises SourceError when the server is lost."""

    def __init__(self) -> None:
        from Xlib import display, error

        name = display_name()
        self._errors = (error.ConnectionClosedError, error.XError, OSError)
        try:
            self._display = display.Display(name)
        except (error.DisplayError, error.ConnectionClosedError, OSError) as failure:
            hint = ""
            if os.environ.get("XDG_SESSION_TYPE") == "wayland":
                hint = "; the session is one of Wayland, which can be captured only as far as Xwayland shows it"
            raise SourceError(f"the X server {name} does not let us in: {failure}{hint}") from failure
        self._root = self._display.screen().root

    def close(self) -> None:
        try:
            self._display.close()
        except self._errors:
            pass

    def __enter__(self) -> Desktop:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def monitors(self) -> list[Monitor]:
        """All monitors, the primary one first; at least one."""
        with self._asking():
            found = []
            if self._display.has_extension("RANDR"):
                reply = self._root.xrandr_get_monitors()
                found = sorted(reply.monitors, key=lambda monitor: not monitor.primary)
            if found:
                return [
                    Monitor(
                        index=index,
                        name=self._display.get_atom_name(monitor.name),
                        x=monitor.x,
                        y=monitor.y,
                        width=monitor.width_in_pixels,
                        height=monitor.height_in_pixels,
                    )
                    for index, monitor in enumerate(found)
                ]
            screen = self._display.screen()
            return [
                Monitor(index=0, name="screen", x=0, y=0, width=screen.width_in_pixels, height=screen.height_in_pixels)
            ]
        raise AssertionError

    def windows(self) -> list[Window]:
        """The windows of applications that have titles, in the order they were opened."""
        with self._asking():
            atom = self._display.get_atom("_NET_CLIENT_LIST")
            listed = self._root.get_full_property(atom, 0)
            if listed is not None and len(listed.value):
                candidates: Iterator[Any] = (
                    self._display.create_resource_object("window", number) for number in listed.value
                )
            else:  # no window manager, or an old one
                candidates = self._walk(self._root)
            windows = (self._described(window) for window, _ in zip(candidates, range(MAX_WINDOWS), strict=False))
            return [window for window in windows if window is not None]
        raise AssertionError

    def size_of(self, window_id: int) -> tuple[int, int] | None:
        """Width and height of a window that can be seen now, None while it is minimised or hidden.

        Raises SourceError when it is closed.
        """
        from Xlib import X, error

        window = self._display.create_resource_object("window", window_id)
        try:
            attributes = window.get_attributes()
            geometry = window.get_geometry()
        except (error.BadWindow, error.BadDrawable) as failure:
            raise SourceError("the window was closed") from failure
        except self._errors as failure:
            raise SourceError(f"the X server is lost: {failure}") from failure
        return (geometry.width, geometry.height) if attributes.map_state == X.IsViewable else None

    def _walk(self, parent: Any) -> Iterator[Any]:
        for child in parent.query_tree().children:
            yield child
            yield from self._walk(child)

    def _described(self, window: Any) -> Window | None:
        from Xlib import X, error

        try:
            title = self._title(window)
            attributes = window.get_attributes()
            if not title or attributes.win_class == X.InputOnly:
                return None
            geometry = window.get_geometry()
        except (error.BadWindow, error.BadDrawable):  # closed meanwhile
            return None
        return Window(id=window.id, title=title, width=geometry.width, height=geometry.height)

    def _title(self, window: Any) -> str:
        named = window.get_full_text_property(self._display.get_atom("_NET_WM_NAME"))
        title = named or window.get_wm_name() or ""
        return title.decode(errors="replace") if isinstance(title, bytes) else str(title)

    def _asking(self) -> _Asking:
        return _Asking(self._errors)


class _Asking:
    """Turns what the library raises into SourceError."""

    def __init__(self, errors: tuple[type[Exception], ...]) -> None:
        self._errors = errors

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, failure: BaseException | None, _trace: object) -> None:
        if isinstance(failure, self._errors):
            raise SourceError(f"the X server is lost: {failure}") from failure
