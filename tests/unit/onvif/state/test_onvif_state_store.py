"""The state while the device runs."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from manycast.onvif.state.device import DeviceState
from manycast.onvif.state.network import IpFilterType
from manycast.onvif.state.runtime_file import RuntimeFileError, parse, serialize
from manycast.onvif.state.store import StateStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "onvifrun.cfg"


def read(path: Path) -> DeviceState:
    return parse(path.read_bytes())


def write(path: Path, state: DeviceState) -> None:
    path.write_bytes(serialize(state))


def files_beside(path: Path) -> list[str]:
    return [file.name for file in path.parent.iterdir()]


def remove(path: Path) -> None:
    path.unlink()


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def named(name: str) -> DeviceState:
    state = DeviceState()
    state.network.hostname.name = name
    return state


async def test_a_change_is_in_the_file_and_loaded_at_the_next_start(path: Path) -> None:
    store = StateStore(DeviceState, path)
    assert not store.loaded
    store.state.network.hostname.name = "camera"
    store.save()
    await store.close()
    again = StateStore(DeviceState, path)
    assert again.loaded
    assert again.state.network.hostname.name == "camera"


async def test_changes_that_come_together_are_written_together(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str | None] = []

    def counted(path: Path, data: bytes) -> None:
        written.append(parse(data).network.hostname.name)

    monkeypatch.setattr("manycast.onvif.state.store._replace", counted)
    store = StateStore(DeviceState, path)
    for number in range(100):
        store.state.network.hostname.name = f"n{number}"
        store.save()
    await store.close()
    assert written == ["n99"]


async def test_a_change_while_the_file_is_written_is_written_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from manycast.onvif.state import store as module

    real = module._replace
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def announced(path: Path, data: bytes) -> None:
        loop.call_soon_threadsafe(begun.set)
        real(path, data)

    monkeypatch.setattr(module, "_replace", announced)
    store = StateStore(lambda: named("first"), path)
    store.save()
    await begun.wait()
    store.state.network.hostname.name = "second"
    store.save()
    await store.close()
    assert read(path).network.hostname.name == "second"


async def test_without_a_change_nothing_is_written(path: Path) -> None:
    await StateStore(DeviceState, path).close()
    assert files_beside(path) == []


async def test_where_it_is_asked_for_the_file_is_written_at_the_end(path: Path) -> None:
    await StateStore(lambda: named("as configured"), path, always=True).close()
    assert read(path).network.hostname.name == "as configured"


async def test_a_file_deleted_while_the_device_runs_is_written_again_at_the_end(path: Path) -> None:
    write(path, named("changed"))
    store = StateStore(DeviceState, path, always=True)
    remove(path)
    await store.close()
    assert read(path).network.hostname.name == "changed"


async def test_nobody_else_may_read_the_file(path: Path) -> None:
    store = StateStore(DeviceState, path)
    store.save()
    await store.close()
    assert mode_of(path) == 0o600


async def test_a_folder_that_cannot_be_written_to_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = StateStore(DeviceState, tmp_path / "missing" / "onvifrun.cfg")
    for _ in range(2):
        store.save()
        await store.close()
    assert [record.message.endswith("No such file or directory") for record in caplog.records] == [True]
    (tmp_path / "missing").mkdir()
    store.save()
    await store.close()
    assert read(tmp_path / "missing" / "onvifrun.cfg") == store.state


async def test_a_failed_write_leaves_the_old_file_and_no_other(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, named("old"))
    store = StateStore(DeviceState, path)
    store.state.information.model = "\x00"  # XML cannot hold it
    store.save()
    await store.close()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    store.state.information.model = "model"
    store.save()
    await store.close()
    assert read(path).network.hostname.name == "old"
    assert files_beside(path) == ["onvifrun.cfg"]


@pytest.mark.parametrize("content", [b"", b"<config/>", b"\x00" * 100])
def test_a_file_that_cannot_be_used_is_refused_by_name(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(RuntimeFileError, match=r"onvifrun\.cfg cannot be used: "):
        StateStore(DeviceState, path)


def test_a_huge_file_is_not_read_to_its_end(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(20 * 1024 * 1024)
    with pytest.raises(RuntimeFileError, match="is larger than"):
        StateStore(DeviceState, path)


def test_a_folder_in_its_place_is_refused_by_name(path: Path) -> None:
    path.mkdir()
    with pytest.raises(RuntimeFileError, match="cannot be read: Is a directory"):
        StateStore(DeviceState, path)


async def test_a_hard_reset_brings_back_the_configuration_and_removes_the_file(path: Path) -> None:
    store = StateStore(lambda: named("as configured"), path)
    store.state.network.hostname.name = "changed"
    store.state.network.protocols.http.port = 1234
    store.save()
    store.reset(hard=True)
    assert store.state == named("as configured")
    await store.close()
    assert files_beside(path) == []


async def test_a_soft_reset_keeps_the_network_but_not_who_is_kept_out(path: Path) -> None:
    store = StateStore(DeviceState, path)
    store.state.network.protocols.http.port = 1234
    store.state.network.ip_filter.type = IpFilterType.ALLOW
    store.state.clock.offset_s = 5.0
    store.reset(hard=False)
    assert store.state.network.protocols.http.port == 1234
    assert store.state.network.ip_filter.type is IpFilterType.DENY
    assert store.state.clock.offset_s == 0.0
    await store.close()
    assert read(path) == store.state


async def test_what_is_announced_grows_over_a_reset(path: Path) -> None:
    store = StateStore(DeviceState, path)
    store.state.discovery.metadata_version = 7
    store.reset(hard=True)
    assert store.state.discovery.metadata_version == 7
    await store.close()


PORT = "network.protocols.http.port"


async def test_a_value_of_the_command_line_is_not_kept(path: Path) -> None:
    store = StateStore(DeviceState, path)
    store.override(PORT, 1234)
    store.override("server.addresses", ["127.0.0.1"])
    store.state.network.hostname.name = "changed"
    store.save()
    await store.close()
    assert (store.state.network.protocols.http.port, store.state.server.addresses) == (1234, ["127.0.0.1"])
    kept = read(path)
    assert (kept.network.protocols.http.port, kept.server.addresses) == (8000, [])
    assert kept.network.hostname.name == "changed"


async def test_what_a_client_changes_it_to_is_kept(path: Path) -> None:
    store = StateStore(DeviceState, path)
    store.override(PORT, 1234)
    store.state.network.protocols.http.port = 5678
    store.save()
    await store.close()
    assert read(path).network.protocols.http.port == 5678


@pytest.mark.parametrize("hard", [True, False])
async def test_a_value_of_the_command_line_stays_in_force_over_a_reset(path: Path, hard: bool) -> None:
    store = StateStore(DeviceState, path)
    store.override(PORT, 1234)
    store.reset(hard=hard)
    assert store.state.network.protocols.http.port == 1234
    store.save()
    await store.close()
    assert read(path).network.protocols.http.port == 8000


async def test_after_a_soft_reset_the_device_is_where_a_client_has_put_it(path: Path) -> None:
    store = StateStore(DeviceState, path)
    store.override(PORT, 1234)
    store.state.network.protocols.http.port = 5678
    store.reset(hard=False)
    assert store.state.network.protocols.http.port == 5678
    await store.close()


async def test_another_state_can_be_put_in_its_place(path: Path) -> None:
    store = StateStore(DeviceState, path)
    store.override(PORT, 1234)
    store.replace(named("restored"))
    await store.close()
    assert (store.state.network.hostname.name, store.state.network.protocols.http.port) == ("restored", 1234)
    assert (read(path).network.hostname.name, read(path).network.protocols.http.port) == ("restored", 8000)
    assert read(path).discovery.metadata_version == 2


async def test_listeners_hear_of_changes_and_resets() -> None:
    store = StateStore(DeviceState)
    heard: list[str | None] = []
    store.listen(lambda: heard.append(store.state.network.hostname.name))
    store.state.network.hostname.name = "a"
    store.save()
    store.reset(hard=False)
    store.reset(hard=True)
    assert heard == ["a", "a", None]
    await store.close()
