"""AAC bitstream facts (ISO/IEC 14496-3): AudioSpecificConfig and ADTS."""

from __future__ import annotations

from dataclasses import dataclass

from manycast.media.bits import BitReader, MalformedBitstream
from manycast.media.track import AacParameters

SAMPLE_RATES_HZ = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
MAX_CONFIG_BYTES = 512  # an AudioSpecificConfig; a program config element with a long comment has some 300
SYNC_EXTENSION = 0x2B7  # syncExtensionType, 11 bits
MAX_ADTS_FRAMES = 1024  # of one buffer; an MPEG-TS PES packet holds a handful

_LC, _SBR, _ER_LD, _PS, _ER_ELD = 2, 5, 23, 29, 39
_GENERAL_AUDIO = frozenset({1, 2, 3, 4, 6, 7, 17, 19, 20, 21, 22, 23})
_ERROR_RESILIENT = frozenset({17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 39})
_CHANNELS = {
    1: 1,
    2: 2,
    3: 3,
    4: 4,
    5: 5,
    6: 6,
    7: 8,
    11: 7,
    12: 8,
    14: 8,
}  # by channelConfiguration (table 1.19)
_CONFIGURATIONS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 11, 8: 7}
_EXPLICIT_RATE = 15
_MAX_RATE_HZ = 192_000
_ADTS_HEADER_BYTES = 7
_PROGRAM_CONFIG_ELEMENT = 5  # ID_PCE (table 4.85)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramConfig:
    """A program config element (section 4.4.1.1): the channels where no channelConfiguration names them."""

    bits: int  # all before its byte alignment, as one number
    bit_count: int
    channels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioSpecificConfig:
    """What AAC is made of (section 1.6.2.1)."""

    object_type: int = _LC  # of the core: 2 is AAC-LC
    core_rate_hz: int  # of the core; SBR doubles it
    channel_configuration: int  # 0: see program_config
    core_channels: int
    core_frame_samples: int = 1024  # in one access unit, at the core's rate
    sbr_rate_hz: int | None = None  # of the output, where SBR is signalled explicitly (HE-AAC)
    parametric_stereo: bool = False  # signalled explicitly (HE-AAC v2)
    program_config: ProgramConfig | None = None

    @property
    def sample_rate_hz(self) -> int:
        """What a decoder gives out, as far as it is signalled."""
        return self.sbr_rate_hz or self.core_rate_hz

    @property
    def channels(self) -> int:
        """What a decoder gives out, as far as it is signalled."""
        return 2 if self.parametric_stereo and self.core_channels == 1 else self.core_channels

    @classmethod
    def parse(cls, data: bytes) -> AudioSpecificConfig:
        """Read the structure's bytes; more may follow.

        Bad bytes raise MalformedBitstream and nothing else.
        """
        return cls.read(BitReader(data[:MAX_CONFIG_BYTES]))

    @classmethod
    def read(cls, bits: BitReader, *, extensible: bool = True) -> AudioSpecificConfig:
        """Read on in a bitstream.

        `extensible` says that what follows to the end can only be a sync extension.
        """
        total_bits = bits.bits_left
        object_type = _read_object_type(bits)
        core_rate_hz = _read_rate(bits)
        channel_configuration = bits.u(4)
        sbr_rate_hz, parametric_stereo = None, False
        if object_type in (_SBR, _PS):  # hierarchical signalling
            parametric_stereo = object_type == _PS
            sbr_rate_hz = _read_rate(bits)
            object_type = _read_object_type(bits)
            if object_type == 22:
                bits.u(4)
        frame_samples, program_config = 1024, None
        if object_type in _GENERAL_AUDIO:
            frame_samples, program_config = _read_general_audio(bits, object_type, channel_configuration, total_bits)
        elif object_type == _ER_ELD:
            if not extensible:  # its end is not to be found without reading all of it
                raise MalformedBitstream("AAC-ELD configuration of unknown length")
            frame_samples = 480 if bits.flag() else 512
        else:
            raise MalformedBitstream(f"audio object type {object_type} is no AAC")
        if object_type in _ERROR_RESILIENT and object_type != _ER_ELD:
            bits.u(2)  # epConfig
        if extensible and object_type != _ER_ELD and sbr_rate_hz is None:
            sbr_rate_hz, parametric_stereo = read_sync_extension(bits)
        if program_config is not None:
            channels = program_config.channels
        elif channel_configuration in _CHANNELS:
            channels = _CHANNELS[channel_configuration]
        elif channel_configuration == 0:
            channels = 2  # ELD, whose channels stand elsewhere
        else:
            raise MalformedBitstream(f"channel configuration {channel_configuration} is reserved")
        return cls(
            object_type=object_type,
            core_rate_hz=core_rate_hz,
            channel_configuration=channel_configuration,
            core_channels=channels,
            core_frame_samples=frame_samples,
            sbr_rate_hz=sbr_rate_hz,
            parametric_stereo=parametric_stereo,
            program_config=program_config,
        )

    @classmethod
    def simple(cls, sample_rate_hz: int, channels: int) -> AudioSpecificConfig:
        """AAC-LC of 1 to 8 channels. Raises MalformedBitstream for others."""
        if channels not in _CONFIGURATIONS or not 0 < sample_rate_hz <= _MAX_RATE_HZ:
            raise MalformedBitstream(f"AAC of {channels} channels at {sample_rate_hz} Hz")
        return cls(
            core_rate_hz=sample_rate_hz,
            channel_configuration=_CONFIGURATIONS[channels],
            core_channels=channels,
        )

    def serialize(self) -> bytes:
        """Write the structure; SBR and PS are signalled hierarchically."""
        if self.object_type == _ER_ELD:
            raise MalformedBitstream("AAC-ELD configuration can be kept, but not written anew")
        writer = _BitWriter()
        if self.sbr_rate_hz is None:
            writer.object_type(self.object_type)
            writer.rate(self.core_rate_hz)
            writer.u(4, self.channel_configuration)
        else:
            writer.object_type(_PS if self.parametric_stereo else _SBR)
            writer.rate(self.core_rate_hz)
            writer.u(4, self.channel_configuration)
            writer.rate(self.sbr_rate_hz)
            writer.object_type(self.object_type)
        writer.u(1, self.core_frame_samples in (960, 480))
        writer.u(1, 0)  # dependsOnCoreCoder
        writer.u(1, 0)  # extensionFlag
        if self.program_config is not None:
            writer.u(self.program_config.bit_count, self.program_config.bits)
            writer.align()
            writer.u(8, 0)  # comment_field_bytes
        if self.object_type in (6, 20):
            writer.u(3, 0)  # layerNr
        if self.object_type in _ERROR_RESILIENT:
            writer.u(2, 0)  # epConfig
        return writer.done()


