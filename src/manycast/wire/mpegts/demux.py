"""A transport stream to frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from manycast.errors import ProtocolError
from manycast.media.aac import AdtsHeader, parameters_from_config, split_adts
from manycast.media.ac3 import FRAME_SAMPLES as AC3_FRAME_SAMPLES
from manycast.media.ac3 import Ac3Header
from manycast.media.bits import MalformedBitstream
from manycast.media.clock import Unwrapper, rescale
from manycast.media.frame import Frame
from manycast.media.h264 import is_keyframe as is_h264_keyframe
from manycast.media.h265 import is_keyframe as is_h265_keyframe
from manycast.media.mpeg_audio import MpegAudioHeader
from manycast.media.nal import split_annex_b
from manycast.media.opus import packet_samples
from manycast.media.sample_clock import SampleClock
from manycast.media.track import AudioParameters, Codec, H264Parameters, H265Parameters, Track
from manycast.wire.mpegts.packet import CLOCK_HZ, PAT_PID, MalformedTs, TsPacket
from manycast.wire.mpegts.pes import PesPacket, parse_pes, pes_length
from manycast.wire.mpegts.sync import PacketReader
from manycast.wire.mpegts.tables import (
    DescriptorTag,
    ElementaryStream,
    ProgramAssociation,
    ProgramMap,
    StreamType,
    TableId,
    is_current,
)

MAX_UNIT_BYTES = 8 * 1024 * 1024  # of a PES packet
MAX_SECTION_BYTES = 1024 + 3
MAX_FRAMES_IN_PES = 200  # of sound
STUFFING = 0xFF  # behind the last section of a packet

_AUDIO_TYPES = {
    StreamType.AAC_ADTS: Codec.AAC,
    StreamType.MPEG1_AUDIO: Codec.MP3,
    StreamType.MPEG2_AUDIO: Codec.MP3,
    StreamType.AC3: Codec.AC3,
}
_VIDEO_TYPES = {StreamType.H264: Codec.H264, StreamType.H265: Codec.H265}
_REGISTERED = {b"Opus": Codec.OPUS, b"AC-3": Codec.AC3, b"HEVC": Codec.H265}


def codec_of(stream: ElementaryStream) -> Codec | None:
    """The codec of an elementary stream; None for what is not carried."""
    codec = _VIDEO_TYPES.get(StreamType(stream.stream_type)) if stream.stream_type in _VIDEO_TYPES else None
    codec = codec or (_AUDIO_TYPES[StreamType(stream.stream_type)] if stream.stream_type in _AUDIO_TYPES else None)
    if codec is None and stream.stream_type == StreamType.PRIVATE:
        codec = _REGISTERED.get(stream.registration)
        if codec is None and any(tag == DescriptorTag.AC3 for tag, _ in stream.descriptors):
            codec = Codec.AC3
    return codec


@dataclass(slots=True)
class _Unit:
    """What is being put together from the packets of one PID."""

    data: bytearray = field(default_factory=bytearray)
    counter: int | None = None
    begun: bool = False
    wanted: int | None = None  # how long it will be, where its start tells


class _Lane:
    """One elementary stream."""

    def __init__(self, codec: Codec, index: int, clock: Unwrapper) -> None:
        self.codec = codec
        self.index = index
        self.unit = _Unit()
        self.track: Track | None = None
        self.waits_for_keyframe = codec in (Codec.H264, Codec.H265)
        self.samples: SampleClock | None = None
        self.unwrap = clock.unwrap


class TsDemuxer:
    """The first program of a transport stream: its first video and its first audio stream that can be carried.

    Frames have the index 0 for picture and 1 for sound. After lost packets nothing broken is passed on: pictures go on
    with the next keyframe.
    """

    def __init__(self) -> None:
        self._reader = PacketReader()
        self._tables: dict[int, _Unit] = {PAT_PID: _Unit()}
        self._program: tuple[int, int] | None = None  # its number, and the PID of its map
        self._map: ProgramMap | None = None
        self._lanes: dict[int, _Lane] = {}
        self._clock = Unwrapper(33)  # one for all: the first time of a track may be behind a wrap that another one saw
        self.left_out: list[str] = []  # what else is in the program
        self.lost_packets = 0
        self.broken = 0  # packets, sections and frames that could not be read
        self.last_fault = ""

    @property
    def mapped(self) -> bool:
        """The program's map has come: all its tracks are known by name."""
        return self._map is not None

    @property
    def skipped_bytes(self) -> int:
        """What was between the packets."""
        return self._reader.skipped_bytes

    @property
    def tracks(self) -> dict[int, Track | None]:
        """Those of the program, by index; None for one whose first frame has not come."""
        return {lane.index: lane.track for lane in self._lanes.values()}

    def receive(self, data: bytes) -> list[Frame]:
        """The frames these bytes complete. What is broken is counted and passed over."""
        frames: list[Frame] = []
        for packet in self._reader.receive(data):
            try:
                self._take(TsPacket.parse(packet), frames)
            except ProtocolError as error:
                self.broken += 1
                self.last_fault = str(error)
        return frames

    def flush(self) -> list[Frame]:
        """The frames that have come whole, but whose end only the next one would have told."""
        frames: list[Frame] = []
        for lane in self._lanes.values():
            try:
                self._finish(lane, frames)
            except ProtocolError as error:
                self.broken += 1
                self.last_fault = str(error)
        return frames

    def end_section(self) -> list[Frame]:
        """As `flush`; and what follows was packed by itself, with counters that go on or begin anew (HLS)."""
        frames = self.flush()
        for lane in self._lanes.values():
            lane.unit.counter = None
        return frames

    def interrupt(self) -> None:
        """Begin anew: packets are missing, perhaps so many that the continuity counters do not show it."""
        for lane in self._lanes.values():
            lane.unit.begun = False
            lane.unit.counter = None
            lane.waits_for_keyframe = lane.index == 0

    def _take(self, packet: TsPacket, frames: list[Frame]) -> None:
        lane = self._lanes.get(packet.pid)
        if lane is not None:
            self._take_media(lane, packet, frames)
        elif packet.pid in self._tables:
            self._take_section(self._tables[packet.pid], packet)

    # Tables

    def _take_section(self, unit: _Unit, packet: TsPacket) -> None:
        payload = packet.payload
        if packet.starts_unit:
            start = 1 + payload[0] if payload else 0
            if unit.begun:
                unit.data += payload[1:start]
                self._read_sections(packet.pid, unit)
            unit.data = bytearray(payload[start:])
            unit.begun = True
        elif unit.begun:
            unit.data += payload
        if unit.begun:
            self._read_sections(packet.pid, unit)

    def _read_sections(self, pid: int, unit: _Unit) -> None:
        """Take off the sections that are whole."""
        while len(unit.data) >= 3:
            size = 3 + (int.from_bytes(unit.data[1:3]) & 0x0FFF)
            if unit.data[0] == STUFFING:
                unit.begun = False
                return
            if size > MAX_SECTION_BYTES:
                unit.begun = False
                raise MalformedTs(f"section of {size} bytes, at most {MAX_SECTION_BYTES}")
            if len(unit.data) < size:
                return
            section = bytes(unit.data[:size])
            del unit.data[:size]
            self._read_section(pid, section)

    def _read_section(self, pid: int, section: bytes) -> None:
        if not is_current(section):
            return
        if pid == PAT_PID:
            programs = ProgramAssociation.parse(section).programs
            if programs and programs[0] != self._program:
                self._program = programs[0]
                self._tables = {PAT_PID: self._tables[PAT_PID]}
                self._tables.setdefault(programs[0][1], _Unit())
            return
        if section[0] != TableId.PROGRAM_MAP:
            return
        program = ProgramMap.parse(section)
        if program != self._map and self._program is not None and program.program == self._program[0]:
            self._map = program
            self._choose(program)

    def _choose(self, program: ProgramMap) -> None:
        """Take up the program's streams; those that stay as they were go on undisturbed."""
        before, self._lanes, self.left_out = self._lanes, {}, []
        taken: set[int] = set()
        for stream in program.streams:
            codec = codec_of(stream)
            index = 0 if codec in (Codec.H264, Codec.H265) else 1
            if codec is None or index in taken:
                name = codec.value if codec is not None else f"stream type {stream.stream_type:#04x}"
                self.left_out.append(f"{name} (PID {stream.pid})")
                continue
            taken.add(index)
            known = before.get(stream.pid)
            self._lanes[stream.pid] = (
                known if known is not None and known.codec is codec else _Lane(codec, index, self._clock)
            )

    # Media

    def _take_media(self, lane: _Lane, packet: TsPacket, frames: list[Frame]) -> None:
        unit = lane.unit
        if packet.counter is None:
            return
        if unit.counter is not None and not packet.discontinuity:
            expected = (unit.counter + 1) & 0x0F
            if packet.counter == unit.counter:
                return  # sent twice, as is allowed
            if packet.counter != expected:
                self.lost_packets += (packet.counter - expected) & 0x0F
                unit.begun = False
                if lane.index == 0:
                    lane.waits_for_keyframe = True
        unit.counter = packet.counter
        if packet.starts_unit:
            self._finish(lane, frames)
            unit.data = bytearray(packet.payload)
            unit.begun = True
            unit.wanted = pes_length(packet.payload)
        elif unit.begun:
            unit.data += packet.payload
            if len(unit.data) > MAX_UNIT_BYTES:
                unit.begun = False
                raise MalformedTs(f"PES packet of more than {MAX_UNIT_BYTES} bytes")
        if unit.begun and unit.wanted is not None and len(unit.data) >= unit.wanted:
            self._finish(lane, frames)

    def _finish(self, lane: _Lane, frames: list[Frame]) -> None:
        unit = lane.unit
        if not unit.begun:
            return
        unit.begun = False
        pes = parse_pes(bytes(unit.data[: unit.wanted] if unit.wanted is not None else unit.data))
        if pes.pts is None or not pes.data:
            return
        if lane.index == 0:
            self._picture(lane, pes, frames)
        else:
            self._sound(lane, pes, frames)

    def _picture(self, lane: _Lane, pes: PesPacket, frames: list[Frame]) -> None:
        assert pes.pts is not None
        units = split_annex_b(pes.data)
        keyframe = is_h264_keyframe(units) if lane.codec is Codec.H264 else is_h265_keyframe(units)
        if lane.waits_for_keyframe and not keyframe:
            return
        lane.waits_for_keyframe = False
        if lane.track is None:
            parameters = H264Parameters() if lane.codec is Codec.H264 else H265Parameters()
            lane.track = Track(codec=lane.codec, clock_rate_hz=CLOCK_HZ, parameters=parameters)
        dts = lane.unwrap(pes.pts if pes.dts is None else pes.dts)
        pts = dts + _difference(pes.pts, pes.pts if pes.dts is None else pes.dts)
        frames.append(Frame(track_index=0, dts_ticks=dts, pts_ticks=pts, keyframe=keyframe, units=units))

    def _sound(self, lane: _Lane, pes: PesPacket, frames: list[Frame]) -> None:
        """Cut a packet into frames; each begins where the one before has ended."""
        assert pes.pts is not None
        units, samples = _SPLITTERS[lane.codec](lane, pes.data)
        if lane.track is None or lane.samples is None:
            return
        if len(units) > MAX_FRAMES_IN_PES:
            raise MalformedTs(f"{len(units)} frames of sound in a PES packet, at most {MAX_FRAMES_IN_PES}")
        rate = lane.track.clock_rate_hz
        about = rescale(lane.unwrap(pes.pts), CLOCK_HZ, rate)
        for unit, count in zip(units, samples, strict=True):
            ticks = lane.samples.time(about, count)
            about = ticks + count * rate // _sample_rate(lane.track)
            frames.append(Frame(track_index=1, dts_ticks=ticks, pts_ticks=ticks, keyframe=True, units=[unit]))


