"""How soon ONVIF answers: the first time after its start, and 16 recorders that ask all the time."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import random
import time
from base64 import b64encode
from datetime import UTC, datetime

from figures import percentile, row, spread, verdict
from server import HOST, Server, add_server_option, free_port

TARGET_P50_MS, TARGET_P99_MS = 3.0, 20.0
TARGET_FIRST_S = 1.0
USER, PASSWORD = "admin", "secret"
REQUESTS = {
    "GetDeviceInformation": "<tds:GetDeviceInformation/>",
    "GetServices": "<tds:GetServices><tds:IncludeCapability>false</tds:IncludeCapability></tds:GetServices>",
}

_ENVELOPE = (
    '<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope" xmlns:tds="http://www.onvif.org/ver10/device/wsdl">'
    "<e:Header>{}</e:Header><e:Body>{}</e:Body></e:Envelope>"
)
_WSS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss"
_TOKEN = (
    f'<s:Security xmlns:s="{_WSS}-wssecurity-secext-1.0.xsd" xmlns:u="{_WSS}-wssecurity-utility-1.0.xsd">'
    "<s:UsernameToken><s:Username>{}</s:Username>"
    f'<s:Password Type="{_WSS}-username-token-profile-1.0#PasswordDigest">{{}}</s:Password>'
    "<s:Nonce>{}</s:Nonce><u:Created>{}</u:Created></s:UsernameToken></s:Security>"
)


def token() -> str:
    nonce, created = os.urandom(16), datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    digest = hashlib.sha1(nonce + created.encode() + PASSWORD.encode()).digest()
    return _TOKEN.format(USER, b64encode(digest).decode(), b64encode(nonce).decode(), created)


class Recorder:
    """One connection that stays open, and logs in with every request."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, port: int) -> Recorder:
        return cls(*await asyncio.open_connection(HOST, port))

    async def ask(self, body: str) -> float:
        """How long the reply took, in milliseconds."""
        data = _ENVELOPE.format(token(), body).encode()
        head = f"POST /onvif/device_service HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/soap+xml\r\n"
        asked_s = time.monotonic()
        self._writer.write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        fields = dict(line.lower().split(b":", 1) for line in answer.split(b"\r\n")[1:] if b":" in line)
        reply = await self._reader.readexactly(int(fields[b"content-length"]))
        took_ms = 1000 * (time.monotonic() - asked_s)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise SystemExit(reply.decode())
        return took_ms

    def close(self) -> None:
        self._writer.close()


async def first_reply(port: int, server: Server) -> float:
    """From the start of the process until somebody has an answer, in seconds. The port is open before."""
    while True:
        try:
            recorder = await Recorder.connect(port)
        except OSError:
            await asyncio.sleep(0.01)
            continue
        await recorder.ask(REQUESTS["GetDeviceInformation"])
        recorder.close()
        return time.monotonic() - server.started_s


async def measure(options: argparse.Namespace, server: Server, port: int) -> None:
    took_s = await first_reply(port, server)
    row(
        "first reply",
        f"{took_s:.2f} s after the process began, {took_s - server.ready_s:.2f} s after RTSP's port opened",
    )
    verdict("first reply after the start", took_s - server.ready_s, TARGET_FIRST_S, " s")
    for name, body in REQUESTS.items():
        recorders = [await Recorder.connect(port) for _ in range(options.clients)]
        print(f"{name}: {options.clients} recorders that each ask {options.rate:g} times a second")
        latencies_ms: list[float] = []
        before, started_s = server.cpu(), time.monotonic()
        await asyncio.gather(*(ask_now_and_then(each, body, options, latencies_ms) for each in recorders))
        elapsed_s = time.monotonic() - started_s
        row("requests", f"{len(latencies_ms)}, {len(latencies_ms) / elapsed_s:.0f}/s")
        row("CPU", (server.cpu() - before).of_core(elapsed_s))
        row("latency", spread(latencies_ms, "ms"))
        verdict(f"{name}, median", percentile(latencies_ms, 0.5), TARGET_P50_MS, " ms")
        verdict(f"{name}, p99", percentile(latencies_ms, 0.99), TARGET_P99_MS, " ms")
        counts = await asyncio.gather(*(ask_without_pause(each, body) for each in recorders))
        row("without pauses", f"{sum(counts):.0f} requests a second")
        for recorder in recorders:
            recorder.close()


async def ask_now_and_then(
    recorder: Recorder, body: str, options: argparse.Namespace, latencies_ms: list[float]
) -> None:
    pause_s = 1 / options.rate
    await asyncio.sleep(random.uniform(0, pause_s))
    end_s = time.monotonic() + options.seconds
    while time.monotonic() < end_s:
        took_ms = await recorder.ask(body)
        latencies_ms.append(took_ms)
        await asyncio.sleep(max(0.0, random.uniform(0.5, 1.5) * pause_s - took_ms / 1000))


async def ask_without_pause(recorder: Recorder, body: str, seconds: float = 3.0) -> float:
    """How many a second it gets."""
    count, end_s = 0, time.monotonic() + seconds
    while time.monotonic() < end_s:
        await recorder.ask(body)
        count += 1
    return count / seconds


def configured(port: int, max_users: int) -> str:
    """The configuration of a device that asks for a login, in YAML."""
    user = f"{{username: {USER}, password: {PASSWORD}, userlevel: Administrator}}"
    return f"onvif: {{http_port: {port}, https_enable: 0, need_auth: 1, user: [{user}], http_max_users: {max_users}}}\n"


def main() -> None:
    options = _options()
    port = free_port()
    with Server(options.server, config=configured(port, 2 * options.clients)) as server:
        asyncio.run(measure(options, server, port))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--rate", type=float, default=5.0, help="of one recorder, in requests a second")
    parser.add_argument("--seconds", type=float, default=20.0)
    add_server_option(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
