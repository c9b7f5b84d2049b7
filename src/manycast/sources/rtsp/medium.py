"""One medium of a session with an RTSP server: how it goes between us and the server."""

from __future__ import annotations

from manycast.hub.source import SourceError
from manycast.sources.path_log import AnyLog
from manycast.sources.rtsp.dialogue import Dialogue, OtherTransport
from manycast.sources.rtsp.keys import MediumKeys
from manycast.sources.rtsp.udp import MediaSockets
from manycast.wire.rtsp.headers import TransportSpec
from manycast.wire.rtsp.source_description import SourceMedia


class Medium:
    """From its description to what carries its packets."""

    def __init__(self, described: SourceMedia, dialogue: Dialogue) -> None:
        self.described = described
        self.sockets: MediaSockets | None = None
        self.keys: MediumKeys | None = None  # with SRTP
        self.agreed: TransportSpec | None = None
        self._dialogue = dialogue

    def ask_for(self, transfer: str, *, channel: int, ssrc: int, log: AnyLog) -> TransportSpec:
        """What to ask the server for. `transfer` is TCP, then on `channel` and the next one, UDP or MULTICAST.

        Raises SourceError.
        """
        profile = "RTP/AVP"
        if self.described.key is not None:
            self.keys = MediumKeys(self.described.key, ssrc, log)
            profile = "RTP/SAVP"
        if transfer == "MULTICAST":
            return TransportSpec(protocol=profile, multicast=True)
        if transfer == "UDP":
            self.sockets = MediaSockets.unicast(self._dialogue.local_address, self._dialogue.server_address)
            return TransportSpec(protocol=profile, client_port=self.sockets.ports)
        return TransportSpec(protocol=f"{profile}/TCP", interleaved=(channel, channel + 1))

    def agree(self, spec: TransportSpec) -> None:
        """Open the way that the server has named; where that cannot be, the dialogue ends with OtherTransport."""
        self.agreed = spec
        if spec.multicast and self.sockets is None:
            self._join(spec)
        elif self.sockets is not None and spec.server_port is not None:
            self.sockets.open_way(self._dialogue.server_address, spec.server_port)

    def send(self, packet: bytes) -> None:
        """Packets on the connection go with its next flush."""
        if self.keys is not None:
            packet = self.keys.protect(packet)
        if self.sockets is not None:
            self.sockets.send_packet(packet)
        elif self.agreed is not None and self.agreed.interleaved is not None:
            self._dialogue.client.send_interleaved(self.agreed.interleaved[0], packet)

    def send_report(self, report: bytes) -> None:
        """As `send`, RTCP."""
        if self.keys is not None:
            report = self.keys.protect_report(report)
        if self.sockets is not None:
            self.sockets.send_report(report)
        elif self.agreed is not None and self.agreed.interleaved is not None:
            self._dialogue.client.send_interleaved(self.agreed.interleaved[1], report)

    def close(self) -> None:
        if self.sockets is not None:
            self.sockets.close()

    def _join(self, spec: TransportSpec) -> None:
        group = spec.destination or self.described.group
        ports = spec.port or (self.described.group_port, self.described.group_port + 1)
        if group is None or not ports[0]:
            self._dialogue.end(OtherTransport("the server names no multicast group"))
            return
        try:
            source = spec.source or self._dialogue.server_address
            self.sockets = MediaSockets.multicast(group, ports, source, self._dialogue.local_address)
        except (SourceError, ValueError) as error:
            self._dialogue.end(OtherTransport(str(error)))