def parameters_from_config(config: bytes) -> AacParameters:
    """The track parameters of an AudioSpecificConfig's bytes. Raises MalformedBitstream."""
    parsed = AudioSpecificConfig.parse(config)
    return AacParameters(config=config, sample_rate_hz=parsed.sample_rate_hz, channels=parsed.channels)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdtsHeader:
    """What precedes an AAC frame in ADTS (section 1.A.2.2), fixed and variable part.

    |      syncword 12      |id|lay|pa|pr|  rate  |p|chan |o|h|c|s|   frame_length 13    |  fullness 11
    |blocks 2|
    """

    object_type: int
    sample_rate_hz: int
    channel_configuration: int
    header_bytes: int  # 7, or 9 with a CRC
    frame_bytes: int  # header and AAC frame
    raw_data_blocks: int

    @classmethod
    def parse(cls, data: bytes, position: int = 0) -> AdtsHeader:
        """Read the header at a position; the frame's bytes need not be there. Raises MalformedBitstream."""
        head = data[position : position + _ADTS_HEADER_BYTES]
        if len(head) < _ADTS_HEADER_BYTES:
            raise MalformedBitstream(f"ADTS header of {len(head)} bytes, wanted {_ADTS_HEADER_BYTES}")
        if head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
            raise MalformedBitstream(f"no ADTS header: {head.hex()}")
        rate_index = head[2] >> 2 & 0x0F
        if rate_index >= len(SAMPLE_RATES_HZ):
            raise MalformedBitstream(f"sampling frequency index {rate_index} is reserved")
        header_bytes = 7 if head[1] & 1 else 9
        frame_bytes = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
        if frame_bytes < header_bytes:
            raise MalformedBitstream(f"ADTS frame of {frame_bytes} bytes, its header has {header_bytes}")
        return cls(
            object_type=(head[2] >> 6) + 1,
            sample_rate_hz=SAMPLE_RATES_HZ[rate_index],
            channel_configuration=(head[2] & 1) << 2 | head[3] >> 6,
            header_bytes=header_bytes,
            frame_bytes=frame_bytes,
            raw_data_blocks=(head[6] & 3) + 1,
        )

    def config(self, frame: bytes = b"") -> AudioSpecificConfig:
        """The AudioSpecificConfig; `frame` is an AAC frame, which has the channels where the header has not.

        Raises MalformedBitstream when the channels are found nowhere.
        """
        program_config = None
        if self.channel_configuration:
            channels = _CHANNELS[self.channel_configuration]
        else:
            bits = BitReader(frame[:MAX_CONFIG_BYTES])
            total_bits = bits.bits_left
            if bits.u(3) != _PROGRAM_CONFIG_ELEMENT:
                raise MalformedBitstream("channel configuration 0 without a program config element")
            program_config = _read_program_config(bits, total_bits)
            channels = program_config.channels
        return AudioSpecificConfig(
            object_type=self.object_type,
            core_rate_hz=self.sample_rate_hz,
            channel_configuration=self.channel_configuration,
            core_channels=channels,
            program_config=program_config,
        )


