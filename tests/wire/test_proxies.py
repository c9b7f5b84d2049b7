"""Proxies of the configuration: one server of ours fetches from another."""

from __future__ import annotations

import itertools
import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.clips import make_clip
from support.ports import free_tcp_port
from support.publishing import publishing, sdp_of
from support.rtsp import RawRtsp
from support.server import ServerProcess
from support.waiting import wait_until


def proxy(url: str, **more: Any) -> dict[str, Any]:
    return {"suffix": "copy", "url": url, **more}


def configuration(*proxies: dict[str, Any], **more: Any) -> str:
    return json.dumps(
        {"rtsp": {"udp_base_port": "UDP_BASE"}, "applications": [{"proxies": list(proxies)}], **more}
    ).replace('"UDP_BASE"', "UDP_BASE")


@contextmanager
def edge(folder: Path, *proxies: dict[str, Any], **options: Any) -> Iterator[ServerProcess]:
    folder = folder / "edge"
    folder.mkdir()
    with ServerProcess(folder, config=configuration(*proxies), **options) as server:
        yield server


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[ServerProcess]:
    folder = tmp_path / "origin"
    folder.mkdir()
    with ServerProcess(folder) as server:
        yield server


def describe(server: ServerProcess, name: str = "copy") -> int:
    with RawRtsp.connect(server.host, server.port) as rtsp:
        return rtsp.ask("DESCRIBE", name).status


@pytest.mark.parametrize("transfer", ["TCP", "UDP"])
@pytest.mark.parametrize("ondemand", [0, 1])
def test_a_proxy(tmp_path: Path, origin: ServerProcess, transfer: str, ondemand: int) -> None:
    with (
        publishing(origin),
        edge(tmp_path, proxy(origin.url("live"), transfer=transfer, ondemand=ondemand)) as server,
        RawRtsp.connect(server.host, server.port) as viewer,
    ):
        viewer.play("copy")
        packets = viewer.rtp(100)
        assert {(b.sequence - a.sequence) & 0xFFFF for a, b in itertools.pairwise(packets)} == {1}
        assert f"stream copy (H264, the proxy of {origin.url('live')}) opened" in server.log
        with RawRtsp.connect(server.host, server.port) as other:
            other.play("copy")
            assert other.rtp(20)
        assert origin.log.count("plays live") == 1


def test_proxies_of_several_applications(tmp_path: Path, origin: ServerProcess) -> None:
    names = ["one", "two"]
    applications = [
        {"name": name, "proxies": [proxy(origin.url(name)), proxy(origin.url(name), suffix="other")]} for name in names
    ]
    folder = tmp_path / "edge"
    folder.mkdir()
    with (
        publishing(origin, "one"),
        publishing(origin, "two"),
        ServerProcess(folder, config=configuration(applications=applications)) as server,
    ):
        for path in ("one/copy", "one/other", "two/copy", "two/other"):
            with RawRtsp.connect(server.host, server.port) as viewer:
                viewer.play(path)
                assert viewer.rtp(20)
            assert f"stream {path} (H264, the proxy of {origin.url(path[:3])}) opened" in server.log


def test_a_viewer_waits_for_the_source(tmp_path: Path, origin: ServerProcess) -> None:
    with edge(tmp_path, proxy(origin.url("live"))) as server:
        wait_until(lambda: "trying again" in server.log, "the proxy has tried")
        with RawRtsp.connect(server.host, server.port) as viewer:
            viewer.send("DESCRIBE", "copy")
            with publishing(origin):
                assert viewer.reply().status == 200


def test_the_first_viewer_of_a_source_on_demand_waits_for_it(tmp_path: Path, origin: ServerProcess) -> None:
    with (
        edge(tmp_path, proxy(origin.url("live"), ondemand=1)) as server,
        RawRtsp.connect(server.host, server.port) as viewer,
    ):
        viewer.send("DESCRIBE", "copy")
        wait_until(lambda: "(404); trying again" in server.log, "the source has refused")
        with publishing(origin):
            assert viewer.reply().status == 200


