"""The stream that is sent: 720p30 H.264 at 4 Mbit/s and AAC, encoded once and kept in the cache directory."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.audio.frame import AudioFrame
from av.bitstream import BitStreamFilterContext
from av.codec.context import Flags
from av.filter import Graph
from av.video.frame import VideoFrame

from manycast.hub.rtp_packager import interleave
from manycast.media.aac import parameters_from_config
from manycast.media.frame import Frame
from manycast.media.nal import split_annex_b
from manycast.media.normalise import normalise
from manycast.media.track import Codec, H264Parameters, Track
from manycast.wire.rtp.formats import format_for_codec
from manycast.wire.rtp.sender import MAX_PAYLOAD_BYTES, RtpTrackSender

SECONDS = 20  # ten groups of pictures
WIDTH, HEIGHT, FRAME_RATE = 1280, 720, 30
GOP_S = 2
VIDEO_BPS, AUDIO_BPS = 4_000_000, 128_000
SAMPLE_RATE_HZ = 44_100
FIRST_PAYLOAD_TYPE = 96
REPORT_INTERVAL_S = 5.0
VIDEO, AUDIO = 0, 1


@dataclass(frozen=True, slots=True)
class Clip:
    file: Path
    tracks: tuple[Track, Track]
    frames: tuple[Frame, ...]  # in the order they are sent
    times_s: tuple[float, ...]  # when each is sent


@dataclass(frozen=True, slots=True)
class SentFrame:
    """One frame on its way: `time_s` from the start; reports come as frames too."""

    time_s: float
    track_index: int
    packets: tuple[bytes, ...]
    is_report: bool

    def interleaved(self) -> bytes:
        return interleave(2 * self.track_index + self.is_report, self.packets)


def load_clip() -> Clip:
    """Take the clip from the cache directory; encode it first where it is missing."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "manycast-bench"
    file = folder / f"clip-{HEIGHT}p{FRAME_RATE}-{VIDEO_BPS // 1000}k-{SECONDS}s-v1.mp4"
    if not file.exists():
        print(f"encoding {file} (once) ...", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(f".{os.getpid()}.mp4")
        _encode(unfinished)
        unfinished.rename(file)
    return _read(file)


def long_clip(clip: Clip, length_s: int) -> Path:
    """A file with the clip several times over; `length_s` is a multiple of SECONDS."""
    file = clip.file.with_name(f"{clip.file.stem}-{length_s}s.mp4")
    if file.exists():
        return file
    unfinished = file.with_suffix(f".{os.getpid()}.mp4")
    with av.open(str(unfinished), "w", format="mp4") as target:
        for shift_s in range(0, length_s, SECONDS):
            with av.open(str(clip.file)) as source:
                inputs = (source.streams.video[0], source.streams.audio[0])
                if not shift_s:
                    outputs = {stream.index: target.add_stream_from_template(stream) for stream in inputs}
                for packet in source.demux(*inputs):
                    if packet.dts is None or packet.pts is None or packet.time_base is None:
                        continue
                    ticks = round(shift_s / packet.time_base)
                    packet.dts, packet.pts = packet.dts + ticks, packet.pts + ticks
                    packet.stream = outputs[packet.stream_index]
                    target.mux(packet)
    unfinished.rename(file)
    return file


def sent_frames(clip: Clip, *, reports: bool = True) -> Iterator[SentFrame]:
    """The clip as a sender sends it, again and again, with sequence numbers and timestamps that go on."""
    senders = [_sender(index, track) for index, track in enumerate(clip.tracks)]
    unix_at_zero_s = time.time()
    next_report_s = 0.0
    loop = 0
    while True:
        shift_s = loop * SECONDS
        for frame, clip_s in zip(clip.frames, clip.times_s, strict=True):
            time_s = shift_s + clip_s
            index = frame.track_index
            shift_ticks = shift_s * clip.tracks[index].clock_rate_hz
            packets = senders[index].packets(frame, shift_ticks=shift_ticks)
            yield SentFrame(time_s, index, tuple(packets), False)
            if reports and time_s >= next_report_s:
                next_report_s = time_s + REPORT_INTERVAL_S
                for track_index, (sender, track) in enumerate(zip(senders, clip.tracks, strict=True)):
                    ticks = round(time_s * track.clock_rate_hz)
                    report = sender.sender_report(unix_s=unix_at_zero_s + time_s, ticks=ticks)
                    yield SentFrame(time_s, track_index, (report,), True)
        loop += 1


def describe(clip: Clip) -> bytes:
    """The SDP of an ANNOUNCE; the tracks' controls are track=0 and track=1."""
    lines = ["v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=bench", "c=IN IP4 127.0.0.1", "t=0 0"]
    for index, track in enumerate(clip.tracks):
        rtpmap = format_for_codec(track.codec).describe(track, FIRST_PAYLOAD_TYPE + index)
        channels = "" if rtpmap.channels is None else f"/{rtpmap.channels}"
        fmtp = ";".join(f"{name}={value}" for name, value in rtpmap.fmtp.items())
        lines += [
            f"m={track.kind.value} 0 RTP/AVP {rtpmap.payload_type}",
            f"a=rtpmap:{rtpmap.payload_type} {rtpmap.encoding_name}/{rtpmap.clock_rate_hz}{channels}",
            f"a=fmtp:{rtpmap.payload_type} {fmtp}",
            f"a=control:track={index}",
        ]
    return "\r\n".join([*lines, ""]).encode()


def _sender(index: int, track: Track) -> RtpTrackSender:
    return RtpTrackSender(
        format_for_codec(track.codec).packetiser(track, MAX_PAYLOAD_BYTES),
        clock_rate_hz=track.clock_rate_hz,
        payload_type=FIRST_PAYLOAD_TYPE + index,
        ssrc=0x62656E00 + index,
        first_sequence=1,
        timestamp_offset=0,
        cname="bench",
    )


def _encode(file: Path) -> None:
    with av.open(str(file), "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=FRAME_RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.bit_rate = VIDEO_BPS
        video.codec_context.gop_size = GOP_S * FRAME_RATE
        video.codec_context.flags |= Flags.global_header
        video.options = {
            "preset": "veryfast",
            "maxrate": str(VIDEO_BPS),
            "bufsize": str(VIDEO_BPS // 2),
            "x264-params": f"bframes=0:scenecut=0:keyint={GOP_S * FRAME_RATE}:min-keyint={GOP_S * FRAME_RATE}",
        }
        audio = container.add_stream("aac", rate=SAMPLE_RATE_HZ)
        audio.layout = "stereo"
        audio.bit_rate = AUDIO_BPS
        audio.codec_context.flags |= Flags.global_header
        # The noise makes the encoder spend the bit rate; without it the pattern needs a fraction.
        pictures = _graph(
            ("testsrc2", f"size={WIDTH}x{HEIGHT}:rate={FRAME_RATE}:duration={SECONDS}"),
            ("noise", "alls=12:allf=t"),
            ("format", "yuv420p"),
            ("buffersink", ""),
        )
        for number in range(SECONDS * FRAME_RATE):
            picture = pictures.pull()
            assert isinstance(picture, VideoFrame)
            picture.pts, picture.time_base, picture.pict_type = number, Fraction(1, FRAME_RATE), 0
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        sound = _graph(
            ("anoisesrc", f"color=pink:amplitude=0.3:sample_rate={SAMPLE_RATE_HZ}:nb_samples=1024:duration={SECONDS}"),
            ("aformat", "sample_fmts=fltp:channel_layouts=stereo"),
            ("abuffersink", ""),
        )
        for number in range(SECONDS * SAMPLE_RATE_HZ // 1024):
            block = sound.pull()
            assert isinstance(block, AudioFrame)
            block.pts, block.time_base = number * 1024, Fraction(1, SAMPLE_RATE_HZ)
            container.mux(audio.encode(block))
        container.mux(audio.encode(None))


def _graph(*filters: tuple[str, str]) -> Graph:
    graph = Graph()
    graph.link_nodes(*(graph.add(name, arguments) for name, arguments in filters)).configure()
    return graph


def _read(file: Path) -> Clip:
    found: list[tuple[float, Frame]] = []
    with av.open(str(file)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        to_annex_b = BitStreamFilterContext("h264_mp4toannexb", video)
        video_track = Track(codec=Codec.H264, clock_rate_hz=90_000, parameters=H264Parameters())
        audio_track = Track(
            codec=Codec.AAC,
            clock_rate_hz=SAMPLE_RATE_HZ,
            parameters=parameters_from_config(audio.codec_context.extradata or b""),
        )
        for packet in container.demux(video, audio):
            if packet.dts is None or packet.pts is None or packet.time_base is None:
                continue
            time_s = float(packet.dts * packet.time_base)
            if time_s < 0:
                continue  # the audio encoder's priming
            is_video = packet.stream is video
            rate_hz = 90_000 if is_video else SAMPLE_RATE_HZ
            frame = Frame(
                track_index=VIDEO if is_video else AUDIO,
                dts_ticks=round(packet.dts * packet.time_base * rate_hz),
                pts_ticks=round(packet.pts * packet.time_base * rate_hz),
                keyframe=not is_video,
                units=[bytes(packet)],
            )
            if is_video:
                frame.units = [unit for part in to_annex_b.filter(packet) for unit in split_annex_b(bytes(part))]
                video_track = normalise(frame, video_track)
            found.append((time_s, frame))
    found.sort(key=lambda item: item[0])
    return Clip(
        file, (video_track, audio_track), tuple(frame for _, frame in found), tuple(time_s for time_s, _ in found)
    )
