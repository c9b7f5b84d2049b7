"""AAC in RTP as RFC 6416 has it, MP4A-LATM; received only."""

from __future__ import annotations

from dataclasses import dataclass, replace

from manycast.media.aac import (
    MAX_CONFIG_BYTES,
    SYNC_EXTENSION,
    AudioSpecificConfig,
    parameters_from_config,
    read_sync_extension,
)
from manycast.media.bits import BitReader, MalformedBitstream
from manycast.media.frame import Frame
from manycast.media.track import AacParameters, Codec, Track
from manycast.wire.rtp.aac_units import frames_of, unit_ticks
from manycast.wire.rtp.packet import RtpPacket
from manycast.wire.rtp.payload import (
    Depacketiser,
    MalformedPayload,
    Packetiser,
    PayloadFormat,
    RtpMap,
    UnsupportedFormat,
)

MAX_ELEMENT_BYTES = 65536
MAX_FRAGMENTS = 1024  # of one AudioMuxElement
MAX_UNITS_IN_PACKET = 256

_REST_BITS = 13  # of a StreamMuxConfig behind the AudioSpecificConfig, at least


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamMuxConfig:
    """What an AudioMuxElement holds (ISO/IEC 14496-3 section 1.7.3.1): one program of one layer."""

    config: bytes  # the AudioSpecificConfig's
    audio: AudioSpecificConfig
    sub_frames: int  # access units in an element
    frame_length_bytes: int | None  # None: each access unit has its length in front
    other_data_bits: int
    has_crc: bool

    @classmethod
    def parse(cls, data: bytes) -> StreamMuxConfig:
        """Read the config parameter's bytes. Bad bytes raise MalformedBitstream and nothing else."""
        return cls.read(BitReader(data[:MAX_CONFIG_BYTES]))

    @classmethod
    def read(cls, bits: BitReader) -> StreamMuxConfig:
        version = bits.u(1)
        if version and bits.flag():
            raise MalformedBitstream("audioMuxVersionA 1 is reserved")
        if version:
            _read_value(bits)  # taraBufferFullness
        same_time_framing = bits.flag()
        sub_frames = bits.u(6) + 1
        programs, layers = bits.u(4) + 1, bits.u(3) + 1
        if programs > 1 or layers > 1 or not same_time_framing:
            raise MalformedBitstream(f"{programs} programs of {layers} layers, 1 of 1 is supported")
        config, audio = _read_versioned_config(bits) if version else _read_config(bits)
        frame_length_bytes = None
        other_data_bits, has_crc = 0, False
        # GStreamer's rtpmp4apay ends the structure here (against ISO/IEC 14496-3 table 1.42); the rest is 0 then.
        if bits.bits_left >= _REST_BITS:
            frame_length_type = bits.u(3)
            if frame_length_type == 0:
                bits.u(8)  # latmBufferFullness
            elif frame_length_type == 1:
                frame_length_bytes = bits.u(9) + 20
            else:
                raise MalformedBitstream(f"frameLengthType {frame_length_type}, AAC has 0 or 1")
            if bits.flag():
                other_data_bits = _read_value(bits) if version else _read_escaped(bits)
            has_crc = bits.flag()
            if has_crc:
                bits.u(8)
        return cls(
            config=config,
            audio=audio,
            sub_frames=sub_frames,
            frame_length_bytes=frame_length_bytes,
            other_data_bits=other_data_bits,
            has_crc=has_crc,
        )


