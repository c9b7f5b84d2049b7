"""What the commands print of devices and windows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from manycast.sources.capture.cameras import list_cameras
from manycast.sources.capture.capabilities import camera_capabilities
from manycast.sources.capture.microphones import list_microphones
from manycast.sources.capture.x11 import Desktop

VIDEO_HEAD = "Available video capture device :"
AUDIO_HEAD = "Available audio capture device :"
WINDOW_HEAD = "Available window name :"


def device_lines(*, video: bool, audio: bool, verbose: bool = False) -> Iterator[str]:
    """Cameras and microphones with the numbers and names that stand in addresses."""
    if video:
        yield VIDEO_HEAD
        for camera in list_cameras():
            yield f"index : {camera.index}, name : {camera.name}"
            if verbose:
                yield f"    {camera.address}"
                yield from (f"    {line}" for line in camera_capabilities(camera.address))
    if audio:
        yield AUDIO_HEAD
        for microphone in list_microphones():
            yield f"index : {microphone.index}, name : {microphone.name}"
            if verbose:
                yield f"    {microphone.pcm}"


def devices_json(*, video: bool, audio: bool) -> str:
    found: dict[str, Any] = {}
    if video:
        found["video"] = [
            {
                "index": camera.index,
                "name": camera.name,
                "device": camera.address,
                "formats": list(camera_capabilities(camera.address)),
            }
            for camera in list_cameras()
        ]
    if audio:
        found["audio"] = [
            {"index": microphone.index, "name": microphone.name, "device": microphone.pcm}
            for microphone in list_microphones()
        ]
    return json.dumps(found, indent=2, ensure_ascii=False)


def window_lines(*, verbose: bool = False) -> Iterator[str]:
    """The titles of all windows. Raises SourceError."""
    yield WINDOW_HEAD
    with Desktop() as desktop:
        for window in desktop.windows():
            yield window.title
            if verbose:
                yield f"    {window.width}x{window.height}, id {window.id:#x}"


def windows_json() -> str:
    """Raises SourceError."""
    with Desktop() as desktop:
        found = [
            {"title": window.title, "width": window.width, "height": window.height, "id": window.id}
            for window in desktop.windows()
        ]
    return json.dumps({"windows": found}, indent=2, ensure_ascii=False)


def listed(what: str) -> Iterator[str]:
    """The lines of `-l WHAT`. Raises SourceError for windows that cannot be listed."""
    if what == "window":
        yield from window_lines()
    else:
        yield from device_lines(video=what != "audiodevice", audio=what != "videodevice")
