"""The commands, run as they are: what is said, and the exit status."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from support.desktop import Desktop
from support.ports import free_tcp_port, free_udp_port
from support.rtsp import HungUp, Interleaved, RawRtsp
from support.server import STOP_S, STOP_SLACK_S, ServerProcess
from support.sound_source import SoundSource
from support.tunnels import get_request, plain_connection, read_head, upgrade_request
from support.waiting import wait_until

from manycast import __version__
from manycast.app.app import App
from manycast.app.listening import StartError
from manycast.app.plan import Overrides, make_plan
from manycast.app.tls import open_certificate
from manycast.config import load

NO_HTTP = ("--http-port", "0", "--https-port", "0", "--rtmp-port", "0", "--srt-port", "0", "--onvif-port", "0")


def manycast(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "manycast", *arguments], capture_output=True, text=True, timeout=60, cwd=cwd, check=False
    )


def called(command: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """One of the commands under the names of the manuals."""
    call = f"from manycast.cli import {command}; {command}()"
    return subprocess.run(
        [sys.executable, "-c", call, *arguments], capture_output=True, text=True, timeout=60, cwd=cwd, check=False
    )


def test_the_version_is_said() -> None:
    done = manycast("--version")
    assert (done.returncode, done.stdout) == (0, f"manycast {__version__}\n")


def test_the_help_names_the_options() -> None:
    done = manycast("serve", "--help")
    assert done.returncode == 0
    for option in (
        "--config",
        "--media",
        "--host",
        "--log-level",
        "--daemon",
        "--pid-file",
        "--rtsp-port",
        "--http-port",
    ):
        assert option in done.stdout


@pytest.mark.parametrize("command", ["mediaserver", "onvifrtspserver"])
def test_an_option_without_a_value_is_shown_as_one(command: str, tmp_path: Path) -> None:
    for done in called(command, "--help", cwd=tmp_path), manycast("serve", "--help"):
        (line,) = [line for line in done.stdout.splitlines() if "--daemon" in line]
        assert "--daemon  " in line
        assert "<" not in line


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


def test_the_command_for_onvif_reads_both_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "onvif.cfg").write_text("<config><server_ip/>\n<http_port>x</http_port></config>")
    (tmp_path / "rtsp.cfg").write_text("<config><serverport>y</serverport></config>")
    done = called("onvifrtspserver", cwd=tmp_path)
    assert done.returncode == 2
    assert "onvif.cfg:2: <config><http_port>: found 'x', allowed: 1 to 65535" in done.stderr
    assert "rtsp.cfg:1: <config><serverport>: found 'y', allowed: 1 to 65535" in done.stderr
    (tmp_path / "onvif.cfg").unlink()
    assert "onvif.cfg" not in called("onvifrtspserver", cwd=tmp_path).stderr


def test_the_command_for_onvif_says_what_it_reads(tmp_path: Path) -> None:
    done = called("onvifrtspserver", "--help", cwd=tmp_path)
    assert "onvif.cfg and rtsp.cfg in the current folder are read if they are there" in " ".join(done.stdout.split())


def test_files_of_two_dialects_are_named_by_two_options(tmp_path: Path) -> None:
    (tmp_path / "o.cfg").write_text("<config><server_ip/><http_port>x</http_port></config>")
    (tmp_path / "m.cfg").write_text("<config><rtsp><serverport>y</serverport></rtsp></config>")
    done = manycast("serve", "-c", "m.cfg", "-c", "o.cfg", cwd=tmp_path)
    assert done.returncode == 2
    assert "2 mistakes in the configuration" in done.stderr


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
        assert time.monotonic() - stopped_s < STOP_S + STOP_SLACK_S
        reports = [item for item in items if isinstance(item, Interleaved) and not item.is_rtp]
        assert any(item.payload[-8:-4] == b"\x81\xcb\x00\x01" for item in reports), "RTCP BYE"
        server.check_log()


def test_it_starts_in_little_time(tmp_path: Path) -> None:
    """The processor's: how long that takes is up to the machine's other programs."""
    with ServerProcess(tmp_path) as server:
        fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
        used_s = sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")  # utime and stime of proc(5)
    assert 0 < used_s < 4, "1.5 s are wanted"


def test_the_rtsp_port_0_switches_rtsp_off(tmp_path: Path) -> None:
    http = ["--http-port", str(free_tcp_port()), "--https-port", "0", "--rtmp-port", "0", "--srt-port", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "manycast", "serve", "--host", "127.0.0.1", "--rtsp-port", "0", *http],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        lines = process.stdout.readline() + process.stdout.readline()
        assert "rtsp://" not in lines
        assert "http://" in lines
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
    arguments += NO_HTTP
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


def test_without_any_port_it_does_not_start(tmp_path: Path) -> None:
    done = manycast("serve", "--rtsp-port", "0", *NO_HTTP, cwd=tmp_path)
    assert done.returncode == 1
    assert "no protocol is on" in done.stderr


def test_a_certificate_is_made_at_the_first_start_and_kept(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, https=True) as server:
        wait_until(lambda: "Ctrl-C" in server.output, "it has said all")
        assert "ssl.ca" in server.output
        assert "nobody vouches for" in server.output
        assert f"https://127.0.0.1:{server.https_port}/" in server.output
    made = (tmp_path / "ssl.ca").read_bytes()
    assert (tmp_path / "ssl.key").stat().st_mode & 0o777 == 0o600
    with ServerProcess(tmp_path, https=True) as server:
        wait_until(lambda: "Ctrl-C" in server.output, "it has said all")
        assert "nobody vouches for" not in server.output
    assert (tmp_path / "ssl.ca").read_bytes() == made


def test_nothing_is_made_by_a_start_that_fails(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = manycast(
            "serve", "--host", "127.0.0.1", "--rtsp-port", port, "--https-port", str(free_tcp_port()), cwd=tmp_path
        )
        assert done.returncode == 1
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("missing", ["own.crt", "own.key"])
def test_an_own_certificate_that_is_missing_is_status_1(tmp_path: Path, missing: str) -> None:
    assert manycast("cert", "--cert-file", "own.crt", "--key-file", "own.key", cwd=tmp_path).returncode == 0
    (tmp_path / missing).unlink()
    (tmp_path / "a.yaml").write_text(
        f"https:\n  serverport: {free_tcp_port()}\n  cert_file: own.crt\n  key_file: own.key\n"
    )
    ports = ("--rtsp-port", str(free_tcp_port()), "--http-port", "0")
    done = manycast("serve", "--host", "127.0.0.1", "-c", "a.yaml", *ports, cwd=tmp_path)
    assert done.returncode == 1
    for word in (missing, "cert_file", "a.yaml", "manycast cert", "--https-port 0"):
        assert word in done.stderr


def test_the_start_names_proxies_and_pushers_and_what_addresses_lack(tmp_path: Path) -> None:
    video, audio = free_tcp_port(), free_tcp_port()
    pusher = f"{{suffix: raw, video: {{codec: H264}}, transfer: {{mode: TCP, vport: {video}, aport: {audio}}}}}"
    proxy = "{suffix: my door, url: 'rtsp://127.0.0.1:9/x', ondemand: 1}"
    (tmp_path / "a.yaml").write_text(
        "{rtsp: {need_auth: 1}, srt: {passphrase: ten letters}, users: [{username: anna, password: secret}], "
        f"applications: [{{name: a, proxies: [{proxy}], pushers: [{pusher}]}}]}}"
    )
    loaded = load([tmp_path / "a.yaml"])
    port = free_tcp_port()
    overrides = Overrides(
        host="127.0.0.1", rtsp_port=port, http_port=0, https_port=0, rtmp_port=0, srt_port=free_udp_port(), onvif_port=0
    )
    app = App(make_plan(loaded, overrides))

    async def start_and_stop() -> None:
        await app.start()
        rows = [row[1:] for row in app.addresses().rows()]
        assert ("a proxy", f"rtsp://127.0.0.1:{port}/a/my%20door") in rows
        assert (f"raw RTP by TCP at port {video}", f"rtsp://127.0.0.1:{port}/a/raw") in rows
        await app.stop("the test is over")

    asyncio.run(start_and_stop())
    assert app.plan.pushers[0].ip == "127.0.0.1"
    assert [note.partition(":")[0] for note in app.notes] == [
        "RTSP asks for a login",
        "SRT asks for a login",
        "SRT asks for the passphrase",
    ]


def test_a_default_port_that_is_taken_costs_only_its_protocol(tmp_path: Path) -> None:
    """Nobody asked for HTTP: a start does not fail for it."""
    loaded = load([])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        http = loaded.settings.http.model_copy(update={"serverport": taken.getsockname()[1]})
        settings = loaded.settings.model_copy(update={"http": http, "media_folder": tmp_path})
        overrides = Overrides(host="127.0.0.1", rtsp_port=free_tcp_port(), https_port=0, onvif_port=0)
        app = App(make_plan(replace(loaded, settings=settings), overrides))

        async def start_and_stop() -> None:
            await app.start()
            assert [protocol for protocol, _, _ in app.addresses().rows() if "HTTP" in protocol] == []
            await app.stop("the test is over")

        asyncio.run(start_and_stop())
    assert any("no HTTP" in note for note in app.notes)


def test_a_port_that_was_asked_for_and_is_taken_is_status_1(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ports = ("--rtsp-port", str(free_tcp_port()), "--http-port", str(port), "--https-port", "0")
        done = manycast("serve", "--host", "127.0.0.1", *ports, cwd=tmp_path)
        assert done.returncode == 1
        assert f"HTTP port {port}" in done.stderr


def test_rtsp_over_http_can_be_switched_off(tmp_path: Path) -> None:
    config = "rtsp:\n  rtsp_over_http: 0\n  udp_base_port: UDP_BASE\n"
    with ServerProcess(tmp_path, config=config, http=True) as server:
        for request in (get_request("cookie"), upgrade_request()):
            sock = plain_connection(server.host, server.http_port)
            sock.sendall(request)
            head, text = read_head(sock)
            assert head.startswith("HTTP/1.1 404 ")
            assert b"rtsp_over_http" in text
        sock = plain_connection(server.host, server.http_port)
        sock.sendall(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
        assert read_head(sock)[0].startswith("HTTP/1.1 400 ")


def test_a_certificate_is_made_on_demand(tmp_path: Path) -> None:
    done = manycast("cert", "example.org", "192.0.2.7", cwd=tmp_path)
    assert done.returncode == 0
    assert "ssl.ca" in done.stdout
    certificate = x509.load_pem_x509_certificate((tmp_path / "ssl.ca").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["example.org"]
    assert list(map(str, names.get_values_for_type(x509.IPAddress))) == ["192.0.2.7"]
    assert (tmp_path / "ssl.key").stat().st_mode & 0o777 == 0o600
    again = manycast("cert", cwd=tmp_path)
    assert again.returncode == 1
    assert "ssl.ca is there already" in again.stderr
    assert manycast("cert", "--force", cwd=tmp_path).returncode == 0
    assert (tmp_path / "ssl.ca").read_bytes() != certificate.public_bytes(Encoding.PEM)


@pytest.mark.parametrize("arguments", [("--cert-file", "nowhere/a.crt"), ("a b\u2028",), ("x" * 300,)])
def test_a_certificate_that_cannot_be_made_is_status_1(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = manycast("cert", *arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]


def test_a_folder_that_cannot_be_written_costs_https_alone_unless_it_was_demanded(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("https: {enable: 1}\n")
    loaded = load([tmp_path / "a.yaml"])
    notes: list[str] = []
    for overrides, demanded in ((Overrides(), False), (Overrides(https_port=8443), True)):
        plan = replace(make_plan(loaded, overrides).tls, cert_file=tmp_path / "no" / "ssl.ca")
        assert plan.demanded == demanded
        if demanded:
            with pytest.raises(StartError, match="cannot be written"):
                open_certificate(plan, notes)
        else:
            assert open_certificate(plan, notes) is None
    assert len(notes) == 1
    assert "no HTTPS" in notes[0]


def test_capture_devices_are_listed_as_the_manuals_have_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SoundSource(tmp_path).environment.items():
        monkeypatch.setenv(name, value)
    done = manycast("serve", "-l", "audiodevice")
    assert done.stdout.splitlines() == [
        "Available audio capture device :",
        "index : 0, name : The tone",
        "index : 1, name : Second microphone (silent)",
        "index : 2, name : System sound",
    ]
    assert called("onvifrtspserver", "-l", "audiodevice", cwd=tmp_path).stdout == done.stdout
    everything = manycast("serve", "-l", "device").stdout
    assert everything.startswith("Available video capture device :\n")
    assert everything.endswith(done.stdout)
    listed = json.loads(manycast("devices", "audio", "--json").stdout)["audio"]
    assert [device["device"] for device in listed] == ["default", "silent", "systemsound"]
    assert listed[0]["address"] == "audiodevice=The%20tone"
    assert manycast("devices", "audio", "--verbose").stdout.splitlines()[1:4] == [
        "index : 0, name : The tone",
        "    in addresses: audiodevice=The%20tone",
        "    default",
    ]


def test_windows_are_listed_by_their_titles(monkeypatch: pytest.MonkeyPatch) -> None:
    with Desktop() as desktop:
        desktop.show("user manual.doc - Office")
        desktop.show("Größe", size="100x50", place="+0+210", colour="00ff00")
        monkeypatch.setenv("DISPLAY", desktop.display)
        done = manycast("serve", "-l", "window")
        assert done.stdout.splitlines() == ["Available window name :", "user manual.doc - Office", "Größe"]
        listed = json.loads(manycast("windows", "--json").stdout)["windows"]
        assert [(window["title"], window["width"], window["height"]) for window in listed] == [
            ("user manual.doc - Office", 320, 200),
            ("Größe", 100, 50),
        ]
        assert manycast("windows", "--verbose").stdout.splitlines()[1:3] == [
            "user manual.doc - Office",
            "    in addresses: window=user%20manual.doc%20-%20Office",
        ]
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    done = manycast("windows")
    assert done.returncode == 1
    assert "DISPLAY is not set" in done.stderr
