"""A capture as a source: a picture, a sound or both, encoded as an output asks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from manycast.hub.output import AudioOutput, VideoOutput
from manycast.hub.source import FrameSink
from manycast.media.frame import Frame
from manycast.media.nal import split_annex_b
from manycast.media.normalise import normalise
from manycast.media.track import Codec, JpegParameters, Track
from manycast.sources.capture.inbox import Captured, Coded, Inbox, Picture, Sound
from manycast.sources.capture.pool import DevicePool, Reader
from manycast.sources.encoding.engines import SOFTWARE, Engines
from manycast.sources.encoding.sound_shape import settled, unlike_asked
from manycast.sources.encoding.video_form import CLOCK_HZ, video_track
from manycast.sources.outlet import Outlet

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from manycast.sources.encoding.audio import AudioEncoder
    from manycast.sources.encoding.video import VideoEncoder
    from manycast.sources.transcoding.decoding import VideoDecoder

TAKE_TIMEOUT_S = 0.2  # how soon a stop is noticed
TOLERATED_DROPS = 10  # while encoders open, and in a busy moment

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Something to be opened; those with the same key are one device."""

    key: Hashable
    make_reader: Callable[[], Reader]


class CaptureSource:
    """Encodes what one or two devices give, in a thread of its own. The devices are shared with other sources."""

    def __init__(
        self,
        name: str,
        pool: DevicePool,
        picture: Device | None,
        sound: Device | None,
        video: VideoOutput,
        audio: AudioOutput,
        *,
        frame_rate: float,
        sound_rate_hz: int = 0,
        engines: Engines = SOFTWARE,
    ) -> None:
        """`frame_rate` is that of the pictures that come; `sound_rate_hz` is for sound of which `audio` names no rate,
        0: as it comes. Without a codec asked for, it is H.264 and AAC."""
        self._name = name
        self._pool = pool
        self._picture = picture
        self._sound = sound
        self._video = video if video.codec is not None else replace(video, codec=Codec.H264)
        self._audio = audio if audio.codec is not None else replace(audio, codec=Codec.AAC)
        self._frame_rate = frame_rate
        self._sound_rate_hz = sound_rate_hz
        self._engines = engines
        self._station: _Station | None = None  # while it runs

    async def run(self, publish: Callable[[Sequence[Track]], FrameSink]) -> None:
        await Outlet(publish).run(self._work, self._name)

    @property
    def makes_keyframes(self) -> bool:
        """What a camera has encoded, and is passed on, has its keyframes where the camera puts them."""
        return self._station is not None and self._station.encodes_pictures

    def request_keyframe(self) -> None:
        if self._station is not None:
            self._station.force_keyframe()

    def _work(self, outlet: Outlet) -> None:
        # Now, for it takes longer than a picture.
        import manycast.sources.encoding.audio
        import manycast.sources.encoding.video  # noqa: F401

        inbox = Inbox()
        try:
            for device in (self._picture, self._sound):
                if device is not None:
                    self._pool.join(device.key, device.make_reader, inbox)
            self._encode(inbox, outlet)
        finally:
            self._pool.leave(inbox)
            if inbox.dropped:
                log.info("%s: %d pictures were left out, encoding could not keep up", self._name, inbox.dropped)

    def _encode(self, inbox: Inbox, outlet: Outlet) -> None:
        station = self._station = _Station(self)
        warned = False
        begun = False
        held: list[Frame] = []  # before the tracks are known
        while not outlet.stop.is_set():
            item = inbox.take(TAKE_TIMEOUT_S)
            if item is None:
                continue
            frames = station.encode(item)
            if begun:
                outlet.give(frames)
            else:
                held += frames
                if (tracks := station.tracks) is not None:
                    outlet.begin(tracks)
                    outlet.give(held)
                    begun, held = True, []
            if inbox.dropped > TOLERATED_DROPS and not warned:
                warned = True
                log.warning("%s: encoding cannot keep up, pictures are left out", self._name)

    @property
    def expected(self) -> tuple[bool, bool]:
        """Whether there is a picture, and whether there is sound."""
        return self._picture is not None, self._sound is not None

    def passes(self, coded: Coded, track: Track) -> bool:
        """Whether what a camera has coded, of a track that has seen it, is already what is asked for."""
        video = self._video
        if video.codec is not coded.codec or video.size_of(*coded.size) != coded.size:
            return False
        if video.frame_rate and abs(video.frame_rate - coded.rate) > 1:
            return False
        return not (isinstance(track.parameters, JpegParameters) and track.parameters.fault)

    def make_decoder(self, track: Track) -> VideoDecoder:
        from manycast.sources.transcoding.decoding import VideoDecoder

        return VideoDecoder(track, self._name, self._engines)

    def make_video(self) -> VideoEncoder:
        from manycast.sources.encoding.video import VideoEncoder

        # Asking for the rate that comes would only move pictures.
        video = replace(self._video, frame_rate=0) if self._video.frame_rate == self._frame_rate else self._video
        return VideoEncoder(
            video,
            0,
            source_rate=self._frame_rate,
            follow_size=False,
            shared_input=True,
            engines=self._engines,
            name=self._name,
        )

    def make_audio(self, first: Sound) -> AudioEncoder:
        from manycast.sources.encoding.audio import AudioEncoder

        shape = settled(self._audio, self._sound_rate_hz or first.sample_rate_hz, first.channels)
        if (said := unlike_asked(self._audio, shape)) is not None:
            log.info("%s: %s", self._name, said)
        return AudioEncoder(self._audio, shape, 1 if self._picture is not None else 0, follow_clock=True)


