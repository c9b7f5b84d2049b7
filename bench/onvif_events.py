"""How soon PullMessages is answered, and what open pull points cost while nothing happens."""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import time

from figures import percentile, row, verdict
from server import HOST, Server, add_server_option, free_port

TARGET_P50_MS, TARGET_P99_MS = 3.0, 20.0
TARGET_IDLE_PERCENT = 3.0
LONGEST_PULL_S = 300

_ENVELOPE = (
    '<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope" xmlns:tev="http://www.onvif.org/ver10/events/wsdl" '
    'xmlns:wsnt="http://docs.oasis-open.org/wsn/b-2" xmlns:tns1="http://www.onvif.org/ver10/topics">'
    "<e:Body>{}</e:Body></e:Envelope>"
)
# Nobody switches a relay here. Without a filter, the processor's usage would be told, and end the waiting.
_CREATE = (
    "<tev:CreatePullPointSubscription><tev:Filter>"
    '<wsnt:TopicExpression Dialect="http://docs.oasis-open.org/wsn/t-1/TopicExpression/Concrete">'
    "tns1:Device/Trigger/Relay</wsnt:TopicExpression></tev:Filter></tev:CreatePullPointSubscription>"
)
_PULL = "<tev:PullMessages><tev:Timeout>PT{}S</tev:Timeout><tev:MessageLimit>100</tev:MessageLimit></tev:PullMessages>"
_ADDRESS = re.compile(rb"Address>http://[^/<]+(/[^<]+)<")
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class Client:
    """One connection that stays open, with a pull point."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._path = "/onvif/event_service"

    @classmethod
    async def connect(cls, port: int) -> Client:
        client = cls(*await asyncio.open_connection(HOST, port))
        address = _ADDRESS.search(await client.ask(_CREATE))
        assert address is not None
        client._path = address[1].decode()
        while b"NotificationMessage" in await client.pull(0):
            pass  # the states of properties come first
        return client

    async def pull(self, timeout_s: int) -> bytes:
        return await self.ask(_PULL.format(timeout_s))

    async def ask(self, body: str) -> bytes:
        data = _ENVELOPE.format(body).encode()
        head = f"POST {self._path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/soap+xml\r\n"
        self._writer.write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(answer)
        assert length is not None
        reply = await self._reader.readexactly(int(length[1]))
        if not answer.startswith(b"HTTP/1.1 200"):
            raise SystemExit(reply.decode())
        return reply

    def close(self) -> None:
        self._writer.close()


async def measure(options: argparse.Namespace, server: Server, port: int) -> None:
    clients = [await Client.connect(port) for _ in range(options.clients)]
    print(f"{options.clients} clients that each pull {options.rate:g} times a second")
    latencies_ms: list[float] = []
    before, started_s = server.cpu(), time.monotonic()
    await asyncio.gather(*(pull_now_and_then(client, options, latencies_ms) for client in clients))
    elapsed_s = time.monotonic() - started_s
    row("requests", f"{len(latencies_ms)}, {len(latencies_ms) / elapsed_s:.0f}/s")
    row("CPU", (server.cpu() - before).of_core(elapsed_s))
    verdict("PullMessages, median", percentile(latencies_ms, 0.5), TARGET_P50_MS, " ms")
    verdict("PullMessages, p99", percentile(latencies_ms, 0.99), TARGET_P99_MS, " ms")
    for client in clients:
        client.close()

    print(f"{options.pull_points} clients that wait for messages which do not come")
    clients = [await Client.connect(port) for _ in range(options.pull_points)]
    waiting = [asyncio.create_task(client.pull(LONGEST_PULL_S)) for client in clients]
    await asyncio.sleep(1.0)
    before, started_s = server.cpu(), time.monotonic()
    await asyncio.sleep(options.seconds)
    elapsed_s = time.monotonic() - started_s
    cpu = server.cpu() - before
    row("CPU", cpu.of_core(elapsed_s))
    verdict("clients that no longer wait", sum(task.done() for task in waiting), 0)
    row("still waiting", f"{sum(not task.done() for task in waiting)} of {len(waiting)}")
    verdict("CPU, share of a core", 100 * cpu.total_s / elapsed_s, TARGET_IDLE_PERCENT, " %")
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def pull_now_and_then(client: Client, options: argparse.Namespace, latencies_ms: list[float]) -> None:
    pause_s = 1 / options.rate
    await asyncio.sleep(random.uniform(0, pause_s))
    end_s = time.monotonic() + options.seconds
    while (now_s := time.monotonic()) < end_s:
        await client.pull(0)
        took_s = time.monotonic() - now_s
        latencies_ms.append(1000 * took_s)
        await asyncio.sleep(max(0.0, random.uniform(0.5, 1.5) * pause_s - took_s))


def main() -> None:
    options = _options()
    port = free_port()
    most = options.clients + options.pull_points + 1  # with the one that tries whether ONVIF answers
    config = (
        f"onvif: {{http_port: {port}, https_enable: 0, http_max_users: {most}, event: {{max_pull_points: {most}}}}}\n"
    )
    with Server(options.server, config=config) as server:
        wait_for_onvif(port)
        asyncio.run(measure(options, server, port))


def wait_for_onvif(port: int) -> None:
    """The WSDL files are read after the ports are open."""
    deadline_s = time.monotonic() + 20
    while time.monotonic() < deadline_s:
        try:
            asyncio.run(_try(port))
            return
        except (OSError, asyncio.IncompleteReadError):
            time.sleep(0.1)
    raise SystemExit("ONVIF does not answer")


async def _try(port: int) -> None:
    (await Client.connect(port)).close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--rate", type=float, default=5.0, help="of one client, in requests a second")
    parser.add_argument("--pull-points", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20.0)
    add_server_option(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
