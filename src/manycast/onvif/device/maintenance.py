"""Restarting, resetting, logs, backups and firmware."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

from manycast import __version__
from manycast.onvif.device.firmware import keep_firmware
from manycast.onvif.device.part import DevicePart
from manycast.onvif.device.time_zone import read_zone
from manycast.onvif.onvif_paths import ACCESS_LOG, BACKUP, FIRMWARE, RESTORE, SUPPORT, SYSTEM_LOG
from manycast.onvif.security.access import Access, PolicyError, parse_policy
from manycast.onvif.soap.service import NOTHING, Caller, Reply, operation
from manycast.onvif.state.device import DeviceState
from manycast.onvif.state.fixed_users import keep_fixed_users
from manycast.onvif.state.runtime_file import MAX_FILE_BYTES, RuntimeFileError, parse, serialize
from manycast.onvif.state.secrets import keep_secrets, without_secrets
from manycast.onvif.state.users import UserLevel
from manycast.onvif.transfers import Download, UploadRefused, UploadTooLarge

RESTART_DELAY_S = 0.5  # for the reply to get out
DOWN_TIME = timedelta(seconds=5)
_BINARY = "application/octet-stream"


class Maintenance(DevicePart):
    def start(self) -> None:
        offer = self.device.transfers.offer
        secret = Access.READ_SYSTEM_SECRET
        texts = (
            (SYSTEM_LOG, "system.log", self._system_log),
            (ACCESS_LOG, "access.log", self._access_log),
            (SUPPORT, "support.txt", self._support),
        )
        for path, name, text in texts:
            offer(path, _download(secret, "text/plain; charset=utf-8", name, text))
        offer(BACKUP, Download(access=secret, content_type=_BINARY, file_name="backup.xml", produce=self._backup))

    @operation(Access.UNRECOVERABLE)
    async def system_reboot(self, request: Any, caller: Caller) -> Reply:
        self._restart_soon()
        return {"Message": f"Rebooting in {RESTART_DELAY_S} seconds."}

    @operation(Access.UNRECOVERABLE)
    async def set_system_factory_default(self, request: Any, caller: Caller) -> Reply:
        hard = request.FactoryDefault == "Hard"

        def reset() -> None:
            self.device.store.reset(hard=hard)
            self.device.history.was_reset()

        self._restart_soon(reset)
        return NOTHING

    @operation(Access.READ_SYSTEM_SECRET)
    async def get_system_log(self, request: Any, caller: Caller) -> Reply:
        text = self._system_log() if request.LogType == "System" else self._access_log()
        return {"SystemLog": {"String": _printable(text)}}

    @operation(Access.READ_SYSTEM_SECRET)
    async def get_system_support_information(self, request: Any, caller: Caller) -> Reply:
        return {"SupportInformation": {"String": _printable(self._support())}}

    @operation(Access.READ_SYSTEM)
    async def get_system_uris(self, request: Any, caller: Caller) -> Reply:
        base = caller.base_url
        return {
            "SystemLogUris": {
                "SystemLog": [
                    {"Type": "System", "Uri": base + SYSTEM_LOG},
                    {"Type": "Access", "Uri": base + ACCESS_LOG},
                ]
            },
            "SupportInfoUri": base + SUPPORT,
            "SystemBackupUri": base + BACKUP,
        }

    @operation(Access.UNRECOVERABLE)
    async def start_system_restore(self, request: Any, caller: Caller) -> Reply:
        path = self.device.transfers.expect(RESTORE, self._restore)
        return {"UploadUri": caller.base_url + path, "ExpectedDownTime": DOWN_TIME}

    @operation(Access.UNRECOVERABLE)
    async def start_firmware_upgrade(self, request: Any, caller: Caller) -> Reply:
        path = self.device.transfers.expect(FIRMWARE, self._upgrade)
        return {
            "UploadUri": caller.base_url + path,
            "UploadDelay": timedelta(seconds=0),
            "ExpectedDownTime": DOWN_TIME,
        }

    def _restart_soon(self, before: Callable[[], None] | None = None) -> None:
        async def restart() -> None:
            await asyncio.sleep(RESTART_DELAY_S)
            if before is not None:
                before()
            await self.device.surroundings.restart()

        self.device.run(restart())

    async def _backup(self) -> bytes:
        """Without secrets where no login is asked for: anybody could make an administrator, and fetch it as they."""
        kept = self.device.store.kept()
        state = kept.model_copy(deep=True) if kept.server.need_auth else without_secrets(kept)
        data = await asyncio.to_thread(serialize, state)
        self.device.history.was_saved()
        return data

    async def _restore(self, chunks: AsyncIterator[bytes]) -> None:
        """Takes a backup of our own, whole or not at all, and restarts with it."""
        data = bytearray()
        async for chunk in chunks:
            data += chunk
            if len(data) > MAX_FILE_BYTES:
                raise UploadTooLarge(f"a backup has at most {MAX_FILE_BYTES} bytes")
        try:
            state = await asyncio.to_thread(parse, bytes(data))
        except RuntimeFileError as error:
            raise UploadRefused(f"no backup: {error}") from error
        own = self.device.store.kept()
        state.server = own.server.model_copy(deep=True)  # who has to log in is not for a backup to say
        keep_secrets(state, own)
        try:
            keep_fixed_users(state, own)
        except ValueError as error:
            raise UploadRefused(f"a backup with more users than fit beside the fixed ones: {error}") from error
        self._refuse_what_locks_out(state)
        # What tells the device from others stays, should the backup be that of another.
        state.discovery.endpoint = self.state.discovery.endpoint
        state.information.serial_number = self.state.information.serial_number
        self._restart_soon(lambda: self.device.store.replace(state))

    def _refuse_what_locks_out(self, state: DeviceState) -> None:
        """Nobody could take back a state that nobody can reach, log in to, or ask. Raises UploadRefused."""
        protocols = state.network.protocols
        if not protocols.http.enabled and not (protocols.https.enabled and self.device.surroundings.https):
            raise UploadRefused("a backup without HTTP and HTTPS, by which nobody could reach the device")
        if state.server.need_auth and not any(user.level is UserLevel.ADMINISTRATOR for user in state.users):
            raise UploadRefused("a backup without an administrator")
        try:
            if state.access_policy is not None:
                parse_policy(state.access_policy)
            if state.clock.time_zone is not None:
                read_zone(state.clock.time_zone, daylight_savings=True)
        except (PolicyError, ValueError) as error:
            raise UploadRefused(f"no backup: {error}") from error

    async def _upgrade(self, chunks: AsyncIterator[bytes]) -> None:
        """Keeps firmware that is ours beside the state's file, and restarts."""
        path = self.device.store.path
        await keep_firmware(chunks, None if path is None else path.with_name(f"{path.stem}-firmware.bin"))
        self._restart_soon()

    def _system_log(self) -> str:
        return _never_empty(self.device.surroundings.system_log.text())

    def _access_log(self) -> str:
        return _never_empty(self.device.access_log.text())

    def _support(self) -> str:
        state, about = self.state, self.state.information
        return "".join(
            f"{line}\n"
            for line in (
                f"Manycast {__version__}, Python {platform.python_version()}, {platform.platform()}",
                f"Device: {about.manufacturer} {about.model}, {about.serial_number}",
                f"Started: {self.device.started:%Y-%m-%dT%H:%M:%SZ}",
                f"Users: {len(state.users)}; scopes: {len(state.scopes)}; profiles: {len(state.profiles)}",
                f"Operations answered: {self.device.answered}",
            )
        )


def _download(access: Access, content_type: str, file_name: str, text: Callable[[], str]) -> Download:
    async def produce() -> bytes:
        return text().encode()

    return Download(access=access, content_type=content_type, file_name=file_name, produce=produce)


def _never_empty(text: str) -> str:
    """A log is never empty: clients take that for a failure."""
    return text or "Nothing has been logged yet.\n"


def _printable(text: str) -> str:
    """Without the characters that XML cannot carry."""
    return "\n".join(line if line.isprintable() else _printable_line(line) for line in text.split("\n"))


def _printable_line(line: str) -> str:
    return "".join(character for character in line if character.isprintable() or character == "\t")
