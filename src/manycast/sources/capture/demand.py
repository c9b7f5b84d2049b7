"""What all outputs together ask of a device: it is opened once, and who comes first does not decide for the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from manycast.hub.output import ORIGINAL, Output, OutputRules
from manycast.media.track import Codec
from manycast.sources.capture.devices import SYSTEM_SOUND_NAME, Camera, Microphone
from manycast.sources.capture.names import Part, PartKind, parse_capture
from manycast.sources.encoding.sound_shape import SoundShape, settled

CAMERA_RATE = 25  # pictures a second, where nothing is asked
SOUND_RATE_HZ = 8000
SOUND_CHANNELS = 2

_EVERYTHING = (None, "*")
_KIND_NAMES = frozenset(kind.value for kind in PartKind)


@dataclass(frozen=True, slots=True)
class CameraForm:
    """What a camera is opened with, as far as it can do that."""

    rate: float  # pictures a second
    size: tuple[int, int] | None  # None: its own
    codec: Codec


def form_of_camera(rules: OutputRules, camera: Camera) -> CameraForm:
    """The highest rate and the largest size that an output asks for, so that each can have what it asks for."""
    videos = [output.video for output in _asked_of(rules, camera, (PartKind.CAMERA,))]
    sizes = [(video.width, video.height) for video in videos if video.width and video.height]
    codecs = [video.codec or Codec.H264 for video in videos]
    return CameraForm(
        rate=float(max(video.frame_rate or CAMERA_RATE for video in videos)),
        size=max(sizes, key=lambda size: (size[0] * size[1], size), default=None),
        codec=Codec.H264 if Codec.H264 in codecs else codecs[0],
    )


def form_of_microphone(rules: OutputRules, microphone: Microphone) -> SoundShape:
    """The highest rate and the most channels that an output asks for."""
    system = (PartKind.SYSTEM_SOUND,) if microphone.name == SYSTEM_SOUND_NAME else ()
    sounds = [
        settled(replace(output.audio, codec=output.audio.codec or Codec.AAC), SOUND_RATE_HZ, SOUND_CHANNELS)
        for output in _asked_of(rules, microphone, (PartKind.MICROPHONE, *system))
    ]
    return SoundShape(max(sound.sample_rate_hz for sound in sounds), max(sound.channels for sound in sounds))


def _asked_of(rules: OutputRules, device: Camera | Microphone, kinds: Sequence[PartKind]) -> list[Output]:
    """All outputs that a device may be encoded for, in any application."""
    asked = []
    for outputs in rules.by_application:
        for output in outputs:
            if _may_be_for(output.pattern, device, kinds):
                asked.append(output)
            if output.pattern in _EVERYTHING:  # which hides those behind it
                break
        else:
            asked.append(ORIGINAL)
    return asked or [ORIGINAL]


def _may_be_for(pattern: str | None, device: Camera | Microphone, kinds: Sequence[PartKind]) -> bool:
    of_sound = PartKind.MICROPHONE in kinds
    if pattern is None or pattern in _EVERYTHING:
        return True
    if pattern in _KIND_NAMES:  # sound may be joined to any picture
        kind = PartKind(pattern)
        return kind in kinds or (of_sound and not kind.is_sound)
    parts = parse_capture(pattern) or ()
    alike = [part for part in parts if part.kind.is_sound == of_sound]
    if not alike:
        return bool(parts) and of_sound
    return any(part.kind in kinds and _means(part, device) for part in alike)


def _means(part: Part, device: Camera | Microphone) -> bool:
    if part.kind is PartKind.SYSTEM_SOUND:
        return True
    return part.index == device.index if part.name is None else part.name in (device.name, device.address)
