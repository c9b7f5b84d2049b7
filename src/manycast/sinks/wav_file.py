"""Records what is said: a WAV file for each talk."""

from __future__ import annotations

import logging
import re
import struct
import time
from io import SEEK_END
from pathlib import Path
from typing import BinaryIO

from manycast.media.track import Track
from manycast.sinks.ear import DecodingEar, EarsAtWork, OutletFailed

HEADER_BYTES = 44
SAMPLE_BYTES = 2
MAX_DATA_BYTES = 2**31 - 4096  # then another file begins: some players read the sizes as signed
MIN_PAUSE_S = 0.5  # shorter ones are the network's; longer ones are recorded as silence
MAX_NAME_CHARS = 100
HEADER_INTERVAL_S = 1.0

_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")  # Multimedia Programming Interface 1.0 (1991), "RIFF" to "data"

log = logging.getLogger(__name__)


class WavRecorder:
    """Hears every talk, and writes each into a new file of its folder from its first sound on."""

    def __init__(self, folder: Path) -> None:
        """The folder is made when it is needed."""
        self._folder = folder
        self._ears = EarsAtWork()

    def ear(self, path: str, talker: str) -> DecodingEar:
        return self._ears.add(DecodingEar(lambda track: self._open(path, track), f"recording of {path}"))

    async def close(self) -> None:
        await self._ears.close()

    def _open(self, path: str, track: Track) -> WavOutlet:
        from manycast.sinks.decoder import shape_of  # brings PyAV with it

        rate_hz, channels = shape_of(track)
        return WavOutlet(self._folder, path, rate_hz=rate_hz, channels=channels)


class WavOutlet:
    """One talk as 16-bit PCM, with the talker's pauses as silence. Its header is right, within a second, at any time:
    a file that the end of the process cuts off can be played."""

    def __init__(self, folder: Path, path: str, *, rate_hz: int, channels: int) -> None:
        """Raises OutletFailed."""
        self.rate_hz = rate_hz
        self.channels = channels
        self._folder = folder
        self._path = path
        self._frame_bytes = SAMPLE_BYTES * channels
        self._bytes_per_s = self._frame_bytes * rate_hz
        self._started_s: float | None = None
        self._written_s = 0.0  # in all files of the talk
        self._file = self._next_file()

    def write(self, samples: bytes, heard_s: float) -> None:
        if self._started_s is None:
            self._started_s = heard_s
        pause_s = heard_s - self._started_s - self._written_s
        if pause_s > MIN_PAUSE_S:
            self._put_silence(pause_s)
        self._put(samples)

    def close(self) -> None:
        try:
            self._file.close()
        except OSError as error:
            log.warning("%s: %s", self._file.place, error.strerror or error)
        log.info("%s recorded, %.1f s", self._file.place, self._file.data_bytes / self._bytes_per_s)

    def _put_silence(self, pause_s: float) -> None:
        left = round(pause_s * self.rate_hz) * self._frame_bytes
        while left > 0:
            part = min(left, self._bytes_per_s)
            self._put(bytes(part))
            left -= part

    def _put(self, data: bytes) -> None:
        try:
            if self._file.data_bytes + len(data) > MAX_DATA_BYTES:
                self._file.close()
                self._file = self._next_file()
            self._file.write(data)
        except OSError as error:
            raise OutletFailed(f"{self._file.place}: {error.strerror or error}; nothing more is recorded") from error
        self._written_s += len(data) / self._bytes_per_s

    def _next_file(self) -> _WavFile:
        place = self._folder
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            stem = f"{_file_name(self._path)}_{time.strftime('%Y%m%d-%H%M%S')}"
            number = 1
            while True:
                place = self._folder / (f"{stem}.wav" if number == 1 else f"{stem}-{number}.wav")
                try:
                    return _WavFile(place, self.rate_hz, self.channels)
                except FileExistsError:
                    number += 1
        except OSError as error:
            raise OutletFailed(f"{place}: {error.strerror or error}; what is said is not recorded") from error


class _WavFile:
    def __init__(self, place: Path, rate_hz: int, channels: int) -> None:
        self.place = place
        self.data_bytes = 0
        self._rate_hz = rate_hz
        self._channels = channels
        self._file: BinaryIO = place.open("xb", buffering=0)
        self._file.write(self._header())
        self._header_s = time.monotonic()

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self.data_bytes += len(data)
        now_s = time.monotonic()
        if now_s - self._header_s >= HEADER_INTERVAL_S:
            self._header_s = now_s
            self._write_header()

    def close(self) -> None:
        if self._file.closed:
            return
        try:
            self._write_header()
        finally:
            self._file.close()

    def _write_header(self) -> None:
        self._file.seek(0)
        self._file.write(self._header())
        self._file.seek(0, SEEK_END)

    def _header(self) -> bytes:
        frame_bytes = SAMPLE_BYTES * self._channels
        return _HEADER.pack(
            b"RIFF",
            HEADER_BYTES - 8 + self.data_bytes,
            b"WAVE",
            b"fmt ",
            16,
            1,  # PCM
            self._channels,
            self._rate_hz,
            self._rate_hz * frame_bytes,
            frame_bytes,
            8 * SAMPLE_BYTES,
            b"data",
            self.data_bytes,
        )


def _file_name(path: str) -> str:
    """A stream's path as one harmless file name."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", path).lstrip(".")[:MAX_NAME_CHARS] or "root"
