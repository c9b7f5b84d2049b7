"""Restarts, resets, logs, backups and firmware."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
from support.soap import AskedDevice, SoapFault, asked_device
from support.waiting import until

from manycast.onvif.device import firmware, maintenance
from manycast.onvif.device.history import LAST_BACKUP, LAST_RESET
from manycast.onvif.log_memory import LogMemory
from manycast.onvif.onvif_paths import ACCESS_LOG, BACKUP, SUPPORT, SYSTEM_LOG
from manycast.onvif.state.device import DeviceState
from manycast.onvif.state.limits import MAX_USERS
from manycast.onvif.state.runtime_file import parse, serialize
from manycast.onvif.state.users import User, UserLevel
from manycast.onvif.surroundings import Surroundings
from manycast.onvif.transfers import UploadRefused, UploadTooLarge

FIRMWARE = b"a new version"


class Restarts:
    """Counts them."""

    def __init__(self) -> None:
        self.count = 0

    async def restart(self) -> None:
        self.count += 1


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "RESTART_DELAY_S", 0.01)


async def restarting(*, login: bool = False) -> tuple[AskedDevice, Restarts]:
    restarts = Restarts()
    return await asked_device(surroundings=Surroundings(restart=restarts.restart), login=login), restarts


async def cut(data: bytes, size: int = 7) -> AsyncIterator[bytes]:
    for begin in range(0, len(data), size):
        yield data[begin : begin + size]


async def send(device: AskedDevice, uri: str, data: bytes) -> None:
    path = uri.removeprefix(device.delivery.base_url)
    receive = device.device.transfers.take(path)
    assert receive is not None
    await receive(cut(data))


def packed(content: bytes) -> bytes:
    return firmware.MAGIC + hashlib.sha256(content).hexdigest().encode() + b"\n" + content


async def test_a_reboot_answers_first_and_restarts_then() -> None:
    device, restarts = await restarting()
    assert (await device.ask("tds:SystemReboot")).Message.startswith("Rebooting in")
    assert restarts.count == 0
    await until(lambda: restarts.count == 1, "the device restarts")


@pytest.mark.parametrize(("kind", "port"), [("Hard", 8000), ("Soft", 8080)])
async def test_a_factory_default_brings_the_configuration_back(kind: str, port: int) -> None:
    device, restarts = await restarting()
    device.state.network.protocols.http.port = 8080
    device.state.users.clear()
    await device.ask("tds:SetSystemFactoryDefault", FactoryDefault=kind)
    await until(lambda: restarts.count == 1, "the device restarts")
    assert [user.username for user in device.state.users] == ["admin", "operator", "user"]
    assert device.state.network.protocols.http.port == port
    device.device.start()
    told = {
        message.topic: message.data["Status"]
        for message in device.device.broker.properties()
        if "Status" in message.data
    }
    assert told[LAST_RESET] > "2026"


async def test_logs_and_support_information_are_told() -> None:
    log = LogMemory()
    device = await asked_device(surroundings=Surroundings(system_log=log))
    told = (await device.ask("tds:GetSystemLog", LogType="System")).SystemLog.String
    assert told
    await device.ask("tds:GetHostname")
    assert "GetHostname" in (await device.ask("tds:GetSystemLog", LogType="Access")).SystemLog.String
    assert "Manycast" in (await device.ask("tds:GetSystemSupportInformation")).SupportInformation.String


async def test_what_can_be_fetched_has_the_address_that_was_used() -> None:
    device = await asked_device()
    uris = await device.ask("tds:GetSystemUris")
    base = device.delivery.base_url
    assert {each.Type: each.Uri for each in uris.SystemLogUris.SystemLog} == {
        "System": base + SYSTEM_LOG,
        "Access": base + ACCESS_LOG,
    }
    assert (uris.SupportInfoUri, uris.SystemBackupUri) == (base + SUPPORT, base + BACKUP)
    for path in (SYSTEM_LOG, ACCESS_LOG, SUPPORT, BACKUP):
        assert await device.device.transfers.downloads[path].produce()


async def test_a_backup_brings_back_what_was() -> None:
    device, restarts = await restarting(login=True)
    backup = await device.device.transfers.downloads[BACKUP].produce()
    assert LAST_BACKUP in [message.topic for message in device.device.broker.properties()]
    before = device.state.model_copy(deep=True)
    device.state.scopes.clear()
    del device.state.users[1:]
    await send(device, (await device.ask("tds:StartSystemRestore")).UploadUri, backup)
    await until(lambda: restarts.count == 1, "the device restarts")
    assert (device.state.users, device.state.scopes) == (before.users, before.scopes)
    assert device.state.discovery.endpoint == before.discovery.endpoint


async def test_a_backup_that_anybody_can_fetch_has_no_passwords_and_leaves_those_there_are() -> None:
    device, restarts = await restarting()
    backup = await device.device.transfers.downloads[BACKUP].produce()
    assert b"operator" in backup
    assert b"'s<" not in backup
    device.state.users[0].password = "changed"
    device.state.scopes.clear()
    del device.state.users[1]
    await send(device, (await device.ask("tds:StartSystemRestore")).UploadUri, backup)
    await until(lambda: restarts.count == 1, "the device restarts")
    assert {user.username: user.password for user in device.state.users} == {"admin": "changed", "user": "user's"}
    assert device.state.scopes


async def test_a_backup_neither_changes_fixed_users_nor_makes_some() -> None:
    device, restarts = await restarting(login=True)
    device.state.users[1].fixed = True
    operator = device.state.users[1].model_copy()
    changed = device.state.model_copy(deep=True)
    changed.users = [
        User(username="admin", password="new", level=UserLevel.ADMINISTRATOR, fixed=True),
        User(username="operator", password="theirs", level=UserLevel.USER),
    ]
    await send(device, (await device.ask("tds:StartSystemRestore")).UploadUri, serialize(changed))
    await until(lambda: restarts.count == 1, "the device restarts")
    assert [(each.username, each.password, each.fixed) for each in device.state.users] == [
        ("operator", "operator's", True),
        ("admin", "new", False),
    ]
    assert device.state.users[0] == operator
    without = device.state.model_copy(deep=True)
    del without.users[0]
    await send(device, (await device.by("admin", "new").ask("tds:StartSystemRestore")).UploadUri, serialize(without))
    await until(lambda: restarts.count == 2, "the device restarts again")
    assert [each.username for each in device.state.users] == ["operator", "admin"]


async def test_a_backup_whose_users_do_not_fit_beside_the_fixed_ones_changes_nothing() -> None:
    device, restarts = await restarting()
    device.state.users[1].fixed = True
    before = serialize(device.state)
    crowded = device.state.model_copy(deep=True)
    crowded.users = [User(username=f"user {number}", password="p") for number in range(MAX_USERS)]
    uri = (await device.ask("tds:StartSystemRestore")).UploadUri
    with pytest.raises(UploadRefused, match="fixed"):
        await send(device, uri, serialize(crowded))
    assert (serialize(device.state), restarts.count) == (before, 0)


async def test_a_factory_default_brings_the_fixed_users_back_and_no_others() -> None:
    fixed = User(username="fixed", password="f", level=UserLevel.ADMINISTRATOR, fixed=True)
    device = await asked_device(DeviceState(users=[fixed]))
    await device.ask("tds:CreateUsers", User=[{"Username": "new", "Password": "secret", "UserLevel": "User"}])
    device.device.store.reset(hard=True)
    assert device.state.users == [fixed]


@pytest.mark.parametrize("login", [False, True])
async def test_a_backup_does_not_say_who_has_to_log_in_and_where_files_are(login: bool) -> None:
    device, restarts = await restarting(login=login)
    own = device.state.server.model_copy(deep=True)
    changed = device.state.model_copy(deep=True)
    changed.server.need_auth = not login
    changed.server.key_file = Path("elsewhere.key")
    changed.information.model = "changed"
    await send(device, (await device.ask("tds:StartSystemRestore")).UploadUri, serialize(changed))
    await until(lambda: restarts.count == 1, "the device restarts")
    assert (device.state.server, device.state.information.model) == (own, "changed")


async def test_a_backup_has_nothing_of_the_command_line() -> None:
    device = await asked_device()
    device.device.store.override("network.protocols.http.port", 1234)
    device.device.store.override("server.addresses", ["127.0.0.1"])
    backup = parse(await device.device.transfers.downloads[BACKUP].produce())
    assert (backup.network.protocols.http.port, backup.server.addresses) == (8000, [])


async def test_the_backup_of_another_device_does_not_make_two_of_one() -> None:
    device, restarts = await restarting()
    other = DeviceState()
    other.information.serial_number = "another"
    await send(device, (await device.ask("tds:StartSystemRestore")).UploadUri, serialize(other))
    await until(lambda: restarts.count == 1, "the device restarts")
    assert device.state.information.serial_number != "another"
    assert device.state.discovery.endpoint != other.discovery.endpoint or other.discovery == DeviceState().discovery


@pytest.mark.parametrize("data", [b"", b"random data", b"<onvifrun version='1'><other/></onvifrun>"])
async def test_what_is_no_backup_changes_nothing(data: bytes) -> None:
    device, restarts = await restarting()
    before = serialize(device.state)
    uri = (await device.ask("tds:StartSystemRestore")).UploadUri
    with pytest.raises(UploadRefused):
        await send(device, uri, data)
    assert serialize(device.state) == before
    assert restarts.count == 0


def everybody_leaves(state: DeviceState) -> None:
    state.users = [User(username="user", level=UserLevel.USER)]


def every_port_closes(state: DeviceState) -> None:
    state.network.protocols.http.enabled = False  # HTTPS is on, but there is no certificate


def the_policy_is_damaged(state: DeviceState) -> None:
    state.access_policy = b"{"


def there_is_no_such_zone(state: DeviceState) -> None:
    state.clock.time_zone = "here"


@pytest.mark.parametrize("harm", [everybody_leaves, every_port_closes, the_policy_is_damaged, there_is_no_such_zone])
async def test_a_backup_that_locks_everybody_out_changes_nothing(harm: Callable[[DeviceState], None]) -> None:
    device, restarts = await restarting(login=True)
    before = serialize(device.state)
    harmful = device.state.model_copy(deep=True)
    harm(harmful)
    uri = (await device.ask("tds:StartSystemRestore")).UploadUri
    with pytest.raises(UploadRefused):
        await send(device, uri, serialize(harmful))
    assert serialize(device.state) == before
    assert restarts.count == 0


async def test_an_upload_address_holds_once() -> None:
    device, _ = await restarting()
    uri = (await device.ask("tds:StartSystemRestore")).UploadUri
    path = uri.removeprefix(device.delivery.base_url)
    assert device.device.transfers.take(path) is not None
    assert device.device.transfers.take(path) is None
    assert device.device.transfers.take(f"{path}x") is None


async def test_an_upload_address_holds_for_some_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manycast.onvif.transfers.UPLOAD_LIFETIME_S", -1.0)
    device, _ = await restarting()
    uri = (await device.ask("tds:StartFirmwareUpgrade")).UploadUri
    assert device.device.transfers.take(uri.removeprefix(device.delivery.base_url)) is None


async def test_firmware_that_is_ours_is_taken() -> None:
    device, restarts = await restarting()
    await send(device, (await device.ask("tds:StartFirmwareUpgrade")).UploadUri, packed(FIRMWARE))
    await until(lambda: restarts.count == 1, "the device restarts")


@pytest.mark.parametrize(
    "data",
    [b"", b"\x7fELF", packed(FIRMWARE)[:-1], packed(FIRMWARE) + b"!", firmware.MAGIC, firmware.MAGIC + b"0" * 64],
)
async def test_what_is_no_firmware_is_refused(data: bytes) -> None:
    device, restarts = await restarting()
    uri = (await device.ask("tds:StartFirmwareUpgrade")).UploadUri
    with pytest.raises(UploadRefused):
        await send(device, uri, data)
    assert restarts.count == 0


async def test_firmware_is_kept_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "firmware.bin"
    await firmware.keep_firmware(cut(packed(FIRMWARE), 64), target)
    assert target.read_bytes() == packed(FIRMWARE)
    with pytest.raises(UploadRefused):
        await firmware.keep_firmware(cut(b"nonsense"), target)
    monkeypatch.setattr(firmware, "MAX_BYTES", 100)
    with pytest.raises(UploadTooLarge):
        await firmware.keep_firmware(cut(packed(b"." * 100)), target)
    assert names(tmp_path) == ["firmware.bin"]
    assert target.read_bytes() == packed(FIRMWARE)


def names(folder: Path) -> Sequence[str]:
    return sorted(file.name for file in folder.iterdir())


async def test_what_would_need_attachments_is_not_supported() -> None:
    device = await asked_device()
    with pytest.raises(SoapFault, match="Receiver/ter:ActionNotSupported"):
        await device.ask("tds:GetSystemBackup")


def test_a_backup_is_the_file_of_the_state() -> None:
    state = DeviceState()
    assert parse(serialize(state)) == state
