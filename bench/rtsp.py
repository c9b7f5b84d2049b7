"""Just enough of an RTSP client: blocking requests on one connection, by those who know what comes back."""

from __future__ import annotations

from dataclasses import dataclass

from ways import open_way

CHANNELS = ((0, 1), (2, 3))  # of video and audio


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes


class RtspClient:
    def __init__(self, address: str, transport: str = "tcp") -> None:
        """`address` is the stream's, with host and port; `transport` one of those of `ways`."""
        self.address = address
        self.session = ""
        self.controls = ["/track=0", "/track=1"]
        self.rest = b""  # what came behind the last reply
        host, _, port = address.removeprefix("rtsp://").partition("/")[0].partition(":")
        self.sock = open_way(transport, host, int(port))
        self._cseq = 0

    def request(self, method: str, control: str = "", body: bytes = b"", **headers: str) -> Reply:
        """Send one request and take its reply; interleaved packets before it are thrown away."""
        self.sock.sendall(self.serialize(method, control, body, **headers))
        reply = self._take_reply()
        if reply.status != 200:
            raise SystemExit(f"{method} {self.address}{control}: status {reply.status}")
        self.session = reply.headers.get("session", self.session).partition(";")[0]
        return reply

    def serialize(self, method: str, control: str = "", body: bytes = b"", **headers: str) -> bytes:
        self._cseq += 1
        lines = [f"{method} {self.address}{control} RTSP/1.0", f"CSeq: {self._cseq}"]
        if self.session:
            lines.append(f"Session: {self.session}")
        if body:
            lines.append(f"Content-Length: {len(body)}")
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + body

    def describe(self) -> None:
        """Learn where the tracks are."""
        reply = self.request("DESCRIBE", Accept="application/sdp")
        sections = reply.body.decode().split("\nm=")[1:]
        self.controls = ["/" + section.partition("a=control:")[2].split()[0] for section in sections]

    def set_up_interleaved(self, *, record: bool = False) -> None:
        mode = ";mode=record" if record else ""
        for control, (rtp, rtcp) in zip(self.controls, CHANNELS, strict=True):
            self.request("SETUP", control, Transport=f"RTP/AVP/TCP;unicast;interleaved={rtp}-{rtcp}{mode}")

    def announce(self, sdp: bytes) -> None:
        """All that comes before a publisher's media."""
        self.request("ANNOUNCE", body=sdp, Content_Type="application/sdp")
        self.set_up_interleaved(record=True)
        self.request("RECORD", Range="npt=0.000-")

    def _take_reply(self) -> Reply:
        data = self.rest
        while True:
            while len(data) >= 4 and data[0] == 0x24 and len(data) >= (end := 4 + int.from_bytes(data[2:4])):
                data = data[end:]
            head, found, rest = data.partition(b"\r\n\r\n")
            if found and data[0] != 0x24:
                status_line, *lines = head.decode().split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                length = int(headers.get("content-length", "0"))
                if len(rest) >= length:
                    self.rest = rest[length:]
                    return Reply(int(status_line.split()[1]), headers, rest[:length])
            got = self.sock.recv(65536)
            if not got:
                raise SystemExit(f"the server hung up on {self.address}")
            data += got
