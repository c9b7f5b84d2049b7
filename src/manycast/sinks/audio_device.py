"""Plays what is said on a sound card, by ALSA."""

from __future__ import annotations

import logging
import time
from fractions import Fraction
from typing import TYPE_CHECKING

from manycast.alsa import find_alsa_files, silence_alsa
from manycast.media.track import Track
from manycast.sinks.ear import DecodingEar, EarsAtWork, OutletFailed

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer

RATE_HZ = 48_000  # with 2 channels of 16 bits, what every card plays
CHANNELS = 2
CUSHION_S = 0.08  # of silence before somebody begins to speak: the network's jitter must not be heard

_TIME_BASE = Fraction(1, RATE_HZ)
_FRAME_BYTES = 2 * CHANNELS

log = logging.getLogger(__name__)


class AudioDevice:
    """Hears every talk. The device is open from a talk's first sound to its end; without it, talks are dropped."""

    def __init__(self, name: str) -> None:
        """`name` is ALSA's: `default`, `plughw:1,0`, or what an asoundrc defines."""
        self._name = name
        self._complained = False
        self._ears = EarsAtWork()

    def ear(self, path: str, talker: str) -> DecodingEar:
        return self._ears.add(DecodingEar(self._open, f"audio device {self._name}"))

    async def close(self) -> None:
        await self._ears.close()

    def _open(self, _track: Track) -> AlsaOutlet | None:
        try:
            outlet = AlsaOutlet(self._name)
        except OutletFailed as error:
            level = logging.DEBUG if self._complained else logging.WARNING
            self._complained = True
            log.log(level, "audio device %s cannot be opened: %s; what is said is not heard there", self._name, error)
            return None
        self._complained = False
        return outlet


class AlsaOutlet:
    """One opened device. Used by one thread."""

    rate_hz = RATE_HZ
    channels = CHANNELS

    def __init__(self, name: str) -> None:
        """Raises OutletFailed."""
        find_alsa_files()
        import av
        from av.error import FFmpegError

        if not log.isEnabledFor(logging.DEBUG):
            silence_alsa()
        self._errors = (FFmpegError, OSError, ValueError)
        self._packet = av.Packet
        self._container: OutputContainer | None = None
        try:
            container = av.open(name, "w", format="alsa")
            self._stream: AudioStream = container.add_stream("pcm_s16le", rate=RATE_HZ, layout="stereo")
            container.start_encoding()
        except self._errors as error:
            raise OutletFailed(str(error)) from error
        self._container = container
        self._position = 0  # in samples of one channel
        self._plays_until_s = 0.0

    def write(self, samples: bytes, heard_s: float) -> None:
        now_s = time.monotonic()
        if now_s > self._plays_until_s:
            self._plays_until_s = now_s
            self._put(bytes(round(CUSHION_S * RATE_HZ) * _FRAME_BYTES))
        self._put(samples)

    def close(self) -> None:
        """Play what is left, and let the device go."""
        container, self._container = self._container, None
        if container is not None:
            try:
                container.close()
            except self._errors as error:
                log.debug("audio device: %s", error)

    def _put(self, samples: bytes) -> None:
        assert self._container is not None
        packet = self._packet(samples)
        packet.stream = self._stream
        packet.time_base = _TIME_BASE
        packet.pts = packet.dts = self._position
        count = len(samples) // _FRAME_BYTES
        self._position += count
        self._plays_until_s += count / RATE_HZ
        try:
            self._container.mux(packet)
        except self._errors as error:
            raise OutletFailed(f"{error}; what is said is not heard there") from error
