"""Proxies of servers that others have written."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.ports import free_tcp_port
from support.programs import probe
from support.server import ServerProcess
from support.waiting import wait_until

GST_SERVER = Path(__file__).parent.parent / "support" / "gst_rtsp_server.py"
SYSTEM_PYTHON = "/usr/bin/python3"
HINT = "apt install gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-ugly"


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@contextmanager
def gst_server(port: int, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [SYSTEM_PYTHON, str(GST_SERVER), str(port), *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: listens(port) or process.poll() is not None, "GStreamer's server listens")
        assert process.poll() is None, HINT
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def edge(folder: Path, **proxy: Any) -> Iterator[ServerProcess]:
    applications = [{"proxies": [{"suffix": "copy", **proxy}]}]
    text = json.dumps({"rtsp": {"udp_base_port": 0}, "applications": applications}).replace(": 0}", ": UDP_BASE}", 1)
    with ServerProcess(folder, config=text) as server:
        yield server


def codecs_of(url: str) -> list[str]:
    found = probe("-rtsp_transport", "tcp", "-show_streams", "-i", url)
    return sorted(stream["codec_name"] for stream in found["streams"])


@pytest.mark.parametrize("transfer", ["TCP", "UDP"])
@pytest.mark.parametrize("ondemand", [0, 1])
def test_gstreamer(tmp_path: Path, transfer: str, ondemand: int) -> None:
    port = free_tcp_port()
    url = f"rtsp://127.0.0.1:{port}/test"
    with gst_server(port), edge(tmp_path, url=url, transfer=transfer, ondemand=ondemand) as server:
        assert codecs_of(server.url("copy")) == ["h264", "pcm_alaw"]
        assert "holes" not in server.log


@pytest.mark.parametrize(("has", "asked"), [("tcp", "UDP"), ("udp", "TCP")])
def test_a_transport_gstreamer_refuses(tmp_path: Path, has: str, asked: str) -> None:
    port = free_tcp_port()
    with (
        gst_server(port, has),
        edge(tmp_path, url=f"rtsp://127.0.0.1:{port}/test", transfer=asked, ondemand=1) as server,
    ):
        assert codecs_of(server.url("copy")) == ["h264", "pcm_alaw"]
        assert f"trying {has.upper()}" in server.log


def test_gstreamer_with_a_login(tmp_path: Path) -> None:
    port = free_tcp_port()
    login = {"user": "joe", "pass": "secret"}
    with gst_server(port, "joe", "secret"), edge(tmp_path, url=f"rtsp://127.0.0.1:{port}/test", **login) as server:
        assert codecs_of(server.url("copy")) == ["h264", "pcm_alaw"]


def test_gstreamer_is_killed_and_comes_back(tmp_path: Path) -> None:
    port = free_tcp_port()
    with gst_server(port) as first, edge(tmp_path, url=f"rtsp://127.0.0.1:{port}/test", hold=30) as server:
        assert codecs_of(server.url("copy")) == ["h264", "pcm_alaw"]
        first.send_signal(signal.SIGKILL)
        first.wait()
        wait_until(lambda: "viewers wait" in server.log, "the outage is seen")
        with gst_server(port):
            wait_until(lambda: "goes on after" in server.log, "the stream goes on")
            assert codecs_of(server.url("copy")) == ["h264", "pcm_alaw"]
        assert server.log.count("stream copy") == 1
