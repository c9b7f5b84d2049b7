"""Names with a meaning of their own."""

from __future__ import annotations

CAPTURE_NAMES = ("videodevice", "audiodevice", "screenlive", "window=")  # and whatever begins with one of them


def is_capture_name(name: str) -> bool:
    """Whether a name, without its application, stands for a camera, a microphone, a screen or a window."""
    return name.startswith(CAPTURE_NAMES)
