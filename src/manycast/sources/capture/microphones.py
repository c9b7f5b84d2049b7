"""Microphones and other sound that can be recorded, by ALSA."""

from __future__ import annotations

import ctypes
import os
import time
from itertools import count, takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from manycast.alsa import find_alsa_files, library_path, silence_alsa
from manycast.hub.source import SourceError
from manycast.sources.capture.arrival_clock import SoundClock
from manycast.sources.capture.devices import SYSTEM_SOUND_NAME, Microphone
from manycast.sources.capture.inbox import Sound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.audio.stream import AudioStream
    from av.packet import Packet

BLOCK_S = 0.02  # what is handed on at once
AHEAD_S = 0.1  # further than this a device that keeps no time, such as a file, is not read ahead
SYSTEM_SOUND_PCM = "systemsound"  # a device of this name in an asoundrc is taken for it
# What the default output plays; PulseAudio and PipeWire both know the name.
_PULSE_MONITOR = 'plug:{SLAVE={type pulse device "@DEFAULT_MONITOR@"}}'

_CAPTURE, _NONBLOCK = 1, 1  # SND_PCM_STREAM_CAPTURE, SND_PCM_NONBLOCK

# The same card by ways that nobody asks for.
# fmt: off
_LEFT_OUT = frozenset((
    "null", "hw", "sysdefault", "front", "rear", "center_lfe", "side", "surround21", "surround40", "surround41",
    "surround50", "surround51", "surround71", "iec958", "spdif", "hdmi", "dmix", "dsnoop", "modem", "phoneline",
    "usbstream", "samplerate", "speexrate", "speex", "lavrate", "jack", "oss", "upmix", "vdownmix",
))
# fmt: on


def list_microphones() -> list[Microphone]:
    """All that can be recorded, the system's own sound last. Loads PyAV."""
    found: list[tuple[str, str]] = []
    system = _system_sound()
    for pcm, description in _hints():
        if pcm.partition(":")[0] not in _LEFT_OUT and pcm != SYSTEM_SOUND_PCM:
            found.append((description or pcm, pcm))
    if system is not None:
        found.append((SYSTEM_SOUND_NAME, system))
    return [Microphone(index=index, name=name, address=pcm) for index, (name, pcm) in enumerate(found)]


class MicrophoneReader:
    """One opened device. Those that keep no time, such as files, are read in real time."""

    def __init__(self, pcm: str, rate_hz: int, channels: int) -> None:
        """Raises SourceError."""
        find_alsa_files()
        import av
        from av.container.input import InputContainer
        from av.error import FFmpegError

        silence_alsa()
        self._errors = (FFmpegError, OSError)
        options = {"sample_rate": str(rate_hz), "channels": str(channels)}
        try:
            container = av.open(pcm, format="alsa", options=options)
        except self._errors as error:
            what = "the system's own sound" if pcm == _PULSE_MONITOR else f"the audio device {pcm}"
            raise SourceError(f"{what} cannot be opened: {error.strerror or error}") from error
        assert isinstance(container, InputContainer)
        self._container = container
        stream = container.streams.audio[0]
        self._rate_hz, self._channels = stream.sample_rate, stream.channels
        self._packets: Iterator[Packet[AudioStream]] = container.demux(stream)
        self._clock = SoundClock()
        self._began_s = time.monotonic()
        self._samples = 0

    def read(self) -> Sound | None:
        block_bytes = round(BLOCK_S * self._rate_hz) * 2 * self._channels
        block = bytearray()
        try:
            while len(block) < block_bytes:
                block += bytes(next(self._packets))
        except (*self._errors, StopIteration) as error:
            raise SourceError(f"the audio device has ended: {error}") from error
        samples = len(block) // (2 * self._channels)
        ahead_s = self._began_s + self._samples / self._rate_hz - time.monotonic()
        if ahead_s > AHEAD_S:
            time.sleep(ahead_s)
        elif ahead_s < -1:
            self._began_s -= ahead_s
        self._samples += samples
        duration_s = samples / self._rate_hz
        time_s = self._clock.time(time.monotonic() - duration_s, duration_s)
        return Sound(bytes(block), self._rate_hz, self._channels, time_s)

    def close(self) -> None:
        self._container.close()


def _hints() -> list[tuple[str, str]]:
    """Names and descriptions of what ALSA lists for recording."""
    find_alsa_files()
    import av  # noqa: F401  # brings the library with it

    path = library_path()
    if path is None:
        return []
    silence_alsa()
    library = ctypes.CDLL(path)
    library.snd_device_name_get_hint.restype = ctypes.c_void_p
    library.snd_device_name_get_hint.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    hints = ctypes.POINTER(ctypes.c_void_p)()
    if library.snd_device_name_hint(-1, b"pcm", ctypes.byref(hints)) != 0:
        return []
    found = []
    try:
        for hint in takewhile(bool, (hints[index] for index in count())):
            name, description, direction = (_text_of(library, hint, key) for key in (b"NAME", b"DESC", b"IOID"))
            if name and direction != "Output":  # without a direction it is for both
                found.append((name, (description or "").partition("\n")[0]))
    finally:
        library.snd_device_name_free_hint(hints)
    return found


def _text_of(library: ctypes.CDLL, hint: int, key: bytes) -> str | None:
    address = library.snd_device_name_get_hint(hint, key)
    if not address:
        return None
    text = ctypes.string_at(address).decode(errors="replace")
    ctypes.CDLL(None).free(ctypes.c_void_p(address))
    return text


def no_system_sound() -> str:
    """Why there is no sound of the system's own, and what to do. Loads PyAV."""
    find_alsa_files()
    if not _knows_pulse():
        missing = "ALSA's plug-in for PulseAudio is missing (Debian: libasound2-plugins)"
    else:
        missing = (
            "no sound server answers; start PulseAudio, or PipeWire with pipewire-pulse, as the user who runs this, "
            "or say with PULSE_SERVER where one is"
        )
    return (
        f"the system's own sound cannot be recorded: {missing}; nor is there an ALSA device {SYSTEM_SOUND_PCM}, which "
        "~/.asoundrc may define"
    )


def _system_sound() -> str | None:
    if any(pcm == SYSTEM_SOUND_PCM for pcm, _ in _hints()):
        return SYSTEM_SOUND_PCM
    return _PULSE_MONITOR if _knows_pulse() and _opens(_PULSE_MONITOR) else None


def _knows_pulse() -> bool:
    folder = os.environ.get("ALSA_PLUGIN_DIR")
    return folder is not None and (Path(folder) / "libasound_module_pcm_pulse.so").exists()


def _opens(pcm: str) -> bool:
    """Whether a device can be opened for recording now."""
    path = library_path()
    if path is None:
        return False
    library = ctypes.CDLL(path)
    handle = ctypes.c_void_p()
    if library.snd_pcm_open(ctypes.byref(handle), pcm.encode(), _CAPTURE, _NONBLOCK) < 0:
        return False
    library.snd_pcm_close(handle)
    return True