@pytest.mark.parametrize("ondemand", [0, 1])
def test_who_waits_for_a_source_in_vain_is_told(tmp_path: Path, ondemand: int) -> None:
    with edge(tmp_path, proxy(f"rtsp://127.0.0.1:{free_tcp_port()}/x", ondemand=ondemand)) as server:
        began_s = time.monotonic()
        assert describe(server) == 404
        assert time.monotonic() - began_s > 5
        assert "Connection refused" in server.log


@pytest.mark.parametrize("ondemand", [0, 1])
def test_nobody_waits_for_a_source_that_wants_another_login(tmp_path: Path, ondemand: int) -> None:
    folder = tmp_path / "origin"
    folder.mkdir()
    users = json.dumps({"rtsp": {"need_auth": 1}, "users": [{"username": "joe", "password": "secret"}]})
    with (
        ServerProcess(folder, config=users) as origin,
        edge(tmp_path, proxy(origin.url("x"), ondemand=ondemand, user="joe", **{"pass": "wrong"})) as server,
    ):
        began_s = time.monotonic()
        assert describe(server) == 404
        assert time.monotonic() - began_s < 9  # of the ten that a viewer waits for a source
        assert "refuses user and pass" in server.log


def test_an_outage_is_mended_and_times_go_on(tmp_path: Path, origin: ServerProcess) -> None:
    with (
        edge(tmp_path, proxy(origin.url("live"), hold=20)) as server,
        RawRtsp.connect(server.host, server.port) as viewer,
    ):
        with publishing(origin):
            wait_until(lambda: describe(server) == 200, "the proxy is connected")
            viewer.play("copy")
            before = viewer.rtp(50)
        wait_until(lambda: "viewers wait" in server.log, "the outage is seen")
        with publishing(origin):
            after = viewer.rtp(50)
            assert (after[0].sequence - before[-1].sequence) & 0xFFFF < 1000
            times = [packet.timestamp for packet in [*before, *after]]
            steps = [(b - a) & 0xFFFFFFFF for a, b in itertools.pairwise(times)]
            assert all(step < 90_000 * 30 for step in steps)
            assert any(step > 30_000 for step in steps)  # the outage
            wait_until(lambda: "goes on after" in server.log, "it is told")


def test_without_hold_viewers_are_told_at_once(tmp_path: Path, origin: ServerProcess) -> None:
    with edge(tmp_path, proxy(origin.url("live"), hold=0)) as server:
        with publishing(origin):
            wait_until(lambda: describe(server) == 200, "the proxy is connected")
        wait_until(lambda: "stream copy ended" in server.log, "the stream ends")


def test_a_source_that_is_killed_and_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "origin"
    folder.mkdir()
    first = ServerProcess(folder)
    port = first.port
    with edge(tmp_path, proxy(first.url("live"), hold=30)) as server, publishing(first):
        wait_until(lambda: describe(server) == 200, "the proxy is connected")
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
        with (
            ServerProcess(folder, port=port) as second,
            publishing(second),
            RawRtsp.connect(server.host, server.port) as viewer,
        ):
            viewer.play("copy")
            wait_until(lambda: "goes on after" in server.log, "the stream goes on")
            assert len(viewer.rtp(100)) == 100


def test_nobody_else_publishes_at_a_proxys_name(tmp_path: Path, origin: ServerProcess) -> None:
    with (
        edge(tmp_path, proxy(origin.url("live"))) as server,
        RawRtsp.connect(server.host, server.port) as publisher,
    ):
        headers = {"Content-Type": "application/sdp"}
        assert publisher.ask("ANNOUNCE", "copy", headers, sdp_of(make_clip())).status == 403


def test_a_proxy_of_a_proxy_and_a_loop(tmp_path: Path, origin: ServerProcess) -> None:
    folder = tmp_path / "edge"
    folder.mkdir()
    port = free_tcp_port()
    own = f"rtsp://127.0.0.1:{port}"
    proxies = [
        {"suffix": "copy", "url": origin.url("live")},
        {"suffix": "copy2", "url": f"{own}/copy"},
        {"suffix": "self", "url": f"{own}/self"},
        {"suffix": "a", "url": f"{own}/b"},
        {"suffix": "b", "url": f"{own}/a"},
    ]
    with (
        publishing(origin),
        ServerProcess(folder, config=configuration(*proxies), port=port) as server,
    ):
        with RawRtsp.connect(server.host, port) as viewer:
            viewer.play("copy2")
            assert viewer.rtp(50)
        wait_until(lambda: server.log.count("a loop") >= 2, "loops are refused")
        assert "a loop: self from self" in server.log


