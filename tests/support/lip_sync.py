"""A clip whose flashes and beeps coincide, and what became of it on its way through a player."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import av

from support.media import AAC, FRAME_RATE, H264, HEIGHT, TONE_HZ, WIDTH, WITH_B_FRAMES
from support.programs import make, run, tone_level

SECONDS = 6
FRAMES = SECONDS * FRAME_RATE
SOUND_HZ = 8000
PICTURE_BYTES = WIDTH * HEIGHT * 3 // 2
FIRST_FLASH, FLASH_FRAMES = 12, 3  # within each second
MAX_SHIFT_S = 0.06
MAX_STEP_S = 0.1
PRIMING_S = 0.05  # of AAC, at the start of each round of a clip
_TOP = WIDTH * HEIGHT // 4  # the luma bytes that a flash makes white, at the least
_WHITE = 200
_LOUD = 3000
_SILENCE_S = 0.3


def make_lip_sync_clip(path: Path) -> Path:
    """H.264 with B-frames and AAC; once a second the upper half is white and a tone is heard, from the same moment."""
    last = FIRST_FLASH + FLASH_FRAMES - 1
    box = f"drawbox=w=iw:h=ih/2:color=white:t=fill:enable='between(mod(n,{FRAME_RATE}),{FIRST_FLASH},{last})'"
    pictures = f"testsrc2=size={WIDTH}x{HEIGHT}:rate={FRAME_RATE}:duration={SECONDS},{box}"
    start, end = FIRST_FLASH / FRAME_RATE, (last + 1) / FRAME_RATE
    sound = f"aevalsrc='0.5*sin(2*PI*{TONE_HZ}*t)*between(mod(t,1),{start},{end})':s=48000:d={SECONDS}"
    return make(path, "-f", "lavfi", "-i", pictures, "-f", "lavfi", "-i", sound, *H264, *WITH_B_FRAMES, *AAC)


@dataclass(frozen=True, slots=True)
class Picture:
    time_s: float
    digest: str
    white: bool


@dataclass(slots=True)
class Received:
    """Decoded pictures and sound, each with its time on the clock they share."""

    pictures: list[Picture] = field(default_factory=list)
    sound: list[tuple[float, memoryview[int]]] = field(default_factory=list)  # 16-bit samples at SOUND_HZ

    @classmethod
    def read(cls, path: Path) -> Received:
        """From a file with I420 and mono samples as they are; what a player that was stopped left half is left out."""
        received = cls()
        with av.open(str(path)) as container:
            for packet in container.demux():
                if packet.pts is None or packet.time_base is None:
                    continue
                time_s, data = float(packet.pts * packet.time_base), bytes(packet)
                if packet.stream.type == "audio":
                    received.sound.append((time_s, memoryview(data[: len(data) // 2 * 2]).cast("h")))
                elif len(data) == PICTURE_BYTES:
                    white = sum(data[:_TOP]) > _WHITE * _TOP
                    received.pictures.append(
                        Picture(time_s, hashlib.md5(data, usedforsecurity=False).hexdigest(), white)
                    )
        return received

    @classmethod
    def decode(cls, path: Path) -> Received:
        """From a file with anything in it."""
        raw = path.with_suffix(".raw.nut")
        run("ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-i", str(path), *DECODED, str(raw))
        return cls.read(raw)

    @property
    def digests(self) -> list[str]:
        return [picture.digest for picture in self.pictures]

    def settled(self, seconds: float) -> Received:
        """Without what comes first, nor what comes before a player last adjusted its clock to a report."""
        times = [picture.time_s for picture in self.pictures]
        adjusted = [after for before, after in pairwise(times) if not 0 < after - before < MAX_STEP_S]
        start_s = max([times[0] + seconds, *adjusted[-1:]])
        return Received(
            [picture for picture in self.pictures if picture.time_s > start_s],
            [(time_s, samples) for time_s, samples in self.sound if time_s > start_s],
        )

    def check_times(self, *, live: bool) -> None:
        """They only grow, and a second of pictures takes one.

        Where a live clip is repeated its sound overlaps a little; GStreamer, adjusting to a report, may repeat a time.
        """
        times = [picture.time_s for picture in self.pictures]
        assert not (backward := [(a, b) for a, b in pairwise(times) if b < a or (b == a and not live)]), backward
        assert abs((times[-1] - times[0]) * FRAME_RATE - (len(times) - 1)) < 3, times
        starts = [time_s for time_s, _samples in self.sound]
        assert not (backward := [(a, b) for a, b in pairwise(starts) if b <= a - (PRIMING_S if live else 0)]), backward

    def check_lip_sync(self) -> None:
        """Every flash that has a beep near it has it at once, and so has at least two."""
        beeps = list(self._beeps())
        shifts = [min((beep - flash for beep in beeps), key=abs) for flash in self._flashes()]
        shifts = [shift for shift in shifts if abs(shift) < 0.5]  # at both ends, one may come without the other
        assert len(shifts) >= 2, (list(self._flashes()), beeps)
        assert all(abs(shift) < MAX_SHIFT_S for shift in shifts), shifts

    def check_tone(self) -> None:
        """What begins with a beep is the tone."""
        samples = [sample for _time_s, part in self.sound for sample in part]
        times = [time_s + index / SOUND_HZ for time_s, part in self.sound for index in range(len(part))]
        begin = bisect_left(times, next(iter(self._beeps()))) + 80
        assert tone_level(samples[begin : begin + 640], TONE_HZ, SOUND_HZ) > 0.8

    def _flashes(self) -> Iterable[float]:
        for before, picture in pairwise(self.pictures):
            if picture.white and not before.white:
                yield picture.time_s

    def _beeps(self) -> Iterable[float]:
        quiet_since_s: float | None = None
        for start_s, samples in self.sound:
            quiet_since_s = start_s if quiet_since_s is None else quiet_since_s
            for index, sample in enumerate(samples):
                if abs(sample) > _LOUD:
                    now_s = start_s + index / SOUND_HZ
                    if now_s - quiet_since_s > _SILENCE_S:
                        yield now_s
                    quiet_since_s = now_s


DECODED = ["-map", "0:v:0", "-map", "0:a:0", "-fps_mode", "passthrough", "-c:v", "rawvideo", "-pix_fmt", "yuv420p"]
DECODED += ["-c:a", "pcm_s16le", "-ac", "1", "-ar", str(SOUND_HZ)]
