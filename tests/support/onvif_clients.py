"""ONVIF clients of others, as programs: two of their packages have the same name inside, so one lives by itself."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from manycast.onvif.state.device import DeviceState
from manycast.onvif.state.server import Server
from manycast.onvif.state.users import User, UserLevel
from support.onvif_device import ServedDevice, served_device

ONVIF_PYTHON = Path(sys.executable)
ONVIF_ZEEP_ASYNC = Path(sys.prefix) / "clients/onvif-zeep-async/bin/python"  # made by script/setup

USER, PASSWORD = "admin", "secret"
DEADLINE_S = 60.0  # generous: only a failing test ever waits that long


class Program:
    """A client that says what it saw, a line of JSON each time, and goes on when it is told to."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def said(self) -> Any:
        """What it says next."""
        assert self._process.stdout is not None
        async with asyncio.timeout(DEADLINE_S):
            line = await self._process.stdout.readline()
        if not line:
            assert self._process.stderr is not None
            raise AssertionError((await self._process.stderr.read()).decode())
        return json.loads(line)

    def go_on(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")


@asynccontextmanager
async def program(python: Path, script: str, *arguments: str) -> AsyncIterator[Program]:
    """Run a script; at the end it has to end by itself, without an error."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        str(python), "-c", script, *arguments, stdin=pipe, stdout=pipe, stderr=pipe
    )
    try:
        yield Program(process)
        async with asyncio.timeout(DEADLINE_S):
            _, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def device_with_login() -> AsyncIterator[ServedDevice]:
    """A device that USER is the administrator of, and nobody uses without a login."""
    users = [User(username=USER, password=PASSWORD, level=UserLevel.ADMINISTRATOR)]
    async with served_device(DeviceState(server=Server(need_auth=True), users=users)) as served:
        yield served


def login_to(served: ServedDevice) -> tuple[str, str, str, str]:
    """What a client needs: host, port, user, password."""
    host, _, port = served.address.removeprefix("http://").rpartition(":")
    return host, port, USER, PASSWORD
