"""Opening a file, and finding out how to read it. Imports PyAV: import it late."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from av.packet import Packet
from av.stream import Disposition, Stream

from manycast.hub.source import SourceError
from manycast.media.bits import MalformedBitstream
from manycast.media.track import Codec, MediaKind
from manycast.sources.files.demuxer import UNINDEXED_DEMUXERS, Demuxer
from manycast.sources.files.foreign import describe_foreign
from manycast.sources.files.paths import FileStamp
from manycast.sources.files.pcm import loses_bits
from manycast.sources.files.plan import FilePlan, Lane
from manycast.sources.files.probes import AudioProbe, ForeignProbe, Probe, VideoProbe, codec_name
from manycast.sources.files.tracks import codec_of, describe_video

log = logging.getLogger(__name__)

PROBE_BYTES = 16 << 20  # how far into a file its first keyframe and its parameter sets are looked for
PROBE_PACKETS = 5000

_NO_MEDIA = Disposition.attached_pic | Disposition.timed_thumbnails  # covers, previews


class NothingCarried(SourceError):
    """A media file whose streams can neither be carried nor decoded; `format_name` is FFmpeg's."""

    def __init__(self, name: str, found: str, format_name: str) -> None:
        super().__init__(f"{name}: nothing that can be played, only {found}")
        self.format_name = format_name


def open_file(path: Path, stamp: FileStamp) -> tuple[FilePlan, Demuxer]:
    """Open a file and find out how to read it. Raises SourceError; NothingCarried when nothing in it can be played.

    The demuxer stands at the file's start.
    """
    demuxer = Demuxer(path, stamp)
    try:
        plan = _probe(demuxer, path, stamp)
    except BaseException:
        demuxer.close()
        raise
    return plan, demuxer


def _probe(demuxer: Demuxer, path: Path, stamp: FileStamp) -> FilePlan:
    probes, left_out = _choose(demuxer, path, stamp)
    if probes:
        demuxer.select([probe.stream.index for probe in probes])
        _read_first_packets(demuxer, probes)
        probes = [probe if probe.fault is None else _decoding(probe, path, stamp) for probe in probes]
        _read_first_packets(demuxer, probes)
    good = [probe for probe in probes if probe.fault is None]
    left_out += [f"{_describe(probe.stream)} ({probe.fault})" for probe in probes if probe.fault is not None]
    found = ", ".join(left_out)
    if not good:
        raise NothingCarried(path.name, found or "neither picture nor sound", demuxer.format_name)
    if found:
        log.info("%s: left out: %s", path.name, found)
    foreign = ", ".join(_describe(probe.stream) for probe in good if isinstance(probe, ForeignProbe))
    if foreign:
        log.info("%s: no protocol carries %s: converted where `convert` is not off", path.name, foreign)
    for probe in good:
        if loses_bits(name := codec_name(probe.stream)):
            log.info("%s: %s is sent with 16 bits a sample", path.name, name)
    demuxer.select([probe.stream.index for probe in good])
    starts = [start for probe in good if (start := _start_s(probe.stream)) is not None]
    zero_s = min(starts, default=Fraction(0))
    lanes = tuple(probe.lane(zero_s) for probe in good)
    return FilePlan(
        path=path,
        stamp=stamp,
        lanes=lanes,
        zero_s=zero_s,
        indexed=_is_indexed(demuxer.format_name, lanes),
        made_up_times=demuxer.format_name == "ogg",  # up to the end of a page, where its time stands
        duration_us=demuxer.duration_us,
    )


def _is_indexed(format_name: str, lanes: Sequence[Lane]) -> bool:
    if format_name == "wav" and lanes[0].carried.track.codec is Codec.G722:
        return False  # FFmpeg looks for a time where twice that time is
    return format_name not in UNINDEXED_DEMUXERS


def _choose(demuxer: Demuxer, path: Path, stamp: FileStamp) -> tuple[list[Probe], list[str]]:
    """The first video and the first audio stream that may be carried, else the first that may be decoded; and the
    names of what can be neither."""
    chosen: dict[MediaKind, Probe] = {}
    foreign: dict[MediaKind, Probe] = {}
    left_out = []
    for stream in demuxer.streams:
        if stream.disposition & _NO_MEDIA or stream.type not in ("video", "audio"):
            continue
        kind = MediaKind.VIDEO if stream.type == "video" else MediaKind.AUDIO
        codec = codec_of(codec_name(stream))
        if kind in chosen:
            continue
        try:
            if codec is not None:
                chosen[kind] = _probe_for(stream, codec, demuxer.format_name)
                continue
        except MalformedBitstream as error:
            log.debug("%s: %s (%s)", path.name, _describe(stream), error)
        if (carried := describe_foreign(path, stamp, stream)) is None:
            left_out.append(_describe(stream))
        else:
            foreign.setdefault(kind, ForeignProbe(stream, carried))
    for kind, probe in foreign.items():
        if kind in chosen:
            left_out.append(_describe(probe.stream))
        else:
            chosen[kind] = probe
    return [chosen[kind] for kind in (MediaKind.VIDEO, MediaKind.AUDIO) if kind in chosen], left_out


def _decoding(probe: Probe, path: Path, stamp: FileStamp) -> Probe:
    """What is of another kind than goes out in its codec may still be decoded."""
    carried = None if isinstance(probe, ForeignProbe) else describe_foreign(path, stamp, probe.stream)
    return probe if carried is None else ForeignProbe(probe.stream, carried)


def _probe_for(stream: Stream, codec: Codec, format_name: str) -> VideoProbe | AudioProbe:
    """Raises MalformedBitstream."""
    if codec.kind is MediaKind.AUDIO:
        return AudioProbe(stream, codec, format_name)
    return VideoProbe(stream, describe_video(codec, stream.codec_context.extradata or b""), format_name)


def _read_first_packets(demuxer: Demuxer, probes: Sequence[Probe]) -> None:
    """Let the probes look at packets until they know enough; then it is as if none had been read."""
    packets: list[Packet[Stream]] = []
    size_bytes = 0
    by_index = {probe.stream.index: probe for probe in probes}
    while not all(probe.done for probe in probes):
        within_limits = size_bytes < PROBE_BYTES and len(packets) < PROBE_PACKETS
        packet = demuxer.read() if within_limits else None
        if packet is None:
            for probe in probes:
                probe.give_up()
            break
        packets.append(packet)
        size_bytes += packet.size
        by_index[packet.stream_index].look(packet)
    demuxer.unread(packets)


def _describe(stream: Stream) -> str:
    return f"{stream.type} {codec_name(stream)}"


def _start_s(stream: Stream) -> Fraction | None:
    """When a stream's first frame is shown, by the container's clock, if it has one."""
    if stream.start_time is None or stream.time_base is None:
        return None
    return stream.start_time * stream.time_base