def adts_header(config: AudioSpecificConfig, access_unit_bytes: int) -> bytes:
    """The 7 bytes before an access unit in ADTS, without checksum.

    Raises MalformedBitstream for what ADTS cannot say: object types above 4, other frame lengths than 1024 samples,
    channels without a configuration, units over 8184 bytes.
    """
    size = _ADTS_HEADER_BYTES + access_unit_bytes
    if config.object_type > 4 or config.core_frame_samples != 1024 or not 1 <= config.channel_configuration <= 7:
        raise MalformedBitstream(
            f"AAC of object type {config.object_type}, {config.core_frame_samples} samples a frame and channel "
            f"configuration {config.channel_configuration} does not fit ADTS"
        )
    if config.core_rate_hz not in SAMPLE_RATES_HZ or size > 0x1FFF:
        raise MalformedBitstream(f"AAC at {config.core_rate_hz} Hz, {size} bytes a frame, does not fit ADTS")
    rate_index, channels = SAMPLE_RATES_HZ.index(config.core_rate_hz), config.channel_configuration
    return bytes(
        (
            0xFF,
            0xF1,
            (config.object_type - 1) << 6 | rate_index << 2 | channels >> 2,
            (channels & 3) << 6 | size >> 11,
            size >> 3 & 0xFF,
            (size & 7) << 5 | 0x1F,
            0xFC,
        )
    )


def split_adts(data: bytes) -> list[bytes]:
    """The AAC frames of a buffer of whole ADTS frames, without their headers. Raises MalformedBitstream."""
    frames = []
    position = 0
    while position < len(data):
        header = AdtsHeader.parse(data, position)
        if header.raw_data_blocks != 1:  # no encoder makes them; without a CRC they cannot be told apart
            raise MalformedBitstream(f"{header.raw_data_blocks} raw data blocks in an ADTS frame, 1 is supported")
        end = position + header.frame_bytes
        if end > len(data):
            raise MalformedBitstream(f"ADTS frame to byte {end} of {len(data)}")
        if header.frame_bytes > header.header_bytes:
            frames.append(data[position + header.header_bytes : end])
            if len(frames) > MAX_ADTS_FRAMES:
                raise MalformedBitstream(f"more than {MAX_ADTS_FRAMES} ADTS frames in a buffer")
        position = end
    return frames


