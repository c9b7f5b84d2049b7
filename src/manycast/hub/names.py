"""Names with a meaning of their own."""

from __future__ import annotations

CAPTURE_NAMES = ("videodevice", "audiodevice", "screenlive", "window=", "systemsound")  # and whatever begins so
BACKCHANNEL_SUFFIX = "/backchannel"  # behind a stream's path: what is said to it


def is_capture_name(name: str) -> bool:
    """Whether a name, without its application, stands for a camera, a microphone, a screen or a window."""
    return name.startswith(CAPTURE_NAMES)


def backchannel_path(path: str) -> str:
    """Where one hears what is said to the stream at a path."""
    return path + BACKCHANNEL_SUFFIX


def spoken_path(path: str) -> str | None:
    """The path that is spoken to, where a path is one of `backchannel_path`; else None."""
    return path.removesuffix(BACKCHANNEL_SUFFIX) if path.endswith(BACKCHANNEL_SUFFIX) else None
