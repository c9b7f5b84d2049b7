"""The ONVIF devices of the process, before they answer."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.ports import free_tcp_port

from manycast.config import load
from manycast.hub.hub import Hub
from manycast.hub.limits import ViewerLimits
from manycast.listening import StartError
from manycast.onvif.state.device import DeviceState
from manycast.onvif.state.runtime_file import parse, serialize
from manycast.onvif_service import OnvifPlan, OnvifService, onvif_plan

HOST = "127.0.0.1"
ONE = "<config><https_enable>0</https_enable></config>"


async def restart_nothing(paths: Sequence[str]) -> None:
    pass


def planned(folder: Path, text: str, port: int | None = None) -> OnvifPlan:
    file = folder / "onvif.cfg"
    file.write_text(text)
    plan = onvif_plan(load([file]), host=HOST, port=free_tcp_port() if port is None else port)
    assert plan is not None
    return plan


def made(plan: OnvifPlan) -> OnvifService:
    return OnvifService(plan, hub=Hub(ViewerLimits()), rtsp_port=None, restart_streams=restart_nothing)


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
    monkeypatch.setattr("manycast.onvif_service.time", SimpleNamespace(time=lambda: time.time() + 60))
    await stopped_at_once(planned(tmp_path, ONE))
    assert kept(tmp_path).discovery.metadata_version > first


def test_a_newer_configuration_is_noted(tmp_path: Path) -> None:
    plan = planned(tmp_path, ONE)
    runtime = tmp_path / "onvifrun.cfg"
    runtime.write_bytes(serialize(DeviceState()))
    os.utime(runtime, (1, 1))
    service, notes = opened(plan)
    service.close_ports()
    assert [note for note in notes if "is newer than" in note] != []


def test_a_file_that_cannot_be_used_keeps_it_from_starting(tmp_path: Path) -> None:
    plan = planned(tmp_path, ONE)
    (tmp_path / "onvifrun.cfg").write_text("nonsense")
    with pytest.raises(StartError, match="delete it to begin with the configuration"):
        made(plan).open([])


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
