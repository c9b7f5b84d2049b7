"""Writes bitstreams for the tests."""

from __future__ import annotations


class BitWriter:
    def __init__(self) -> None:
        self.bits = ""

    def u(self, count: int, value: int) -> None:
        self.bits += f"{value:0{count}b}" if count else ""
        assert value < 1 << count or not count

    def ue(self, *values: int) -> None:
        for value in values:
            code = f"{value + 1:b}"
            self.bits += "0" * (len(code) - 1) + code

    def se(self, value: int) -> None:
        self.ue(2 * value - 1 if value > 0 else -2 * value)

    def stop(self) -> None:
        self.bits += "1"

    def done(self) -> bytes:
        bits = self.bits + "0" * (-len(self.bits) % 8)
        return int(bits or "0", 2).to_bytes(len(bits) // 8, "big")


def with_emulation_prevention(rbsp: bytes) -> bytes:
    """ITU-T H.264 section 7.4.1, byte by byte."""
    out = bytearray()
    zeros = 0
    for byte in rbsp:
        if zeros == 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)
