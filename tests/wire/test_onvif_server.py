"""ONVIF beside the streams, in a process of its own."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from support.ports import free_tcp_port
from support.rtsp import RawRtsp
from support.server import ServerProcess
from support.soap import envelope, username_token
from support.waiting import wait_until

from manycast.onvif.soap.contract import contract
from manycast.onvif.soap.names import ENVELOPE, expanded


def asked(server: ServerProcess, name: str, **values: Any) -> etree._Element:
    """The reply's element."""
    wait_until(lambda: "Ctrl-C stops" in server.output, "all ports are open")
    contract("tds").read()
    data = envelope(contract("tds").rendered(expanded(name), values))
    url = f"http://{server.host}:{server.onvif_port}/onvif/device_service"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data), timeout=20) as reply:
            body = etree.fromstring(reply.read()).find(f"{{{ENVELOPE}}}Body")
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{name}: {error.read().decode()}") from error
    assert body is not None
    return body[0]


def speaks_rtsp(server: ServerProcess, port: int) -> bool:
    try:
        client = RawRtsp.connect(server.host, port)
    except ConnectionRefusedError:
        return False
    client.close()
    return True


def move_rtsp(server: ServerProcess, port: int, *, enabled: bool = True) -> None:
    asked(server, "tds:SetNetworkProtocols", NetworkProtocols=[{"Name": "RTSP", "Enabled": enabled, "Port": [port]}])


def test_onvif_is_on_without_a_file_and_says_where(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, onvif=True) as server:
        services = asked(server, "tds:GetServices", IncludeCapability=False)
        address = f"http://{server.host}:{server.onvif_port}/onvif/device_service"
        assert services[0].findtext(expanded("tds:XAddr")) == address
        assert address in server.output
        protocols = {
            each.findtext(expanded("tt:Name")): each.findtext(expanded("tt:Port"))
            for each in asked(server, "tds:GetNetworkProtocols")
        }
        assert (protocols["HTTP"], protocols["RTSP"]) == (str(server.onvif_port), str(server.port))


def test_rtsp_moves_to_another_port_and_is_there_at_the_next_start(tmp_path: Path) -> None:
    port = free_tcp_port()
    with ServerProcess(tmp_path, onvif=True) as server:
        move_rtsp(server, port)
        assert speaks_rtsp(server, port)
        assert not speaks_rtsp(server, server.port)
        with pytest.raises(AssertionError, match="PortAlreadyInUse"):
            move_rtsp(server, server.onvif_port)
        assert speaks_rtsp(server, port)
    with ServerProcess(tmp_path, onvif=True) as server:
        wait_until(lambda: speaks_rtsp(server, port), "RTSP listens where a client wanted it")
        move_rtsp(server, port, enabled=False)
        assert not speaks_rtsp(server, port)
        asked(server, "tds:SetSystemFactoryDefault", FactoryDefault="Hard")
        wait_until(lambda: speaks_rtsp(server, server.port), "RTSP listens where it is configured")


def test_a_reboot_ends_the_stream_which_begins_anew(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, onvif=True) as server:
        viewer = RawRtsp.connect(server.host, server.port)
        assert viewer.play("demo").status == 200
        viewer.rtp(1)
        asked(server, "tds:SystemReboot")
        wait_until(lambda: "onvif: restarts" in server.log, "the device restarts")
        viewer.hangs_up()
        again = RawRtsp.connect(server.host, server.port)
        assert again.play("demo").status == 200
        again.rtp(1)
        again.close()

        def answers() -> bool:
            try:
                asked(server, "tds:GetDeviceInformation")
            except OSError:
                return False
            return True

        wait_until(answers, "the device answers")


def test_who_is_denied_is_served_no_streams_either(tmp_path: Path) -> None:
    denied = "127.0.0.2"

    def hears(address: str) -> bytes:
        with socket.create_connection((server.host, server.port), timeout=20, source_address=(address, 0)) as sock:
            try:
                sock.sendall(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
                return sock.recv(8)
            except ConnectionResetError:
                return b""

    with ServerProcess(tmp_path, onvif=True) as server:
        assert hears(denied) == b"RTSP/1.0"
        wanted = {"Type": "Deny", "IPv4Address": [{"Address": denied, "PrefixLength": 32}]}
        asked(server, "tds:SetIPAddressFilter", IPAddressFilter=wanted)
        assert hears(denied) == b""
        assert hears("127.0.0.1") == b"RTSP/1.0"


def test_onvif_can_be_off(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, onvif=False) as server:
        assert "ONVIF" not in server.output
        assert not (tmp_path / "onvifrun.cfg").exists()


def test_a_token_that_one_device_took_is_not_taken_by_its_neighbour(tmp_path: Path) -> None:
    ports = [free_tcp_port() for _ in range(2)]
    users = "[{username: admin, password: secret, userlevel: Administrator}]"
    devices = ", ".join(f"{{http_port: {port}}}" for port in ports)
    onvif = f"{{https_enable: 0, need_auth: 1, users: {users}, devices: [{devices}]}}"
    config = f"rtsp: {{udp_base_port: UDP_BASE}}\nonvif: {onvif}\n"
    with ServerProcess(tmp_path, config=config, onvif=None) as server:
        contract("tds").read()

        def status(port: int, nonce: bytes) -> int:
            header = username_token("admin", "secret", nonce=nonce, created=now)
            data = envelope(contract("tds").rendered(expanded("tds:GetUsers"), {}), header)
            url = f"http://{server.host}:{port}/onvif/device_service"
            try:
                with urllib.request.urlopen(urllib.request.Request(url, data), timeout=60) as reply:
                    return int(reply.status)
            except urllib.error.HTTPError as error:
                return error.code

        now = datetime.now(UTC)
        assert [status(port, b"one") for port in ports] == [200, 400]
        assert status(ports[1], b"another") == 200
