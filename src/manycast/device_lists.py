"""What the commands print of devices and windows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from manycast.sources.capture.names import PartKind, address_name
from manycast.sources.capture.system import this_system

VIDEO_HEAD = "Available video capture device :"
AUDIO_HEAD = "Available audio capture device :"
WINDOW_HEAD = "Available window name :"


def device_lines(*, video: bool, audio: bool, verbose: bool = False) -> Iterator[str]:
    """Cameras and microphones with the numbers and names that stand in addresses."""
    system = this_system()
    if video:
        yield VIDEO_HEAD
        for camera in system.cameras():
            yield f"index : {camera.index}, name : {camera.name}"
            if verbose:
                yield f"    in addresses: {address_name(PartKind.CAMERA, camera.name)}"
                yield f"    {camera.address}"
                yield from (f"    {line}" for line in system.capabilities(camera))
    if audio:
        yield AUDIO_HEAD
        for microphone in system.microphones():
            yield f"index : {microphone.index}, name : {microphone.name}"
            if verbose:
                yield f"    in addresses: {address_name(PartKind.MICROPHONE, microphone.name)}"
                yield f"    {microphone.address}"


def devices_json(*, video: bool, audio: bool) -> str:
    system = this_system()
    found: dict[str, Any] = {}
    if video:
        found["video"] = [
            {
                "index": camera.index,
                "name": camera.name,
                "address": address_name(PartKind.CAMERA, camera.name),
                "device": camera.address,
                "formats": list(system.capabilities(camera)),
            }
            for camera in system.cameras()
        ]
    if audio:
        found["audio"] = [
            {
                "index": microphone.index,
                "name": microphone.name,
                "address": address_name(PartKind.MICROPHONE, microphone.name),
                "device": microphone.address,
            }
            for microphone in system.microphones()
        ]
    return json.dumps(found, indent=2, ensure_ascii=False)


def window_lines(*, verbose: bool = False) -> Iterator[str]:
    """The titles of all windows. Raises SourceError."""
    yield WINDOW_HEAD
    for window in this_system().windows():
        yield window.title
        if verbose:
            yield f"    in addresses: {address_name(PartKind.WINDOW, window.title)}"
            yield f"    {window.width}x{window.height}, id {window.id:#x}"


def windows_json() -> str:
    """Raises SourceError."""
    found = [
        {
            "title": window.title,
            "address": address_name(PartKind.WINDOW, window.title),
            "width": window.width,
            "height": window.height,
            "id": window.id,
        }
        for window in this_system().windows()
    ]
    return json.dumps({"windows": found}, indent=2, ensure_ascii=False)


def listed(what: str) -> Iterator[str]:
    """The lines of `-l WHAT`. Raises SourceError for windows that cannot be listed."""
    if what == "window":
        yield from window_lines()
    else:
        yield from device_lines(video=what != "audiodevice", audio=what != "videodevice")