class LatmDepacketiser:
    """Rebuilds AudioMuxElements, each from the packets of one timestamp, and takes the access units out.

    Where the configuration comes in band (cpresent=1), access units before the first one are dropped.
    """

    __slots__ = (
        "_announced",
        "_config",
        "_discarding",
        "_fragments",
        "_in_band",
        "_size",
        "_timestamp",
        "_track_index",
        "_unit_ticks",
        "_unsure",
    )

    def __init__(self, track: Track, track_index: int, config: StreamMuxConfig | None, *, in_band: bool) -> None:
        assert isinstance(track.parameters, AacParameters)
        self._announced = AudioSpecificConfig.parse(track.parameters.config)
        self._unit_ticks = unit_ticks(track)
        self._track_index = track_index
        self._config = config
        self._in_band = in_band
        self._timestamp: int | None = None
        self._fragments: list[bytes] = []
        self._size = 0
        self._unsure = False  # packets were lost
        self._discarding = False

    def push(self, packet: RtpPacket) -> list[Frame]:
        frames: list[Frame] = []
        if packet.timestamp != self._timestamp:
            # An element does not tell whether a packet is its first one, so after a loss the next one goes
            # too.
            self._discarding = self._unsure
            self._unsure = False
            if self._fragments:
                frames = self._finish()  # from a sender that sets no marker
            self._timestamp = packet.timestamp
        if self._discarding:
            return frames
        self._fragments.append(packet.payload)
        self._size += len(packet.payload)
        if self._size > MAX_ELEMENT_BYTES or len(self._fragments) > MAX_FRAGMENTS:
            fault = f"AudioMuxElement of {self._size} bytes in {len(self._fragments)} fragments"
            self._drop()
            self._discarding = True
            if frames:
                return frames
            raise MalformedPayload(fault)
        return frames + self._finish() if packet.marker else frames

    def reset(self) -> None:
        self._drop()
        self._discarding = True
        self._unsure = True

    def _finish(self) -> list[Frame]:
        element = b"".join(self._fragments)
        self._drop()
        timestamp = self._timestamp
        assert timestamp is not None
        try:
            units = self._read_in_band(element) if self._in_band else self._split(element)
        except MalformedBitstream as error:
            raise MalformedPayload(str(error)) from error
        return frames_of(units, track_index=self._track_index, timestamp=timestamp, ticks=self._unit_ticks)

    def _drop(self) -> None:
        self._fragments = []
        self._size = 0

    def _split(self, element: bytes) -> list[bytes]:
        """The access units of an element whose configuration is known and whose fields are whole bytes."""
        config = self._config
        assert config is not None
        # Where nothing follows an element, some senders put several in a packet, as RFC 3016 let them.
        bare = config.other_data_bits == 0 and not config.has_crc
        most = MAX_UNITS_IN_PACKET if bare else config.sub_frames
        units: list[bytes] = []
        position, end = 0, len(element)
        while position < end and len(units) < most:
            size = config.frame_length_bytes
            if size is None:
                size = 0
                while position < end and element[position] == 255:
                    size += 255
                    position += 1
                if position == end:
                    raise MalformedBitstream(f"AudioMuxElement ends at byte {end}, within a length")
                size += element[position]
                position += 1
            if position + size > end:
                raise MalformedBitstream(f"access unit from byte {position} to {position + size} of {end}")
            units.append(element[position : position + size])
            position += size
        return units

    def _read_in_band(self, element: bytes) -> list[bytes]:
        """The access units of an element that begins with useSameStreamMux; nothing in it is aligned."""
        bits = BitReader(element)
        if not bits.flag():
            config = StreamMuxConfig.read(bits)
            if _shape(config.audio) != _shape(self._announced):
                raise MalformedBitstream(f"configuration {config.audio} in band, announced {self._announced}")
            self._config = config
        if self._config is None:
            return []
        units = []
        for _ in range(self._config.sub_frames):
            size = self._config.frame_length_bytes
            if size is None:
                size = 0
                while (byte := bits.u(8)) == 255:
                    size += 255
                size += byte
            units.append(bits.u(8 * size).to_bytes(size, "big"))
        return units


def describe(_track: Track, _payload_type: int) -> RtpMap:
    raise UnsupportedFormat("MP4A-LATM is received only; AAC is sent as MPEG4-GENERIC")