_Split = tuple[list[bytes], list[int]]  # frames, and how many samples each has


def _split_aac(lane: _Lane, data: bytes) -> _Split:
    header = AdtsHeader.parse(data)
    units = split_adts(data)
    if lane.track is None:
        parameters = parameters_from_config(header.config(units[0] if units else b"").serialize())
        lane.track = Track(codec=Codec.AAC, clock_rate_hz=parameters.sample_rate_hz, parameters=parameters)
        lane.samples = SampleClock(parameters.sample_rate_hz, parameters.sample_rate_hz)
    return units, [1024] * len(units)


def _split_mp3(lane: _Lane, data: bytes) -> _Split:
    units, samples, position = [], [], 0
    while position < len(data):
        header = MpegAudioHeader.parse(data[position : position + 4])
        if position + header.frame_bytes > len(data):
            raise MalformedBitstream(f"MPEG audio frame of {header.frame_bytes} bytes, {len(data) - position} are left")
        units.append(data[position : position + header.frame_bytes])
        samples.append(header.frame_samples)
        position += header.frame_bytes
        _set_audio(lane, Codec.MP3, header.sample_rate_hz, header.channels, CLOCK_HZ)
    return units, samples


def _split_ac3(lane: _Lane, data: bytes) -> _Split:
    units, position = [], 0
    while position < len(data):
        header = Ac3Header.parse(data[position:])
        if position + header.frame_bytes > len(data):
            raise MalformedBitstream(f"AC-3 frame of {header.frame_bytes} bytes, {len(data) - position} are left")
        units.append(data[position : position + header.frame_bytes])
        position += header.frame_bytes
        _set_audio(lane, Codec.AC3, header.sample_rate_hz, header.channels, header.sample_rate_hz)
    return units, [AC3_FRAME_SAMPLES] * len(units)


