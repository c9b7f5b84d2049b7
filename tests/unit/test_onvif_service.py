"""The ONVIF devices of the process, before they answer."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time
from collections.abc import Sequence
from ipaddress import IPv4Interface
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.ports import free_tcp_port
from support.waiting import until

from manycast.app import onvif_service, onvif_wake
from manycast.app.listening import StartError
from manycast.app.onvif_plan import OnvifPlan, onvif_plan
from manycast.app.onvif_service import OnvifService
from manycast.config import load
from manycast.hub.hub import Hub
from manycast.hub.limits import ViewerLimits
from manycast.hub.metadata import METADATA_TRACK
from manycast.onvif.discovery.device import DiscoveredDevice
from manycast.onvif.discovery.interfaces import Interface
from manycast.onvif.state.device import DeviceState
from manycast.onvif.state.runtime_file import parse, serialize
from manycast.self_signed import CertificateFileError

HOST = "127.0.0.1"
ONE = "<config><https_enable>0</https_enable></config>"


async def restart_nothing(paths: Sequence[str]) -> None:
    pass


def move_nothing(port: int | None) -> None:
    pass


def planned(folder: Path, text: str, port: int | None = None) -> OnvifPlan:
    file = folder / "onvif.cfg"
    file.write_text(text)
    plan = onvif_plan(load([file]), host=HOST, port=free_tcp_port() if port is None else port)
    assert plan is not None
    return plan


def made(plan: OnvifPlan) -> OnvifService:
    return on(Hub(ViewerLimits()), plan)


def on(hub: Hub, plan: OnvifPlan) -> OnvifService:
    return OnvifService(plan, hub=hub, rtsp_port=None, move_rtsp=move_nothing, restart_streams=restart_nothing)


def opened(plan: OnvifPlan) -> tuple[OnvifService, list[str]]:
    service = made(plan)
    notes: list[str] = []
    service.open(notes)
    return service, notes


def kept(folder: Path) -> DeviceState:
    return parse((folder / "onvifrun.cfg").read_bytes())


async def stopped_at_once(plan: OnvifPlan) -> None:
    """A device that has not come to answering."""
    service, _ = opened(plan)
    service.start()
    await service.stop()


def test_there_is_no_plan_where_onvif_is_off(tmp_path: Path) -> None:
    assert onvif_plan(load([]), host=None, port=0) is None
    file = tmp_path / "a.yaml"
    file.write_text("onvif: {enable: 0}")
    assert onvif_plan(load([file]), host=None, port=None) is None


async def test_the_file_is_there_after_a_stop_and_has_nothing_of_the_command_line(tmp_path: Path) -> None:
    await stopped_at_once(planned(tmp_path, ONE))
    state = kept(tmp_path)
    assert (state.network.protocols.http.port, state.server.addresses) == (8000, [])


async def test_without_a_configuration_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plan = onvif_plan(load([]), host=HOST, port=free_tcp_port())
    assert plan is not None
    await stopped_at_once(plan)
    assert not any("onvifrun" in name for name in os.listdir(tmp_path))


async def test_a_stop_in_the_middle_of_the_start_frees_the_ports(tmp_path: Path) -> None:
    port = free_tcp_port()
    await stopped_at_once(planned(tmp_path, ONE, port))
    socket.create_server((HOST, port)).close()


async def test_a_certificate_is_where_the_configuration_is_now(tmp_path: Path) -> None:
    before, now = tmp_path / "before", tmp_path / "now"
    before.mkdir()
    await stopped_at_once(planned(before, ONE))
    os.rename(before, now)
    await stopped_at_once(planned(now, ONE))
    assert kept(now).server.cert_file == now / "ssl.ca"


async def test_the_version_of_what_is_announced_grows_over_the_files_deletion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stopped_at_once(planned(tmp_path, ONE))
    first = kept(tmp_path).discovery.metadata_version
    os.remove(tmp_path / "onvifrun.cfg")
    monkeypatch.setattr("manycast.app.onvif_service.time", SimpleNamespace(time=lambda: time.time() + 60))
    await stopped_at_once(planned(tmp_path, ONE))
    assert kept(tmp_path).discovery.metadata_version > first


def test_a_changed_configuration_is_noted(tmp_path: Path) -> None:
    plan = planned(tmp_path, ONE)
    state = DeviceState()
    state.network.protocols.https.enabled = False
    for origin, noted in ((plan.devices[0].origin(), False), ("another", True), ("", True)):
        (tmp_path / "onvifrun.cfg").write_bytes(serialize(state, origin))
        service, notes = opened(plan)
        service.close_ports()
        assert any("was changed since" in note for note in notes) is noted


def test_a_file_that_cannot_be_used_keeps_it_from_starting(tmp_path: Path) -> None:
    plan = planned(tmp_path, ONE)
    (tmp_path / "onvifrun.cfg").write_text("nonsense")
    with pytest.raises(StartError, match="delete it to begin with the configuration"):
        made(plan).open([])


def test_the_command_line_moves_https_or_switches_it_off(tmp_path: Path) -> None:
    file = tmp_path / "onvif.cfg"
    file.write_text("<config><http_port>8000</http_port></config>")
    for port in (free_tcp_port(), 0):
        plan = onvif_plan(load([file]), host=HOST, port=free_tcp_port(), https_port=port)
        assert plan is not None
        service = made(plan)
        service.open([])
        secure = [address for address in service.addresses() if address.startswith("https:")]
        assert secure == ([f"https://{HOST}:{port}/onvif/device_service"] if port else [])
        service.close_ports()


def test_when_a_device_cannot_open_its_port_none_stays_open(tmp_path: Path) -> None:
    first, second = free_tcp_port(), free_tcp_port()
    text = "<config><https_enable>0</https_enable>{}</config>"
    devices = "".join(f"<device><http_port>{port}</http_port></device>" for port in (first, second))
    file = tmp_path / "onvif.cfg"
    file.write_text(text.format(devices))
    plan = onvif_plan(load([file]), host=HOST, port=None)
    assert plan is not None
    with socket.create_server((HOST, second)), pytest.raises(StartError, match=str(second)):
        made(plan).open([])
    socket.create_server((HOST, first)).close()


@pytest.mark.parametrize(
    ("protocol", "origin", "advice"),
    [("http", "(set by the command line)", "with --onvif-port"), ("https", "<https_port>)", "with --onvif-https-port")],
)
def test_a_taken_port_is_explained_by_who_set_it_and_what_moves_it(
    tmp_path: Path, protocol: str, origin: str, advice: str
) -> None:
    https_port = free_tcp_port()
    plan = planned(tmp_path, f"<config><https_enable>1</https_enable><https_port>{https_port}</https_port></config>")
    assert plan.port is not None
    taken = plan.port if protocol == "http" else https_port
    with socket.create_server((HOST, taken)), pytest.raises(StartError) as refused:
        made(plan).open([])
    assert origin in str(refused.value)
    assert advice in str(refused.value)


class Network:
    """Stands in for discovery: what was said, and where the device was said to be."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.device: DiscoveredDevice | None = None

    def add(self, device: DiscoveredDevice) -> None:
        self.said.append("hello")
        self.device = device

    def remove(self, device: DiscoveredDevice) -> None:
        assert self.addresses(), "Bye says where the device was"
        self.said.append("bye")

    async def stop(self) -> None:
        self.said.append("end")

    def addresses(self) -> tuple[str, ...]:
        assert self.device is not None
        loopback = Interface(name="lo", index=1, ipv4=(IPv4Interface(f"{HOST}/8"),))
        target = self.device.target(loopback, 4)
        return () if target is None else target.xaddrs


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    found = Network()
    monkeypatch.setattr(onvif_service, "_start_discovery", lambda: found)
    return found


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When devices were loaded."""
    moments: list[float] = []
    load_modules = onvif_service._load_modules

    def load() -> None:
        moments.append(time.monotonic())
        load_modules()

    monkeypatch.setattr(onvif_service, "_load_modules", load)
    monkeypatch.setattr(onvif_wake, "LOOK_INTERVAL_S", 0.01)
    return moments


async def reply_to(port: int) -> bytes:
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(b"GET /onvif/device_service HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    reply = await reader.read()
    writer.close()
    return reply


async def test_a_device_is_found_before_it_is_loaded_and_loaded_by_who_connects(
    tmp_path: Path, network: Network, loaded: list[float]
) -> None:
    plan = planned(tmp_path, ONE)
    assert plan.port is not None
    service, _ = opened(plan)
    service.start()
    await until(lambda: network.said, "the device is announced")
    assert network.addresses() == (f"http://{HOST}:{plan.port}/onvif/device_service",)
    await asyncio.sleep(0.1)
    assert loaded == []
    assert (await reply_to(plan.port)).startswith(b"HTTP/1.1 405 ")
    assert len(loaded) == 1
    assert network.addresses() == (f"http://{HOST}:{plan.port}/onvif/device_service",)
    await service.stop()
    assert network.said == ["hello", "bye", "end"]


async def test_a_certificate_is_made_for_who_connects(tmp_path: Path, network: Network, loaded: list[float]) -> None:
    secure = free_tcp_port()
    plan = planned(tmp_path, f"<config><https_enable>1</https_enable><https_port>{secure}</https_port></config>")
    service, notes = opened(plan)
    service.start()
    try:
        await until(lambda: network.said, "the device is announced")
        assert network.addresses()[-1] == f"https://{HOST}:{secure}/onvif/device_service"
        assert not (tmp_path / "ssl.ca").exists()
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        _, writer = await asyncio.open_connection(HOST, secure, ssl=context)
        writer.close()
        assert (tmp_path / "ssl.ca").exists()
        assert notes == []
    finally:
        await service.stop()


async def test_a_folder_without_a_certificate_that_cannot_be_made_has_no_https(
    tmp_path: Path, network: Network, loaded: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    secure = free_tcp_port()
    plan = planned(tmp_path, f"<config><https_enable>1</https_enable><https_port>{secure}</https_port></config>")
    assert plan.port is not None
    service, _ = opened(plan)

    def fail(*_: object) -> None:
        raise CertificateFileError("the disk is full")

    monkeypatch.setattr("manycast.app.tls.make_certificate", fail)
    service.start()
    try:
        assert (await reply_to(plan.port)).startswith(b"HTTP/1.1 405 ")
        assert network.addresses() == (f"http://{HOST}:{plan.port}/onvif/device_service",)
        socket.create_server((HOST, secure)).close()
    finally:
        await service.stop()


async def test_a_device_that_nobody_wanted_stops(tmp_path: Path, network: Network, loaded: list[float]) -> None:
    plan = planned(tmp_path, ONE)
    assert plan.port is not None
    service, _ = opened(plan)
    service.start()
    await until(lambda: network.said, "the device is announced")
    await service.stop()
    assert loaded == []
    assert network.said == ["hello", "bye", "end"]
    socket.create_server((HOST, plan.port)).close()
    assert kept(tmp_path).network.protocols.http.port == 8000


@pytest.mark.parametrize("watched", [True, False])
async def test_streams_that_it_has_something_to_tell_of_load_it(
    tmp_path: Path, network: Network, loaded: list[float], watched: bool
) -> None:
    """`watched`: somebody has the metadata track of its stream; else the stream is published."""
    hub = Hub(ViewerLimits())
    service = on(hub, planned(tmp_path, ONE))
    service.open([])
    service.start()
    try:
        for path in ("another", "test.mp4"):
            assert loaded == []
            if watched:
                hub.metadata.open(path)
            else:
                hub.publish(path, (METADATA_TRACK,), "a camera")
            if path == "another":
                await asyncio.sleep(0.1)
        await until(lambda: loaded, "the device is loaded")
    finally:
        await service.stop()


@pytest.mark.parametrize(
    ("asked", "taken"),
    [(1, {"own": "own's", "admin": "admin's", "rec": "rec's"}), (0, {"own": "own's", "admin": "admin's"})],
)
def test_users_of_a_device_that_lets_everybody_in_do_not_open_the_streams(
    tmp_path: Path, asked: int, taken: dict[str, str]
) -> None:
    users = "".join(
        f"<user><username>{name}</username><password>{password}</password><userlevel>Administrator</userlevel></user>"
        for name, password in (("admin", "another"), ("rec", "rec's"))
    )
    config = f"<config><https_enable>0</https_enable><need_auth>{asked}</need_auth>{users}</config>"
    service, _ = opened(planned(tmp_path, config))
    try:
        assert dict(service.with_users({"own": "own's", "admin": "admin's"})) == taken
    finally:
        service.close_ports()