def track(rtpmap: RtpMap) -> Track:
    config = _announced_config(rtpmap)
    if rtpmap.clock_rate_hz <= 0:
        raise UnsupportedFormat(f"MP4A-LATM with a clock of {rtpmap.clock_rate_hz} Hz")
    try:
        if config is not None:
            parameters = parameters_from_config(config.config)
        else:  # it comes in band; what is announced has to do until then
            simple = AudioSpecificConfig.simple(rtpmap.clock_rate_hz, rtpmap.channels or 1)
            parameters = parameters_from_config(simple.serialize())
    except MalformedBitstream as error:
        raise UnsupportedFormat(f"MP4A-LATM: {error}") from error
    return Track(codec=Codec.AAC, clock_rate_hz=rtpmap.clock_rate_hz, parameters=parameters)


def bind(rtpmap: RtpMap) -> PayloadFormat:
    """The format with a depacketiser that knows a description's configuration. Raises UnsupportedFormat."""
    config = _announced_config(rtpmap)
    in_band = _configuration_is_in_band(rtpmap)

    def depacketiser(track: Track, track_index: int) -> Depacketiser:
        return LatmDepacketiser(track, track_index, config, in_band=in_band)

    return replace(LATM, depacketiser=depacketiser)


def _announced_config(rtpmap: RtpMap) -> StreamMuxConfig | None:
    text = rtpmap.fmtp.get("config", "").strip().strip('"')
    if not text:
        if _configuration_is_in_band(rtpmap):
            return None
        raise UnsupportedFormat("MP4A-LATM with cpresent=0 and without config")
    try:
        return StreamMuxConfig.parse(bytes.fromhex(text))
    except ValueError:
        raise UnsupportedFormat(f"MP4A-LATM with config={text!r}, wanted hexadecimal digits") from None
    except MalformedBitstream as error:
        raise UnsupportedFormat(f"MP4A-LATM with config={text!r}: {error}") from error


def _configuration_is_in_band(rtpmap: RtpMap) -> bool:
    return rtpmap.fmtp.get("cpresent", "1").strip() != "0"  # 1 is the default (RFC 6416 section 7.3)


def _shape(config: AudioSpecificConfig) -> tuple[int, int, int, int]:
    return config.object_type, config.core_rate_hz, config.core_channels, config.core_frame_samples


def _read_config(bits: BitReader) -> tuple[bytes, AudioSpecificConfig]:
    start = bits.bits_left
    audio = AudioSpecificConfig.read(bits, extensible=False)
    config = bits.since(start)
    if bits.peek(11) == SYNC_EXTENSION:
        # From GStreamer only, which copies the whole AudioSpecificConfig. To others it would be frameLengthType 2.
        read_sync_extension(bits)
        config = bits.since(start)
        audio = AudioSpecificConfig.parse(config)
    return config, audio


def _read_versioned_config(bits: BitReader) -> tuple[bytes, AudioSpecificConfig]:
    size = _read_value(bits)
    if size > 8 * MAX_CONFIG_BYTES:
        raise MalformedBitstream(f"AudioSpecificConfig of {size} bits")
    start = bits.bits_left
    bits.u(size)
    config = bits.since(start)
    return config, AudioSpecificConfig.parse(config)


def _read_value(bits: BitReader) -> int:
    """LatmGetValue (section 1.7.3.1)."""
    return bits.u(8 * (bits.u(2) + 1))


def _read_escaped(bits: BitReader) -> int:
    value = 0
    for _ in range(4):
        escaped = bits.flag()
        value = value << 8 | bits.u(8)
        if not escaped:
            return value
    raise MalformedBitstream("otherDataLenBits of over 32 bits")


def _packetiser(_track: Track, _limit: int) -> Packetiser:
    raise UnsupportedFormat("MP4A-LATM is received only; AAC is sent as MPEG4-GENERIC")


def _depacketiser(track: Track, track_index: int) -> Depacketiser:
    """For a configuration that comes in band."""
    return LatmDepacketiser(track, track_index, None, in_band=True)


LATM = PayloadFormat(
    codec=Codec.AAC,
    encoding_names=("mp4a-latm",),
    describe=describe,
    track=track,
    packetiser=_packetiser,
    depacketiser=_depacketiser,
)