def _split_opus(lane: _Lane, data: bytes) -> _Split:
    """Take the control headers off (see the muxer)."""
    units, position = [], 0
    while position < len(data):
        if len(data) - position < 3 or data[position] != 0x7F or data[position + 1] & 0xE0 != 0xE0:
            raise MalformedBitstream("Opus without its control header")
        flags = data[position + 1]
        position += 2
        size = 0
        while position < len(data) and data[position] == 255:
            size += 255
            position += 1
        size += data[position] if position < len(data) else 0
        position += 1
        position += 2 * bool(flags & 0x10) + 2 * bool(flags & 0x08)  # trimmed samples at start and end
        if flags & 0x04 and position < len(data):
            position += 1 + data[position]
        if position + size > len(data):
            raise MalformedBitstream(f"Opus packet of {size} bytes, {len(data) - position} are left")
        units.append(data[position : position + size])
        position += size
    _set_audio(lane, Codec.OPUS, 48_000, 2, 48_000)
    return units, [packet_samples(unit) for unit in units]


_SPLITTERS: dict[Codec, Callable[[_Lane, bytes], _Split]] = {
    Codec.AAC: _split_aac,
    Codec.MP3: _split_mp3,
    Codec.AC3: _split_ac3,
    Codec.OPUS: _split_opus,
}


def _set_audio(lane: _Lane, codec: Codec, sample_rate_hz: int, channels: int, clock_rate_hz: int) -> None:
    if lane.track is None:
        parameters = AudioParameters(sample_rate_hz=sample_rate_hz, channels=channels)
        lane.track = Track(codec=codec, clock_rate_hz=clock_rate_hz, parameters=parameters)
        lane.samples = SampleClock(sample_rate_hz, clock_rate_hz)


def _sample_rate(track: Track) -> int:
    parameters = track.parameters
    return parameters.sample_rate_hz if isinstance(parameters, AudioParameters) else track.clock_rate_hz


def _difference(pts: int, dts: int) -> int:
    """How much later a time of 33 bits is than another."""
    return (pts - dts + (1 << 32)) % (1 << 33) - (1 << 32)
