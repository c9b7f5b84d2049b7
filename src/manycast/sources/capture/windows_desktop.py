"""Monitors and windows of Windows, by its user32 library. Not tested there."""

from __future__ import annotations

import ctypes
import sys

from manycast.hub.source import SourceError
from manycast.sources.capture.devices import Monitor, Window

MAX_TITLE_CHARS = 512


class _Rect(ctypes.Structure):
    _fields_ = [(side, ctypes.c_long) for side in ("left", "top", "right", "bottom")]


class _MonitorInfo(ctypes.Structure):
    """MONITORINFOEXW."""

    _fields_ = [
        ("size", ctypes.c_ulong),
        ("monitor", _Rect),
        ("work", _Rect),
        ("flags", ctypes.c_ulong),
        ("device", ctypes.c_wchar * 32),
    ]


_PRIMARY = 1  # MONITORINFOF_PRIMARY


def list_monitors() -> list[Monitor]:
    """The primary one first. Raises SourceError."""
    if sys.platform != "win32":
        raise SourceError("this is not Windows")
    user32 = ctypes.windll.user32
    user32.SetProcessDPIAware()  # else places and sizes are scaled ones
    found: list[_MonitorInfo] = []

    @ctypes.WINFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
    def add(handle: int, _device: int, _place: int, _data: int) -> int:
        info = _MonitorInfo(size=ctypes.sizeof(_MonitorInfo))
        if user32.GetMonitorInfoW(ctypes.c_void_p(handle), ctypes.byref(info)):
            found.append(info)
        return 1

    user32.EnumDisplayMonitors(None, None, add, None)
    found.sort(key=lambda info: not info.flags & _PRIMARY)
    return [
        Monitor(
            index=index,
            name=info.device,
            x=info.monitor.left,
            y=info.monitor.top,
            width=info.monitor.right - info.monitor.left,
            height=info.monitor.bottom - info.monitor.top,
        )
        for index, info in enumerate(found)
    ]


def list_windows() -> list[Window]:
    """Windows that can be seen and have a title. Raises SourceError."""
    if sys.platform != "win32":
        raise SourceError("this is not Windows")
    user32 = ctypes.windll.user32
    found: list[Window] = []

    @ctypes.WINFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    def add(handle: int, _data: int) -> int:
        title = ctypes.create_unicode_buffer(MAX_TITLE_CHARS)
        user32.GetWindowTextW(ctypes.c_void_p(handle), title, MAX_TITLE_CHARS)
        if title.value and user32.IsWindowVisible(ctypes.c_void_p(handle)):
            place = _Rect()
            user32.GetWindowRect(ctypes.c_void_p(handle), ctypes.byref(place))
            width, height = place.right - place.left, place.bottom - place.top
            found.append(Window(id=handle, title=title.value, width=width, height=height))
        return 1

    user32.EnumWindows(add, None)
    return found
