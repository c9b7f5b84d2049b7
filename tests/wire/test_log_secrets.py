"""Passwords that clients put into addresses do not get into the log, at its finest level."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from support.rtmp import HungUp, RawRtmp
from support.server import ServerProcess
from support.srt import Refused, SrtCaller
from support.waiting import wait_until

SECRET = "sekrit77"

LOGINS = ["?user=admin&pass=sekrit77", "&user=admin&pass=sekrit77", "&user=admin&pass=my/sekrit77", "?token=sekrit77"]


def _rtsp_requests(port: int) -> list[str]:
    methods = ["DESCRIBE", "SETUP", "ANNOUNCE", "PLAY", "TEARDOWN", "OPTIONS", "NONE"]
    addresses = [f"rtsp://127.0.0.1:{port}/nope{login}" for login in LOGINS]
    addresses += ["rtsp://admin:sekrit77@127.0.0.1/nope", "rtsp://admin:a/sekrit77@127.0.0.1/nope"]
    requests = [f"{method} {address} RTSP/1.0\r\nCSeq: 1\r\n\r\n" for method in methods for address in addresses]
    requests += [f"DESCRIBE {address} HTTQ/1.0\r\n\r\n" for address in addresses]
    requests += [f"DESCRIBE {address}\r\n\r\n" for address in addresses]
    return [*requests, "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nAuthorization Basic sekrit77\r\n\r\n"]


def _http_requests() -> list[str]:
    targets = [f"/nope{form}{login}" for form in ("", ".flv", ".mp4", ".m3u8", ".flv/") for login in LOGINS]
    endings = [" HTTP/1.1\r\nHost: h\r\n", "\r\n", " HTTP/1.0\r\nAuthorization Basic sekrit77\r\n"]
    return [f"GET {target}{ending}\r\n" for target in targets for ending in endings]


def _send_each(address: tuple[str, int], requests: Sequence[str]) -> None:
    for request in requests:
        with socket.create_connection(address, timeout=60) as sock:
            sock.sendall(request.encode())
            assert sock.recv(65536)


@pytest.mark.parametrize("need_auth", [0, 1])
def test_passwords_in_addresses_are_not_logged(tmp_path: Path, need_auth: int) -> None:
    config = (
        "log_level: 0\nusers: [{username: admin, password: other}]\nrtsp: {udp_base_port: UDP_BASE, need_auth: NEED}\n"
    )
    if need_auth:
        config += "rtmp: {need_auth: 1}\nsrt: {need_auth: 1}\nflv: {need_auth: 1}\nhls: {need_auth: 1}\n"
    config = config.replace("NEED", str(need_auth))
    with ServerProcess(tmp_path, config=config, http=True, rtmp=True, srt=True) as server:
        _send_each((server.host, server.port), _rtsp_requests(server.port))
        _send_each((server.host, server.http_port), _http_requests())
        for login in LOGINS:
            for act in RawRtmp.play, RawRtmp.publish:
                with RawRtmp.connect(server.host, server.rtmp_port) as client, suppress(HungUp):
                    act(client, f"live{login}", f"nope{login}")
            for stream_id in f"nope{login}", "#!::r=nope,u=admin,s=sekrit77", "#!::s=sekrit77,r=nope,m=publish,x":
                with suppress(Refused):
                    SrtCaller.connect(server.srt_port, stream_id).close()
        wait_until(lambda: "SRT 127.0.0.1" in server.log, "callers are told of")
        server.stop()
        assert "DESCRIBE 'rtsp://127.0.0.1" in server.log
        assert SECRET not in server.log, [line for line in server.log.splitlines() if SECRET in line]
