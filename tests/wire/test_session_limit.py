"""The limit of sessions, which all protocols have in common."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest
from support.publishing import publishing
from support.rtmp import RawRtmp
from support.rtsp import RawRtsp
from support.server import ServerFactory
from support.waiting import wait_until

CONFIG = "limits:\n  max_sessions: 3\nrtsp:\n  udp_base_port: UDP_BASE\n"


def test_sessions_of_all_protocols_count_together(start_server: ServerFactory) -> None:
    server = start_server(config=CONFIG, http=True, rtmp=True)
    page = f"http://{server.host}:{server.http_port}/"
    with publishing(server), urllib.request.urlopen(page + "live.flv", timeout=20) as first:
        assert first.read(3) == b"FLV"
        with RawRtmp.connect(server.host, server.rtmp_port) as second:
            assert second.play("", "live")[1] == "NetStream.Play.Reset"
            with RawRtmp.connect(server.host, server.rtmp_port) as other:
                assert other.play("", "live")[1] == "NetStream.Play.Failed"
            with RawRtmp.connect(server.host, server.rtmp_port) as other:
                assert other.publish("", "another")[1] == "NetStream.Publish.Denied"
            with RawRtsp.connect(server.host, server.port) as other:
                assert other.ask("SETUP", "live/trackID=0", {"Transport": "RTP/AVP/TCP"}).status == 453
            with pytest.raises(urllib.error.HTTPError, match="503"):
                urllib.request.urlopen(page + "live.mp4", timeout=20)
            with urllib.request.urlopen(page, timeout=20) as overview:  # who only asks is let in
                assert overview.status == 200
        wait_until(lambda: RawRtmp.connect(server.host, server.rtmp_port).play("", "live")[1].endswith("Reset"), "room")
    assert "all 3 sessions are in use" in server.log