class _BitWriter:
    __slots__ = ("_count", "_value")

    def __init__(self) -> None:
        self._value = 0
        self._count = 0

    def u(self, count: int, value: int) -> None:
        self._value = self._value << count | value
        self._count += count

    def object_type(self, object_type: int) -> None:
        if object_type > 31:
            self.u(11, 31 << 6 | object_type - 32)
        else:
            self.u(5, object_type)

    def rate(self, rate_hz: int) -> None:
        if rate_hz in SAMPLE_RATES_HZ:
            self.u(4, SAMPLE_RATES_HZ.index(rate_hz))
        else:
            self.u(28, _EXPLICIT_RATE << 24 | rate_hz)

    def align(self) -> None:
        self.u(-self._count % 8, 0)

    def done(self) -> bytes:
        self.align()
        return self._value.to_bytes(self._count // 8, "big")


def _read_object_type(bits: BitReader) -> int:
    object_type = bits.u(5)
    return 32 + bits.u(6) if object_type == 31 else object_type


def _read_rate(bits: BitReader) -> int:
    index = bits.u(4)
    if index == _EXPLICIT_RATE:
        rate_hz = bits.u(24)
        if not 0 < rate_hz <= _MAX_RATE_HZ:
            raise MalformedBitstream(f"sample rate of {rate_hz} Hz, at most {_MAX_RATE_HZ} taken")
        return rate_hz
    if index >= len(SAMPLE_RATES_HZ):
        raise MalformedBitstream(f"sampling frequency index {index} is reserved")
    return SAMPLE_RATES_HZ[index]


def _read_general_audio(
    bits: BitReader, object_type: int, channel_configuration: int, total_bits: int
) -> tuple[int, ProgramConfig | None]:
    """GASpecificConfig (section 4.4.1); the samples of a frame and the channels where they are listed."""
    short = bits.flag()
    frame_samples = (480 if short else 512) if object_type == _ER_LD else (960 if short else 1024)
    if bits.flag():
        bits.u(14)  # coreCoderDelay
    extension = bits.flag()
    program_config = None
    if channel_configuration == 0:
        program_config = _read_program_config(bits, total_bits)
    if object_type in (6, 20):
        bits.u(3)  # layerNr
    if extension:
        if object_type == 22:
            bits.u(16)
        if object_type in (17, 19, 20, 23):
            bits.u(3)
        bits.flag()  # extensionFlag3
    return frame_samples, program_config


def _read_program_config(bits: BitReader, total_bits: int) -> ProgramConfig:
    """A program_config_element; `total_bits` were left where its byte alignment counts from."""
    start = bits.bits_left
    bits.u(10)  # element_instance_tag, object_type, sampling_frequency_index
    front, side, back = bits.u(4), bits.u(4), bits.u(4)
    low_frequency, data, coupling = bits.u(2), bits.u(3), bits.u(4)
    for size in (4, 4, 3):  # mono, stereo and matrix mixdown
        if bits.flag():
            bits.u(size)
    channels = low_frequency
    for _ in range(front + side + back):
        channels += 2 if bits.flag() else 1
        bits.u(4)
    bits.u(4 * low_frequency + 4 * data + 5 * coupling)
    bit_count = start - bits.bits_left
    value = int.from_bytes(bits.since(start), "big") >> (-bit_count % 8)
    bits.u(-(total_bits - bits.bits_left) % 8)
    bits.u(8 * bits.u(8))  # comment_field_data
    if channels == 0:
        raise MalformedBitstream("program config element without a channel")
    return ProgramConfig(bits=value, bit_count=bit_count, channels=channels)


def read_sync_extension(bits: BitReader) -> tuple[int | None, bool]:
    """SBR and PS as an old decoder does not see them: behind the core's configuration (section 1.6.5).

    Returns: The output's rate, None without SBR, and whether there is parametric stereo.
    """
    if bits.bits_left < 16 or bits.peek(11) != SYNC_EXTENSION:
        return None, False
    bits.u(11)
    if _read_object_type(bits) != _SBR or not bits.flag():
        return None, False
    sbr_rate_hz = _read_rate(bits)
    parametric_stereo = bits.bits_left >= 12 and bits.u(11) == 0x548 and bits.flag()
    return sbr_rate_hz, parametric_stereo