class _Station:
    """The encoders of one run."""

    def __init__(self, source: CaptureSource) -> None:
        self._source = source
        self._has_picture, self._has_sound = source.expected
        self._video: VideoEncoder | None = None
        self._decoder: VideoDecoder | None = None
        self._coded_track: Track | None = None  # of what the camera codes
        self._coded_ticks = -1  # when its last picture was
        self._audio: AudioEncoder | None = None
        self._video_track: Track | None = None
        self._zero_s: float | None = None

    @property
    def tracks(self) -> tuple[Track, ...] | None:
        """All tracks; None before each of them is known."""
        tracks: list[Track] = []
        if self._has_picture:
            if self._video_track is None or not self._video_track.parameters.complete:
                return None
            tracks.append(self._video_track)
        if self._has_sound:
            if self._audio is None:
                return None
            tracks.append(self._audio.track)
        return tuple(tracks)

    @property
    def encodes_pictures(self) -> bool:
        return self._video is not None

    def force_keyframe(self) -> None:
        """Make the next picture one, where they are encoded here. For any thread."""
        video = self._video
        if video is not None:
            video.force_keyframe()

    def encode(self, item: Captured) -> list[Frame]:
        if self._zero_s is None:
            self._zero_s = item.time_s
        time_s = max(0.0, item.time_s - self._zero_s)
        match item:
            case Picture():
                return self._encode_picture(item.image, int(time_s * CLOCK_HZ))
            case Coded():
                return self._take_coded(item, int(time_s * CLOCK_HZ))
            case Sound():
                return self._encode_sound(item, time_s)

    def _take_coded(self, coded: Coded, ticks: int) -> list[Frame]:
        """From the first keyframe on: as it is, or decoded and encoded anew."""
        if self._coded_track is None:
            if not coded.keyframe:
                return []
            track = video_track(coded.codec)
            self._coded_track = replace(track, parameters=JpegParameters()) if coded.codec is Codec.MJPEG else track
        ticks = self._coded_ticks = max(ticks, self._coded_ticks + 1)
        units = [coded.data] if coded.codec is Codec.MJPEG else split_annex_b(coded.data)
        frame = Frame(track_index=0, dts_ticks=ticks, pts_ticks=ticks, keyframe=coded.keyframe, units=units)
        self._coded_track = normalise(frame, self._coded_track)
        if self._source.passes(coded, self._coded_track):
            self._video_track = self._coded_track
            return [frame] if frame.units else []
        if self._decoder is None:
            self._decoder = self._source.make_decoder(self._coded_track)
        pictures = self._decoder.decode(frame)
        return [made for image, ticks in pictures for made in self._encode_picture(image, ticks)]

    def _encode_picture(self, image: VideoFrame, ticks: int) -> list[Frame]:
        if self._video is None:
            self._video = self._source.make_video()
            self._video_track = self._video.track
        frames = self._video.encode(image, ticks)
        if self._video_track is not None and not self._video_track.parameters.complete:
            for frame in frames:
                self._video_track = normalise(frame, self._video_track)
        return frames

    def _encode_sound(self, sound: Sound, time_s: float) -> list[Frame]:
        from av.audio.frame import AudioFrame

        if self._audio is None:
            self._audio = self._source.make_audio(sound)
        samples = len(sound.samples) // (2 * sound.channels)
        block = AudioFrame(format="s16", layout="mono" if sound.channels == 1 else "stereo", samples=samples, align=1)
        block.sample_rate = sound.sample_rate_hz
        block.planes[0].update(sound.samples)
        frames = self._audio.encode(block, round(time_s * sound.sample_rate_hz))
        return [frame for frame in frames if frame.pts_ticks >= 0]  # the encoder's priming comes before the zero
