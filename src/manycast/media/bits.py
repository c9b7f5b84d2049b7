"""Reading a bitstream bit by bit."""

from __future__ import annotations

from manycast.errors import ProtocolError


class MalformedBitstream(ProtocolError):
    """Codec configuration that does not follow its standard."""


class BitReader:
    """Bits of a short buffer, most significant first. Running out of bits raises MalformedBitstream.

    The buffer becomes one integer, which makes each read a shift: right for headers of up to a few hundred
    bytes, wrong for payloads. Whoever takes bytes from a peer caps their number before.
    """

    __slots__ = ("_value", "bits_left")

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self.bits_left = 8 * len(data)

    def u(self, count: int) -> int:
        """`count` bits as an unsigned number."""
        left = self.bits_left - count
        if left < 0:
            raise MalformedBitstream(f"{count} bits wanted, {self.bits_left} left")
        self.bits_left = left
        return (self._value >> left) & ((1 << count) - 1)

    def flag(self) -> bool:
        return self.u(1) == 1

    def peek(self, count: int) -> int | None:
        """The next bits, left where they are; None when there are not so many."""
        left = self.bits_left - count
        return (self._value >> left) & ((1 << count) - 1) if left >= 0 else None

    def since(self, bits_left: int) -> bytes:
        """The bits read since `bits_left` was this, filled up with zeros to whole bytes."""
        count = bits_left - self.bits_left
        value = (self._value >> self.bits_left) & ((1 << count) - 1)
        return (value << (-count % 8)).to_bytes((count + 7) // 8, "big")

    def ue(self, maximum: int = 0xFFFFFFFE) -> int:
        """An unsigned Exp-Golomb code (ITU-T H.264 section 9.1), refused above `maximum`."""
        rest = self._value & ((1 << self.bits_left) - 1)
        zeros = self.bits_left - rest.bit_length()
        if zeros > 31:
            raise MalformedBitstream(f"Exp-Golomb code with {zeros} leading zeros")
        value = self.u(2 * zeros + 1) - 1
        if value > maximum:
            raise MalformedBitstream(f"Exp-Golomb value {value}, at most {maximum} allowed")
        return value

    def se(self) -> int:
        """A signed Exp-Golomb code (ITU-T H.264 section 9.1.1)."""
        code = self.ue()
        return (code + 1) // 2 if code & 1 else -(code // 2)
