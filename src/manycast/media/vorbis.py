"""Vorbis (Vorbis I specification): rate, channels, and how long a packet plays."""

from __future__ import annotations

from manycast.media.bits import BitReader, MalformedBitstream

MAX_MODES = 64  # the field of their number has 6 bits

_MODE_BITS = 41  # blockflag 1, windowtype 16, transformtype 16, mapping 8 (section 4.2.4)
_TAIL_BYTES = (6 + MAX_MODES * _MODE_BITS) // 8 + 2  # of a setup header: all modes, and the framing bit


def rate_and_channels(identification: bytes) -> tuple[int, int]:
    """Sample rate in Hz and number of channels by the identification header. Raises MalformedBitstream."""
    channels, rate_hz = identification[11], int.from_bytes(identification[12:16], "little")
    if not channels or not rate_hz:
        raise MalformedBitstream(f"Vorbis of {channels} channels at {rate_hz} Hz")
    return rate_hz, channels


class PacketTimer:
    """Tells how many samples the packets of a stream give, one after another."""

    __slots__ = ("_blocks", "_last", "_mode_mask")

    def __init__(self, identification: bytes, setup: bytes) -> None:
        """By these headers. Raises MalformedBitstream."""
        sizes = identification[28] if len(identification) > 28 else 0
        short, long = 1 << (sizes & 15), 1 << (sizes >> 4)
        if not 64 <= short <= long <= 8192:
            raise MalformedBitstream(f"Vorbis blocks of {short} and {long} samples, allowed are 64 to 8192")
        self._blocks = tuple(long if flag else short for flag in _block_flags(setup))
        self._mode_mask = (1 << (len(self._blocks) - 1).bit_length()) - 1
        self._last = 0

    def samples(self, packet: bytes) -> int:
        """How many more can be played once this packet has come (section 4.3.8).

        The first one gives none yet, but counts as if one of its kind had come before it, so that no two packets begin
        at one time.
        """
        mode = packet[0] >> 1 & self._mode_mask if packet else 0
        block = self._blocks[min(mode, len(self._blocks) - 1)]
        last, self._last = self._last or block, block
        return (last + block) // 4


def _block_flags(setup: bytes) -> list[bool]:
    """Of each mode, whether it has long blocks.

    The modes are the setup header's last part, behind codebooks that would take long to read: they are read from its
    end. Vorbis packs the lowest bit first, so that bytes in reverse give all bits in reverse.
    """
    reader = BitReader(setup[: -_TAIL_BYTES - 1 : -1])
    while not reader.flag():  # the framing bit; zeros fill up the last byte
        pass
    flags: list[bool] = []
    found: list[bool] = []
    while reader.bits_left >= _MODE_BITS + 6 and len(flags) < MAX_MODES:
        if reader.u(8) >= MAX_MODES or reader.u(32):  # mapping, transform and window; Vorbis I has but 0 of the latter
            break
        flags.append(reader.flag())
        if reader.peek(6) == len(flags) - 1:
            found = flags[::-1]
    if not found:
        raise MalformedBitstream("a Vorbis setup header without modes")
    return found
