"""A real browser without a screen: Chromium, driven by its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

START_S = 60.0
STOP_S = 10.0
POLL_S = 0.1
DEADLINE_S = 60.0
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NPM_TIMEOUT_S = 240.0


class Page:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self.complaints: list[str] = []  # what scripts threw, and what the console was told as an error

    async def call(self, method: str, **parameters: object) -> dict[str, Any]:
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        while True:
            message = await self._socket.receive_json(timeout=DEADLINE_S)
            if message.get("id") == self._number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            if message.get("method") == "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(message["params"])[:500])

    async def open(self, url: str) -> None:
        await self.call("Page.navigate", url=url)

    async def value(self, expression: str) -> Any:
        result = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def until(
        self, expression: str, holds: Callable[[Any], object], what: str, *, deadline_s: float = DEADLINE_S
    ) -> Any:
        """Poll until what an expression gives holds; return it."""
        end_s = asyncio.get_running_loop().time() + deadline_s
        while True:
            value = await self.value(expression)
            if holds(value):
                return value
            assert asyncio.get_running_loop().time() < end_s, f"not within {deadline_s:.0f} s: {what}; {value}"
            await asyncio.sleep(POLL_S)

    async def screenshot(self, path: Path) -> None:
        shot = await self.call("Page.captureScreenshot", format="png")
        await asyncio.to_thread(path.write_bytes, base64.b64decode(shot["data"]))


@asynccontextmanager
async def browsing() -> AsyncIterator[Page]:
    """A tab in a browser of its own. Without Chromium the test is skipped, saying so."""
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("no Chromium here: apt install chromium (script/setup test does)")
    with tempfile.TemporaryDirectory(prefix="manycast-browser-", ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            program,
            "--headless=new",
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--mute-audio",
            "--no-first-run",
            "--autoplay-policy=no-user-gesture-required",
            "--ignore-certificate-errors",
            "--window-size=1100,900",
            f"--user-data-dir={profile}",
            "--remote-debugging-port=0",
            "about:blank",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            port = await _port_of(process, Path(profile) / "DevToolsActivePort")
            async with (
                aiohttp.ClientSession() as session,
                session.put(f"http://127.0.0.1:{port}/json/new?about:blank") as reply,
                session.ws_connect((await reply.json())["webSocketDebuggerUrl"], max_msg_size=0) as socket,
            ):
                page = Page(socket)
                await page.call("Runtime.enable")
                await page.call("Page.enable")
                yield page
        finally:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_S)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _port_of(process: asyncio.subprocess.Process, path: Path) -> int:
    """As Chromium writes it into a file, before the path of its socket."""
    end_s = asyncio.get_running_loop().time() + START_S
    while True:
        lines = await asyncio.to_thread(lambda: path.read_text().split() if path.exists() else [])
        if len(lines) >= 2:
            return int(lines[0])
        assert process.returncode is None, f"Chromium ended with {process.returncode}"
        assert asyncio.get_running_loop().time() < end_s, "Chromium does not start"
        await asyncio.sleep(POLL_S)


def npm_file(package: str, file: str, cache: pytest.Cache) -> bytes:
    """A file of an npm package of a fixed version, fetched once."""
    folder = cache.mkdir("npm")
    name = package.replace("/", "-").replace("@", "-")
    kept = folder / f"{name}-{Path(file).name}"
    if not kept.exists():
        if shutil.which("npm") is None:
            pytest.fail("npm is missing: apt install npm")
        with tempfile.TemporaryDirectory() as scratch:
            done = subprocess.run(
                ["npm", "pack", "--silent", package],
                cwd=scratch,
                capture_output=True,
                text=True,
                timeout=NPM_TIMEOUT_S,
                check=False,
            )
            assert done.returncode == 0, f"npm pack {package}: {done.stderr[-1000:]}"
            shutil.unpack_archive(Path(scratch) / done.stdout.split()[-1], scratch)
            whole = folder / f"{kept.name}.{os.getpid()}"  # for tests that run beside this one
            whole.write_bytes((Path(scratch) / "package" / file).read_bytes())
            whole.replace(kept)
    return kept.read_bytes()


@asynccontextmanager
async def page_with_script(package: str, path: str, cache: pytest.Cache) -> AsyncIterator[str]:
    """The address of a page of another server, with a video element and a script from npm."""
    script = npm_file(package, path, cache)

    async def serve_script(request: web.Request) -> web.Response:
        return web.Response(body=script, content_type="text/javascript")

    async def serve_page(request: web.Request) -> web.Response:
        body = '<script src="/script.js"></script><body><video muted></video>'
        return web.Response(text=body, content_type="text/html")

    application = web.Application()
    application.router.add_get("/script.js", serve_script)
    application.router.add_get("/", serve_page)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()
