"""Pictures and sound of a device that FFmpeg opens. Imports PyAV: import it late."""

from __future__ import annotations

import time
from collections.abc import Mapping

import av
from av.audio.resampler import AudioResampler
from av.container.input import InputContainer
from av.error import FFmpegError, InvalidDataError
from av.video.frame import VideoFrame

from manycast.hub.source import SourceError
from manycast.media.track import Codec
from manycast.sources.capture.arrival_clock import ArrivalClock, SoundClock
from manycast.sources.capture.inbox import Coded, Picture, Sound

_AT_ONCE = {"fpsprobesize": "0"}  # devices say their rate: no pictures are to be read and kept to find it out


class PictureReader:
    """One opened camera or screen."""

    def __init__(
        self, what: str, address: str, input_format: str, rate: float, options: Mapping[str, str] | None = None
    ) -> None:
        """`options` are left out where the device refuses them. Raises SourceError."""
        self._what = what
        self._container = _open(what, address, input_format, options or {})
        stream = self._container.streams.video[0]
        stream.thread_type = "SLICE"
        self._rate = float(stream.average_rate or stream.base_rate or rate)
        self._packets = self._container.demux(stream)
        self._decoded: list[VideoFrame] = []
        self._clock = ArrivalClock()

    def read(self) -> Picture | None:
        try:
            while not self._decoded:
                self._decoded = next(self._packets).decode()
        except InvalidDataError:  # a picture that did not come over the cable whole
            return None
        except StopIteration as error:
            raise SourceError(f"{self._what} has ended") from error
        except (FFmpegError, OSError) as error:
            raise SourceError(f"{self._what} is gone: {error}") from error
        return Picture(self._decoded.pop(0), self._clock.time(time.monotonic(), 1 / self._rate))

    def close(self) -> None:
        self._container.close()


class CodedReader:
    """One opened camera that codes its pictures itself."""

    def __init__(self, what: str, address: str, input_format: str, codec: Codec, options: Mapping[str, str]) -> None:
        """The camera has to give `codec` with these options. Raises SourceError."""
        self._what = what
        self._codec = codec
        try:
            container = av.open(address, format=input_format, options={**_AT_ONCE, **options})
        except (FFmpegError, OSError) as error:
            raise SourceError(f"{what} cannot be opened: {error}") from error
        assert isinstance(container, InputContainer)
        self._container = container
        stream = container.streams.video[0]
        self._size = stream.codec_context.width, stream.codec_context.height
        self._rate = float(stream.average_rate or stream.base_rate or 25)
        self._packets = container.demux(stream)
        self._clock = ArrivalClock()

    def read(self) -> Coded | None:
        try:
            packet = next(self._packets)
        except StopIteration as error:
            raise SourceError(f"{self._what} has ended") from error
        except (FFmpegError, OSError) as error:
            raise SourceError(f"{self._what} is gone: {error}") from error
        if not packet.size:
            return None
        return Coded(
            codec=self._codec,
            data=bytes(packet),
            keyframe=packet.is_keyframe,
            size=self._size,
            rate=self._rate,
            time_s=self._clock.time(time.monotonic(), 1 / self._rate),
        )

    def close(self) -> None:
        self._container.close()


class SoundReader:
    """One opened microphone, of whatever samples it gives."""

    def __init__(self, what: str, address: str, input_format: str, options: Mapping[str, str] | None = None) -> None:
        """`options` are left out where the device refuses them. Raises SourceError."""
        self._what = what
        self._container = _open(what, address, input_format, options or {})
        stream = self._container.streams.audio[0]
        self._rate_hz, self._channels = stream.sample_rate, min(2, stream.channels)
        layout = "mono" if self._channels == 1 else "stereo"
        self._resampler = AudioResampler(format="s16", layout=layout, rate=self._rate_hz)
        self._packets = self._container.demux(stream)
        self._clock = SoundClock()

    def read(self) -> Sound | None:
        try:
            decoded = next(self._packets).decode()
            blocks = [block for frame in decoded for block in self._resampler.resample(frame)]
        except StopIteration as error:
            raise SourceError(f"{self._what} has ended") from error
        except (FFmpegError, OSError) as error:
            raise SourceError(f"{self._what} is gone: {error}") from error
        samples = b"".join(bytes(block.planes[0])[: block.samples * 2 * self._channels] for block in blocks)
        if not samples:
            return None
        duration_s = len(samples) / (2 * self._channels * self._rate_hz)
        return Sound(
            samples, self._rate_hz, self._channels, self._clock.time(time.monotonic() - duration_s, duration_s)
        )

    def close(self) -> None:
        self._container.close()


def _open(what: str, address: str, input_format: str, options: Mapping[str, str]) -> InputContainer:
    try:
        container = av.open(address, format=input_format, options={**_AT_ONCE, **options})
    except (FFmpegError, OSError):
        try:
            container = av.open(address, format=input_format, options=dict(_AT_ONCE))
        except (FFmpegError, OSError) as error:
            raise SourceError(f"{what} cannot be opened: {error}") from error
    assert isinstance(container, InputContainer)
    return container
