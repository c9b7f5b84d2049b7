"""The commands, run as they are: what is said, and the exit status."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.ports import free_tcp_port
from support.rtsp import HungUp, Interleaved, RawRtsp
from support.server import ServerProcess
from support.waiting import wait_until

from manycast import __version__


def manycast(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "manycast", *arguments], capture_output=True, text=True, timeout=60, cwd=cwd, check=False
    )


def test_the_version_is_said() -> None:
    done = manycast("--version")
    assert (done.returncode, done.stdout) == (0, f"manycast {__version__}\n")


def test_the_help_names_the_options() -> None:
    done = manycast("serve", "--help")
    assert done.returncode == 0
    for option in ("--config", "--media", "--host", "--log-level", "--daemon", "--pid-file", "--rtsp-port"):
        assert option in done.stdout


def test_a_configuration_is_checked_and_shown_as_understood(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("rtsp:\n  serverport: 9554\n")
    done = manycast("check", "a.yaml", cwd=tmp_path)
    assert done.returncode == 0
    assert "serverport: 9554" in done.stdout


@pytest.mark.parametrize("command", ["check", "serve"])
def test_mistakes_are_told_all_at_once_with_status_2(tmp_path: Path, command: str) -> None:
    (tmp_path / "a.yaml").write_text("rtsp:\n  serverport: 99999\n  udp_base_port: x\nloop_nums: -7\n")
    arguments = ["check", "a.yaml"] if command == "check" else ["serve", "-c", "a.yaml"]
    done = manycast(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    for word in ("a.yaml", "99999", "udp_base_port", "loop_nums"):
        assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_a_configuration_that_is_not_there_is_status_2(tmp_path: Path) -> None:
    done = manycast("serve", "-c", "nothing.xml", cwd=tmp_path)
    assert done.returncode == 2
    assert "nothing.xml" in done.stderr


def test_a_port_that_is_taken_is_named_with_its_setting_and_status_1(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = manycast("serve", "--host", "127.0.0.1", "--rtsp-port", str(port), cwd=tmp_path)
        assert done.returncode == 1
        assert f"RTSP port {port}" in done.stderr
        assert "command line" in done.stderr
        (tmp_path / "a.yaml").write_text(f"rtsp:\n  serverport: {port}\n  serverip: 127.0.0.1\n")
        done = manycast("serve", "-c", "a.yaml", cwd=tmp_path)
        assert done.returncode == 1
        assert "a.yaml" in done.stderr


def test_an_address_of_another_machine_is_status_1(tmp_path: Path) -> None:
    done = manycast("serve", "--host", "192.0.2.1", "--rtsp-port", str(free_tcp_port()), cwd=tmp_path)
    assert done.returncode == 1
    assert "192.0.2.1" in done.stderr


def test_a_media_folder_that_is_not_there_is_status_1(tmp_path: Path) -> None:
    done = manycast(
        "serve", "--host", "127.0.0.1", "--rtsp-port", str(free_tcp_port()), "--media", "nowhere", cwd=tmp_path
    )
    assert done.returncode == 1
    assert "nowhere" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly_and_viewers_are_told(tmp_path: Path, number: signal.Signals) -> None:
    with ServerProcess(tmp_path) as server:
        client = RawRtsp.connect(server.host, server.port)
        client.play("demo", tracks=(0, 1))
        client.rtp(10)
        server.process.send_signal(number)
        stopped_s = time.monotonic()
        items = []
        try:
            while True:
                items.append(client.next_item())
        except HungUp:
            pass
        assert server.process.wait(timeout=20) == 0
        assert time.monotonic() - stopped_s < 3.5
        reports = [item for item in items if isinstance(item, Interleaved) and not item.is_rtp]
        assert any(item.payload[-8:-4] == b"\x81\xcb\x00\x01" for item in reports), "RTCP BYE"
        server.check_log()


def test_it_starts_in_little_time(tmp_path: Path) -> None:
    started_s = time.monotonic()
    with ServerProcess(tmp_path):
        assert time.monotonic() - started_s < 6, "1.5 s are wanted, on a machine that has nothing else to do"


def test_the_rtsp_port_0_switches_rtsp_off(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "manycast", "serve", "--rtsp-port", "0"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert "rtsp://" not in process.stdout.readline() + process.stdout.readline()
        process.terminate()
        process.communicate(timeout=20)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def test_in_the_background_it_tells_when_it_is_ready_and_keeps_its_id(tmp_path: Path) -> None:
    port = free_tcp_port()
    pid_file = tmp_path / "manycast.pid"
    arguments = ["serve", "--host", "127.0.0.1", "--rtsp-port", str(port), "--daemon", "--pid-file", str(pid_file)]
    log = ["--log-file", str(tmp_path / "log")]
    done = manycast(*arguments, *log, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    pid = int(pid_file.read_text())
    try:
        with RawRtsp.connect("127.0.0.1", port) as client:
            assert client.ask("OPTIONS", "*").status == 200
        again = manycast(*arguments, *log, cwd=tmp_path)
        assert again.returncode == 1
        assert str(pid) in again.stderr
    finally:
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not pid_file.exists(), "the file with its id is removed")
    assert "stopping" in (tmp_path / "log").read_text()


def test_in_the_background_a_port_that_is_taken_is_still_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = manycast("serve", "--host", "127.0.0.1", "--rtsp-port", str(port), "--daemon", cwd=tmp_path)
        assert done.returncode == 1
        assert str(port) in done.stderr


def test_login_is_asked_for_where_the_configuration_says_so(tmp_path: Path) -> None:
    config = "rtsp:\n  need_auth: 1\n  udp_base_port: UDP_BASE\nuser:\n  - {username: me, password: secret}\n"
    with ServerProcess(tmp_path, config=config) as server, RawRtsp.connect(server.host, server.port) as client:
        reply = client.ask("DESCRIBE", "test.mp4")
        assert reply.status == 401
        assert "Digest" in reply["WWW-Authenticate"]
        assert "secret" not in server.log
