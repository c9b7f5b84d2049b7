"""The addresses at which the server is found, for people and for the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from manycast.app.listening import Listening
from manycast.app.plan import Plan
from manycast.servers.http.overview import Offer
from manycast.sources.files.library import CLIP_NAME

DEMO_NAME = "demo"
MAX_ROWS = 20  # of proxies and pushers: where there are more, nobody reads them at the start

Row = tuple[str, str, str]  # protocol, what for, and the address


@dataclass(frozen=True, slots=True)
class Addresses:
    """What a running server is to be called by."""

    plan: Plan
    opened: frozenset[str]  # the protocols whose ports are open
    onvif: tuple[str, ...]  # of device services

    def rows(self) -> Sequence[Row]:
        """Protocol, what for, and the address, for people to paste."""
        rows: list[Row] = []
        first = self.plan.applications[0]
        name, purpose = (DEMO_NAME, "test pattern") if self.plan.demo else (CLIP_NAME, "test clip")
        path = f"/{first}/{name}" if first else f"/{name}"
        for listening in (self.plan.rtsp, self.plan.rtsps, self.plan.rtmp, self.plan.rtmps):
            if listening is not None and listening.protocol in self.opened:
                rows.append((listening.protocol, purpose, listening.base + path))
                if len(rows) == 1:
                    rows += self._rtsp_rows(listening)
        if self.plan.srt is not None and "SRT" in self.opened:
            rows.append(("SRT", purpose, f"{self.plan.srt.base}?streamid={path[1:]}"))
        for listening, with_rtsp in (
            (self.plan.http, self.plan.rtsp_over_http),
            (self.plan.https, self.plan.rtsp_over_https),
        ):
            if listening is None or listening.protocol not in self.opened:
                continue
            if with_rtsp and (self.plan.rtsp or self.plan.rtsps):
                place = listening.base.partition("://")[2]
                websocket = "wss" if listening.scheme == "https" else "ws"
                rows.append((f"RTSP over {listening.protocol}", purpose, f"rtsp://{place}{path}"))
                rows.append(("RTSP over WebSocket", purpose, f"{websocket}://{place}/websocket"))
            if self.plan.stream_options.flv:
                rows.append((f"{listening.protocol}-FLV", purpose, f"{listening.base}{path}.flv"))
            if self.plan.hls_options is not None and self.plan.demo:
                rows.append(("HLS", purpose, f"{listening.base}{path}.m3u8"))
            rows.append((listening.protocol, "what there is", f"{listening.base}/"))
        rows += [("ONVIF", "for recorders", address) for address in self.onvif]
        return rows

    def offers(self) -> list[Offer]:
        """How the page makes addresses."""
        plan, opened, options = self.plan, self.opened, self.plan.stream_options
        offers = []
        for listening in (plan.rtsp, plan.rtsps, plan.rtmp, plan.rtmps):
            if listening is not None and listening.protocol in opened:
                offers.append(Offer(label=listening.protocol, scheme=listening.scheme, port=listening.port))
        if plan.srt is not None and "SRT" in opened:
            offers.append(Offer(label="SRT", scheme="srt", port=plan.srt.port, before="?streamid="))
        for listening, websocket in ((plan.http, "ws"), (plan.https, "wss")):
            if listening is None or listening.protocol not in opened:
                continue
            for label, suffix, wanted in (("FLV", ".flv", options.flv), ("MP4", ".mp4", options.mp4)):
                if wanted:
                    port, name = listening.port, f"{listening.protocol}-{label}"
                    offers.append(Offer(label=name, scheme=listening.scheme, port=port, suffix=suffix))
                    offers.append(Offer(label=f"WebSocket-{label}", scheme=websocket, port=port, suffix=suffix))
            if plan.hls_options is not None:
                port = listening.port
                offers.append(Offer(label="HLS", scheme=listening.scheme, port=port, suffix=".m3u8", files=False))
        return offers

    def _rtsp_rows(self, listening: Listening) -> list[Row]:
        rows = []
        for application in self.plan.applications:
            base = f"{listening.base}/{application}/" if application else f"{listening.base}/"
            rows.append((listening.protocol, "a file of the media folder", f"{base}FILENAME"))
            rows.append((listening.protocol, "publish and watch", f"{base}ANY-NAME"))
        fetched = [(plan.path, "a proxy") for plan in self.plan.proxies]
        fetched += [(plan.path, str(plan)) for plan in self.plan.pushers]
        if len(fetched) <= MAX_ROWS:
            rows += [(listening.protocol, what, f"{listening.base}/{quote(path)}") for path, what in fetched]
        return rows

    def how_to_play(self) -> str:
        rows = [(f"{protocol}:", purpose, address) for protocol, purpose, address in self.rows()]
        lines = [f"{protocol:22} {address:50} {purpose}" for protocol, purpose, address in rows]
        lines += ["", "Over HTTP: ffplay -rtsp_transport http ADDRESS, vlc --rtsp-http ADDRESS"]
        return "\n".join([*lines, "Over HTTPS: ffplay -rtsp_transport https ADDRESS", ""])
