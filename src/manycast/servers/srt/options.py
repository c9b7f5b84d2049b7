"""What the SRT server is told by the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

AUTOMATIC = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SrtOptions:
    loops: int = 1  # how often a file is played to a viewer, -1 endless
    users: Mapping[str, str] | None = field(default=None, repr=False)  # name to password; None: nobody is asked
    latency_ms: int = 120
    passphrase: str | None = field(default=None, repr=False)
    passphrases: Mapping[str, str] = field(default_factory=dict, repr=False)  # by path, before the common one
    passphrase_required: bool = True
    key_bits: int = AUTOMATIC  # 128, 192 or 256; AUTOMATIC: as the caller likes
    max_bandwidth_bps: int = AUTOMATIC  # of one connection; AUTOMATIC: as much as there is, but for the beginning
    overhead_percent: int | None = None  # how much more than the stream's rate may be sent; None: any
    payload_packets: int = 7  # transport stream packets in a datagram
    beginning_s: float = 10.0  # for a publisher to send what a stream can begin with
    publisher_silence_s: float = 10.0  # a publisher from whom nothing comes for so long is gone

    def passphrase_for(self, path: str) -> str | None:
        return self.passphrases.get(path, self.passphrase)