@pytest.mark.parametrize(("scheme", "ondemand"), [("rtsp", 0), ("rtsp", 1), ("rtmp", 1), ("http-flv", 1), ("hls", 1)])
def test_a_loop_through_another_server(tmp_path: Path, scheme: str, ondemand: int) -> None:
    folders = tmp_path / "one", tmp_path / "two"
    ports = free_tcp_port(), free_tcp_port()
    host = "127.0.0.1"

    def url(port: int, name: str) -> str:
        ending = {"http-flv": ".flv", "hls": ".m3u8"}.get(scheme, "")
        return f"{'http' if ending else scheme}://{host}:{port}/{name}{ending}"

    def start(number: int, suffix: str, source: str) -> ServerProcess:
        folders[number].mkdir()
        text = configuration(proxy(source, suffix=suffix, ondemand=ondemand))
        if scheme == "rtsp":
            return ServerProcess(folders[number], config=text, port=ports[number])
        option = "--rtmp-port" if scheme == "rtmp" else "--http-port"
        return ServerProcess(folders[number], config=text, arguments=[option, str(ports[number])])

    with (
        start(0, "a", url(ports[1], "b")) as one,
        start(1, "b", url(ports[0], "a")) as two,
        RawRtsp.connect(one.host, one.port) as viewer,
    ):
        viewer.send("DESCRIBE", "a")
        wait_until(lambda: "a loop" in one.log + two.log, "the loop is found", deadline_s=45)


def test_no_password_is_logged(tmp_path: Path, origin: ServerProcess) -> None:
    url = origin.url("nothing").replace("//", "//joe:GEHEIM@") + "?token=GEHEIM"
    dead = f"joe:GEHEIM@127.0.0.1:{free_tcp_port()}/x"
    proxies = [
        proxy(url),
        proxy(url, suffix="other", ondemand=1, user="x", **{"pass": "GEHEIM"}),
        proxy(f"rtmp://{dead}?key=GEHEIM", suffix="rtmp"),
        proxy(f"http://{dead}.flv?key=GEHEIM", suffix="flv"),
        proxy(f"http://{dead}.m3u8?key=GEHEIM", suffix="hls"),
        proxy(f"rtsp+http://{dead}", suffix="tunnel"),
    ]
    folder = tmp_path / "edge"
    folder.mkdir()
    with ServerProcess(folder, config=configuration(*proxies, log_level=0)) as server:
        with RawRtsp.connect(server.host, server.port) as viewer:
            viewer.send("DESCRIBE", "other")
            wait_until(lambda: server.log.count("trying again") >= len(proxies), "all have failed")
        assert "GEHEIM" not in server.log + server.output


def test_many_proxies_of_which_half_are_dead(tmp_path: Path, origin: ServerProcess) -> None:
    good = [proxy(origin.url("live"), suffix=f"good{n}") for n in range(100)]
    # Nobody answers in 192.0.2.0/24 (RFC 5737), nor to a name in .invalid, nor at this port.
    dead = ["rtsp://192.0.2.1/x", "rtsp://nobody.invalid/x", "rtsp://127.0.0.1:9/x", "http://127.0.0.1:9/x.flv"]
    bad = [proxy(dead[n % 4], suffix=f"bad{n}") for n in range(100)]
    mixed = [item for pair in zip(bad, good, strict=True) for item in pair]
    with publishing(origin):
        began_s = time.monotonic()
        with edge(tmp_path, *mixed) as server:
            assert time.monotonic() - began_s < 30
            wait_until(lambda: server.log.count("opened") >= 100, "the good ones play")
            assert time.monotonic() - began_s < 60
            with RawRtsp.connect(server.host, server.port) as viewer:
                viewer.play("good99")
                assert viewer.rtp(20)
