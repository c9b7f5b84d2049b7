"""Makes media files for tests, with a moving picture and a tone, and reads them the plain way."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.filter import Graph
from support.programs import gst, make

from manycast.media.frame import Frame
from manycast.sources.files.paths import FileStamp

RATE = 25


def make_file(
    path: Path,
    *,
    muxer: str | None = None,
    video: str | None = "libx264",
    audio: str | None = "aac",
    seconds: float = 6,
    group: int = 25,
    b_frames: int = 2,
    sample_rate: int = 44100,
    layout: str = "stereo",
    size: str = "160x120",
    noise: bool = False,
    pixels: str = "yuv420p",
    video_options: dict[str, str] | None = None,
    muxer_options: dict[str, str] | None = None,
) -> Path:
    """Encode and mux; `group` is the number of pictures from keyframe to keyframe."""
    options = {"preset": "ultrafast", "g": str(group), "bf": str(b_frames)}
    if video == "libx265":
        options["x265-params"] = f"log-level=error:keyint={group}:bframes={b_frames}:open-gop=0"
    elif video == "mjpeg":
        options = {}
    elif video == "libx264":
        options |= {"x264-params": "b-adapt=0:scenecut=0"}
    options |= video_options or {}
    with av.open(str(path), "w", format=muxer, container_options=muxer_options or {}) as container:
        packets: list[tuple[Fraction, Any]] = []
        if video is not None:
            stream: Any = container.add_stream(video, rate=RATE, options=options)
            stream.width, stream.height = (int(number) for number in size.split("x"))
            stream.pix_fmt = pixels
            pattern = f"size={size}:rate={RATE}:duration={seconds}"
            change = ("noise", "alls=80:allf=t") if noise else ("format", pixels)
            packets += _encoded(stream, _frames("testsrc2", pattern, change, "buffersink"))
        if audio is not None:
            stream = container.add_stream(audio, rate=sample_rate)
            stream.layout = layout
            pack = stream.codec_context.frame_size or 1024
            source = f"f=440:b=4:r={sample_rate}:d={seconds}:samples_per_frame={pack}"
            format = f"sample_fmts={stream.format.name}:channel_layouts={layout}:sample_rates={sample_rate}"
            packets += _encoded(stream, _frames("sine", source, ("aformat", format), "abuffersink"))
        for _, packet in sorted(packets, key=lambda entry: entry[0]):
            container.mux(packet)
    return path


def make_file_with_program(path: Path, *codecs: str, seconds: float = 6) -> Path:
    """As `make_file`, for codecs that only the ffmpeg program encodes."""
    video = f"testsrc2=size=160x120:rate={RATE}:duration={seconds}"
    audio = f"sine=frequency=440:beep_factor=4:duration={seconds}"
    sources = [word for source in (video, audio) for word in ("-f", "lavfi", "-i", source)]
    return make(path, *sources, "-ac", "2", "-g", "25", *codecs)


def make_amr(path: Path, *, wide: bool, seconds: float = 6) -> Path:
    """A file of speech frames, which only GStreamer encodes."""
    rate_hz, encoder, magic = (16_000, "voamrwbenc", b"#!AMR-WB\n") if wide else (8000, "amrnbenc", b"#!AMR\n")
    frames = path.with_suffix(".frames")
    source = f"audiotestsrc num-buffers={round(50 * seconds)} samplesperbuffer={rate_hz // 50}"
    gst(f"{source} ! audio/x-raw,rate={rate_hz},channels=1 ! {encoder} ! filesink location={frames}")
    path.write_bytes(magic + frames.read_bytes())
    return path


def _frames(source: str, arguments: str, change: tuple[str, str], sink: str) -> Iterator[Any]:
    graph = Graph()
    graph.link_nodes(graph.add(source, arguments), graph.add(*change), graph.add(sink)).configure()
    while True:
        try:
            frame: Any = graph.pull()
        except (av.error.EOFError, av.error.BlockingIOError):
            return
        if sink == "buffersink":
            frame.pict_type = 0
        yield frame


def _encoded(stream: Any, frames: Iterator[Any]) -> list[tuple[Fraction, Any]]:
    packets = [packet for frame in frames for packet in stream.encode(frame)] + stream.encode(None)
    return [(packet.dts * packet.time_base, packet) for packet in packets]


def remux(source: Path, target: Path, muxer_options: dict[str, str] | None = None) -> Path:
    """The same packets in another container."""
    with av.open(str(source)) as reading, av.open(str(target), "w", container_options=muxer_options or {}) as writing:
        streams = {stream.index: writing.add_stream_from_template(stream) for stream in reading.streams}
        for packet in reading.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream_index]
                writing.mux(packet)
    return target


def plain_packets(path: Path, kind: str) -> list[bytes]:
    """The packets of the first stream of a kind, as FFmpeg gives them."""
    with av.open(str(path)) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        return [bytes(packet) for packet in container.demux(stream) if packet.size]


def stamp_of(path: Path) -> FileStamp:
    return FileStamp.of(path.stat())


def largest_units(frames: list[Frame]) -> list[bytes]:
    """What tells one frame from another, whatever was put in front of it."""
    return [max(frame.units, key=len) for frame in frames]


def combine(target: Path, parts: list[tuple[Path, str, float]]) -> Path:
    """One file of streams of others: where each comes from, its kind, and when it starts in seconds."""
    packets: list[tuple[Fraction, Any]] = []
    readings = [av.open(str(path)) for path, _, _ in parts]
    with av.open(str(target), "w") as writing:
        for reading, (_, kind, start_s) in zip(readings, parts, strict=True):
            source: Any = next(stream for stream in reading.streams if stream.type == kind)
            stream: Any = writing.add_stream_from_template(source)
            for packet in reading.demux(source):
                if packet.dts is not None and packet.pts is not None:
                    shift = round(Fraction(start_s) / packet.time_base)
                    packet.dts, packet.pts = packet.dts + shift, packet.pts + shift
                    packet.stream = stream
                    packets.append((packet.dts * packet.time_base, packet))
        for _, packet in sorted(packets, key=lambda entry: entry[0]):
            writing.mux(packet)
    for reading in readings:
        reading.close()
    return target
