"""ONVIF's web server: what is not SOAP about it."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import threading
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from io import BytesIO
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from lxml import etree
from support.onvif_device import ServedDevice, served_device
from support.soap import envelope
from support.waiting import until

from manycast.onvif import connection as connections
from manycast.onvif import server as servers
from manycast.onvif.device import maintenance
from manycast.onvif.onvif_paths import BACKUP, SYSTEM_LOG
from manycast.onvif.running import RunningDevice
from manycast.onvif.soap.contract import contract
from manycast.onvif.soap.envelope import MAX_MESSAGE_BYTES
from manycast.onvif.soap.names import expanded
from manycast.onvif.state.device import DeviceState
from manycast.onvif.state.network import IpFilter, IpFilterType, Protocol, Protocols
from manycast.onvif.state.runtime_file import parse
from manycast.onvif.state.store import StateStore
from manycast.onvif.state.users import User, UserLevel
from manycast.onvif.surroundings import Surroundings
from manycast.onvif.tls import make_context
from manycast.self_signed import make_certificate
from manycast.wire.challenges import parse_challenges, respond

HOST = "127.0.0.1"
SOAP = {"Content-Type": "application/soap+xml; charset=utf-8"}


def message(name: str, **values: Any) -> bytes:
    contract("tds").read()
    return envelope(contract("tds").rendered(expanded(name), values))


INFORMATION = message("tds:GetDeviceInformation")


def with_login() -> DeviceState:
    state = DeviceState(
        users=[
            User(username="admin", password="admin's", level=UserLevel.ADMINISTRATOR),
            User(username="user", password="user's", level=UserLevel.USER),
        ]
    )
    state.server.need_auth = True
    return state


async def post(device: ServedDevice, data: Any, **more: Any) -> tuple[int, bytes]:
    headers = {**SOAP, **more.pop("headers", {})}
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            more.pop("url", device.url),
            data=BytesIO(data) if isinstance(data, bytes) else data,
            headers=headers,
            **more,
        ) as reply,
    ):
        return reply.status, await reply.read()


async def asked(device: ServedDevice, data: bytes, **more: Any) -> etree._Element:
    """The reply's element, of a request that is done."""
    status, body = await post(device, data, **more)
    assert status == 200, body
    return etree.fromstring(body)[-1][0]


async def test_a_message_may_be_compressed_and_in_chunks() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for begin in range(0, len(INFORMATION), 50):
            yield INFORMATION[begin : begin + 50]

    async with served_device() as device:
        for data, headers in (
            (gzip.compress(INFORMATION), {"Content-Encoding": "gzip"}),
            (gzip.compress(INFORMATION), {"Content-Encoding": "GZIP"}),
            (zlib.compress(INFORMATION), {"Content-Encoding": "deflate"}),
            (zlib.compress(INFORMATION, wbits=-zlib.MAX_WBITS), {"Content-Encoding": "deflate"}),
            (INFORMATION, {"Content-Encoding": "identity"}),
            (chunks(), {}),
        ):
            status, body = await post(device, data, headers=headers)
            assert (status, b"GetDeviceInformationResponse" in body) == (200, True)


@pytest.mark.parametrize(
    ("data", "headers", "status"),
    [
        (b"", {}, 400),
        (b"no XML", {}, 400),
        (b"<a/>", {}, 500),  # VersionMismatch, as SOAP 1.2 has it
        (b"not compressed", {"Content-Encoding": "gzip"}, 400),
        (gzip.compress(INFORMATION)[:-9], {"Content-Encoding": "gzip"}, 400),
        (INFORMATION, {"Content-Encoding": "br"}, 415),
        (INFORMATION, {"Content-Encoding": "gzip, gzip"}, 415),
        (INFORMATION, {"Content-Type": 'multipart/related; type="application/xop+xml"; boundary=b'}, 415),
        (b"x" * (MAX_MESSAGE_BYTES + 1), {}, 413),
        (gzip.compress(b" " * 50_000_000), {"Content-Encoding": "gzip"}, 413),
    ],
)
async def test_what_is_no_message_is_refused(data: bytes, headers: dict[str, str], status: int) -> None:
    async with served_device() as device:
        assert (await post(device, data, headers=headers))[0] == status
        await asked(device, INFORMATION)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/onvif/device_service", 405),
        ("PUT", "/onvif/device_service", 405),
        ("GET", "/", 404),
        ("POST", "/", 404),
        ("POST", "/onvif/../etc/passwd", 404),
        ("POST", BACKUP, 405),
    ],
)
async def test_other_requests_are_refused(method: str, path: str, status: int) -> None:
    async with (
        served_device() as device,
        aiohttp.ClientSession() as session,
        session.request(method, device.address + path, data=INFORMATION) as reply,
    ):
        assert reply.status == status


async def test_who_speaks_soap_1_1_is_told_so_in_soap_1_1() -> None:
    old = INFORMATION.replace(b"http://www.w3.org/2003/05/soap-envelope", b"http://schemas.xmlsoap.org/soap/envelope/")
    async with served_device() as device:
        status, body = await post(device, old)
    assert status == 500
    assert etree.fromstring(body).findtext(".//faultcode") == "env:VersionMismatch"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_addresses_are_those_by_which_we_were_reached(host: str) -> None:
    services = message("tds:GetServices", IncludeCapability=False)
    async with served_device(host=host) as device:
        reply = await asked(device, services)
        assert reply[0].findtext(expanded("tds:XAddr")) == device.url
        named = device.url.replace(host if ":" not in host else f"[{host}]", "localhost")
        if host == HOST:
            assert (await asked(device, services, url=named))[0].findtext(expanded("tds:XAddr")) == named


@pytest.mark.parametrize("host", ["", "bad host", "a<b>", "h" * 300, "x:99999999"])
async def test_a_host_that_is_none_is_not_repeated(host: str) -> None:
    async with served_device() as device:
        reply = await raw(device, message("tds:GetServices", IncludeCapability=False), f"Host: {host}\r\n")
    assert device.url.encode() in reply
    assert not host or host.encode() not in reply


async def raw(device: ServedDevice, data: bytes, head: str) -> bytes:
    port = int(device.address.rpartition(":")[2])
    reader, writer = await asyncio.open_connection(HOST, port)
    length = f"Content-Length: {len(data)}\r\nConnection: close\r\n\r\n"
    writer.write(f"POST /onvif/device_service HTTP/1.1\r\n{head}{length}".encode() + data)
    reply = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    return reply


async def test_who_waits_to_be_asked_for_the_body_is_asked() -> None:
    async with served_device() as device:
        reader, writer = await asyncio.open_connection(HOST, int(device.address.rpartition(":")[2]))
        head = f"Host: h\r\nExpect: 100-continue\r\nContent-Length: {len(INFORMATION)}\r\n\r\n"
        writer.write(f"POST /onvif/device_service HTTP/1.1\r\n{head}".encode())
        assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(INFORMATION)
        assert (await asyncio.wait_for(reader.readline(), 20)).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_curl_asks_with_nothing_first() -> None:
    async with served_device(with_login()) as device:
        status, _ = await post(device, b"")
        assert status == 401


async def fetch(url: str, user: str | None = None, password: str = "") -> tuple[int, bytes]:
    path = "/" + url.split("/", 3)[3]
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as reply:
            status, body = reply.status, await reply.read()
            challenges = parse_challenges(reply.headers.getall("WWW-Authenticate", []))
        if user is None or not challenges:
            return status, body
        answer = respond(challenges[0], username=user, password=password, method="GET", uri=path, cnonce="c")
        async with session.get(url, headers={"Authorization": answer}) as reply:
            return reply.status, await reply.read()


async def test_files_are_fetched_with_a_login_of_an_administrator() -> None:
    async with served_device(with_login()) as device:
        for path in (SYSTEM_LOG, BACKUP):
            url = device.address + path
            assert (await fetch(url))[0] == 401
            assert (await fetch(url, "admin", "guess"))[0] == 401
            assert (await fetch(url, "user", "user's"))[0] == 403
            status, body = await fetch(url, "admin", "admin's")
            assert (status, bool(body)) == (200, True)


async def test_without_need_auth_files_are_everybodys_and_hold_no_passwords() -> None:
    state = with_login()
    state.server.need_auth = False
    async with served_device(state) as device:
        status, backup = await fetch(device.address + BACKUP)
        assert (status, parse(backup).users[0].username) == (200, "admin")
        assert b"admin's" not in backup


async def test_a_backup_is_fetched_changed_and_sent_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "RESTART_DELAY_S", 0.01)
    async with served_device() as device:
        _, backup = await fetch(device.address + BACKUP)
        model = device.device.store.state.information.model
        for data, status in ((b"random data", 415), (backup.replace(model.encode(), b"Restored"), 200)):
            started = await asked(device, message("tds:StartSystemRestore"))
            uri = started.findtext(expanded("tds:UploadUri"))
            assert (await post(device, data, url=uri))[0] == status
            assert (await post(device, data, url=uri))[0] == 404  # it holds once
        await until(lambda: device.device.store.state.information.model == "Restored", "the backup is in force")


async def test_as_many_connect_as_configured_and_the_next_is_told() -> None:
    state = DeviceState()
    state.server.http_max_users = 2
    async with served_device(state) as device:
        port = int(device.address.rpartition(":")[2])
        first = [await asyncio.open_connection(HOST, port) for _ in range(2)]
        for reader, writer in first:
            writer.write(b"GET /onvif/device_service HTTP/1.1\r\nHost: h\r\n\r\n")
            assert (await asyncio.wait_for(reader.readline(), 20)).startswith(b"HTTP/1.1 405")
        reader, third = await asyncio.open_connection(HOST, port)
        assert (await asyncio.wait_for(reader.read(), 20)).startswith(b"HTTP/1.1 503")
        first[0][1].close()
        third.close()

        async def taken() -> bool:
            try:
                return (await post(device, INFORMATION))[0] == 200
            except aiohttp.ClientError:
                return False

        for _ in range(100):
            if await taken():
                break
            await asyncio.sleep(0.05)
        else:
            pytest.fail("nobody is let in for the one who has gone")
        first[1][1].close()


async def connected(port: int, address: str = HOST) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(HOST, port, local_addr=(address, 0))


async def ended(reader: asyncio.StreamReader) -> bool:
    """Reads what comes until the other side ends it; True."""
    with suppress(ConnectionError):
        await asyncio.wait_for(reader.read(), 20)
    return True


async def asked_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """The line of the status."""
    writer.write(b"GET /onvif/device_service HTTP/1.1\r\nHost: h\r\n\r\n")
    return await asyncio.wait_for(reader.readline(), 20)


async def test_who_sends_nothing_keeps_no_place_from_who_asks() -> None:
    state = DeviceState()
    state.server.http_max_users = 3
    async with served_device(state) as device:
        port = int(device.address.rpartition(":")[2])
        silent = [await connected(port) for _ in range(3)]
        await asked(device, INFORMATION)
        assert await ended(silent[0][0])  # the oldest
        assert (await asked_on(*silent[2])).startswith(b"HTTP/1.1 405")
        for _, writer in silent:
            writer.close()


async def test_a_crowd_from_one_address_pushes_out_its_own() -> None:
    state = DeviceState()
    state.server.http_max_users = 3
    async with served_device(state) as device:
        port = int(device.address.rpartition(":")[2])
        slow = await connected(port)
        slow[1].write(b"GET /onvif/device_service HTTP/1.1\r\nHo")
        crowd = [await connected(port, "127.0.0.2") for _ in range(8)]
        for reader, _ in crowd[:6]:
            assert await ended(reader)
        slow[1].write(b"st: h\r\n\r\n")
        assert (await asyncio.wait_for(slow[0].readline(), 20)).startswith(b"HTTP/1.1 405")
        for _, writer in (slow, *crowd):
            writer.close()


async def test_an_address_that_holds_all_places_idle_gives_one_to_another() -> None:
    state = DeviceState()
    state.server.http_max_users = 3
    async with served_device(state) as device:
        port = int(device.address.rpartition(":")[2])
        idle = [await connected(port, "127.0.0.2") for _ in range(3)]
        for each in idle:
            assert (await asked_on(*each)).startswith(b"HTTP/1.1 405")
        another = await connected(port)
        assert (await asked_on(*another)).startswith(b"HTTP/1.1 405")
        assert await ended(idle[0][0])
        more = await connected(port)
        assert (await asked_on(*more)).startswith(b"HTTP/1.1 503")  # it would have more than the other, then
        for _, writer in (*idle, another, more):
            writer.close()


async def test_connections_without_a_tls_handshake_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "HANDSHAKE_TIMEOUT_S", 600.0)
    async with running(tmp_path, https=True) as (device, _):
        device.device.store.state.server.http_max_users = 2
        port = device.server.port(secure=True)
        assert port is not None
        silent = [await connected(port, "127.0.0.2") for _ in range(40)]
        gone = [asyncio.create_task(ended(reader)) for reader, _ in silent]
        await until(lambda: sum(each.done() for each in gone) == 38, "those without a place are closed")
        await asked(served(device, secure=True), INFORMATION, ssl=False)
        await until(lambda: sum(each.done() for each in gone) >= 39, "one went for who asks")
        await device.stop()
        await asyncio.gather(*gone)
        for _, writer in silent:
            writer.close()


async def test_who_is_denied_is_sent_away_before_a_tls_handshake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "HANDSHAKE_TIMEOUT_S", 600.0)
    monkeypatch.setattr(servers, "WATCH_INTERVAL_S", 600.0)
    async with running(tmp_path, https=True) as (device, _):
        denied = IpFilter(type=IpFilterType.DENY, ipv4=[IPv4Interface("127.0.0.2/32")])
        device.device.store.state.network.ip_filter = denied
        port = device.server.port(secure=True)
        assert port is not None
        reader, writer = await connected(port, "127.0.0.2")
        assert await ended(reader)
        writer.close()
        await asked(served(device, secure=True), INFORMATION, ssl=False)


@pytest.mark.parametrize("begun", [b"", b"POST /onvif/device_service HTTP/1.1\r\nHost:"])
async def test_who_does_not_finish_a_request_is_sent_away(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_TIMEOUT_S", 0.2)
    monkeypatch.setattr(servers, "WATCH_INTERVAL_S", 0.05)
    async with served_device() as device:
        reader, writer = await asyncio.open_connection(HOST, int(device.address.rpartition(":")[2]))
        writer.write(begun)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), 20)
        writer.close()


async def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "BODY_TIMEOUT_S", 0.2)
    async with served_device() as device:
        reader, writer = await asyncio.open_connection(HOST, int(device.address.rpartition(":")[2]))
        writer.write(b"POST /onvif/device_service HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n<")
        assert (await asyncio.wait_for(reader.readline(), 20)).startswith(b"HTTP/1.1 408")
        writer.close()


async def test_an_address_that_is_denied_is_not_served() -> None:
    state = DeviceState()
    state.network.ip_filter = IpFilter(type=IpFilterType.DENY, ipv4=[IPv4Interface("127.0.0.0/8")])
    async with served_device(state) as device:
        with pytest.raises(aiohttp.ClientError):
            await post(device, INFORMATION)
        ipv6 = [IPv6Interface("::1/128")]
        device.device.store.state.network.ip_filter = IpFilter(type=IpFilterType.DENY, ipv6=ipv6)
        await asked(device, INFORMATION)


async def test_who_is_denied_later_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "WATCH_INTERVAL_S", 0.05)
    async with served_device() as device:
        reader, writer = await asyncio.open_connection(HOST, int(device.address.rpartition(":")[2]))
        wanted = {"Type": "Deny", "IPv4Address": [{"Address": HOST, "PrefixLength": 32}]}
        await asked(device, message("tds:SetIPAddressFilter", IPAddressFilter=wanted))
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), 20)
        writer.close()


@asynccontextmanager
async def running(
    folder: Path, *, https: bool = False, wait: bool = True
) -> AsyncIterator[tuple[RunningDevice, list[str]]]:
    """A device with ports of the system's choice, and what is told of its restarts; it is started unless not waited."""
    told: list[str] = []

    def open_port(protocol: str, port: int) -> Sequence[socket.socket]:
        return [socket.create_server((HOST, port))]

    async def streams_restart() -> None:
        told.append("streams")

    class Announced:
        async def hello(self) -> None:
            told.append("hello")

        async def bye(self) -> None:
            told.append("bye")

    files = (folder / "ssl.ca", folder / "ssl.key")
    opened = {"HTTP": open_port("HTTP", 0)}
    if https:
        make_certificate(*files, ["localhost", HOST])
        opened["HTTPS"] = open_port("HTTPS", 0)
    state = DeviceState()
    for protocol, sockets in opened.items():
        getattr(state.network.protocols, protocol.lower()).port = sockets[0].getsockname()[1]
    device = RunningDevice(
        StateStore(lambda: state.model_copy(deep=True), folder / "onvifrun.cfg"),
        name="onvif",
        surroundings=Surroundings(),
        open_port=open_port,
        certificate=files if https else None,
        on_restart=streams_restart,
    )
    device.announcer = Announced()
    starting = asyncio.create_task(device.start(opened))
    try:
        if wait:
            await starting
        yield device, told
    finally:
        await starting
        await device.stop()


def served(device: RunningDevice, *, secure: bool = False) -> ServedDevice:
    port = device.server.port(secure=secure)
    return ServedDevice(device.device, f"http{'s' if secure else ''}://{HOST}:{port}")


async def test_a_reboot_sends_everybody_away_and_the_device_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "RESTART_DELAY_S", 0.05)
    async with running(tmp_path) as (device, told):
        before = served(device)
        reader, writer = await asyncio.open_connection(HOST, device.server.port(secure=False))
        await asked(before, message("tds:SystemReboot"))
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), 20)
        writer.close()
        await until(lambda: told.count("hello") == 2, "the device says hello")
        assert told == ["hello", "bye", "streams", "hello"]
        await asked(before, INFORMATION)  # at the same port


async def test_another_port_is_opened_before_the_old_one_is_closed(tmp_path: Path) -> None:
    async with running(tmp_path) as (device, _):
        before = served(device)
        with socket.create_server((HOST, 0)) as taken:
            port = taken.getsockname()[1]
            wanted = [{"Name": "HTTP", "Enabled": True, "Port": [port]}]
            status, body = await post(before, message("tds:SetNetworkProtocols", NetworkProtocols=wanted))
            assert (status, b"ter:PortAlreadyInUse" in body) == (400, True)
        await asked(before, message("tds:SetNetworkProtocols", NetworkProtocols=wanted))
        assert device.server.port(secure=False) == port
        await asked(served(device), INFORMATION)
        with pytest.raises(aiohttp.ClientError):
            await post(before, INFORMATION)


async def test_who_comes_while_https_is_still_being_opened_can_change_ports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The certificate takes a while to read, and HTTP answers already."""
    may_read = threading.Event()

    def read_when_asked(*arguments: Any) -> ssl.SSLContext:
        may_read.wait(20)
        return make_context(*arguments)

    monkeypatch.setattr("manycast.onvif.running.make_context", read_when_asked)
    async with running(tmp_path, https=True, wait=False) as (device, told):
        await until(lambda: device.server.listens, "it answers by HTTP")
        port = device.device.store.state.network.protocols.https.port
        wanted = [{"Name": "HTTPS", "Enabled": True, "Port": [port]}]
        change = asyncio.create_task(asked(served(device), message("tds:SetNetworkProtocols", NetworkProtocols=wanted)))
        await asyncio.wait([change], timeout=0.3)
        may_read.set()
        await change
        await until(lambda: told == ["hello"], "it is started")
        await asked(served(device, secure=True), INFORMATION, ssl=False)


async def test_a_restart_opens_what_it_can_and_else_what_it_had(tmp_path: Path) -> None:
    async with running(tmp_path, https=True) as (device, told):
        network = device.device.store.state.network
        before = network.protocols
        with socket.create_server((HOST, 0)) as taken:
            gone = Protocol(port=taken.getsockname()[1])
            network.protocols = before.model_copy(update={"https": gone})
            await device.restart()
            await asked(served(device), INFORMATION)
            assert device.server.port(secure=True) is None
            network.protocols = Protocols(http=gone, https=gone, rtsp=Protocol(port=9554))
            await device.restart()
            await asked(served(device), INFORMATION)
        assert network.protocols == before.model_copy(update={"https": gone, "rtsp": Protocol(port=9554)})
        assert told.count("hello") == 3


async def test_https_shows_the_certificate_that_a_client_has_chosen(tmp_path: Path) -> None:
    async with running(tmp_path, https=True) as (device, _):
        plain, secure = served(device), served(device, secure=True)

        def shown() -> str:
            return ssl.get_server_certificate((HOST, device.server.port(secure=True) or 0))

        services = await asked(secure, message("tds:GetServices", IncludeCapability=False), ssl=False)
        assert services[0].findtext(expanded("tds:XAddr")) == secure.url
        configured = await asyncio.to_thread(shown)
        await asked(plain, message("tds:CreateCertificate", CertificateID="mine"))
        status = [{"CertificateID": "mine", "Status": True}]
        await asked(plain, message("tds:SetCertificatesStatus", CertificateStatus=status))
        for _ in range(100):
            if await asyncio.to_thread(shown) != configured:
                break
            await asyncio.sleep(0.05)
        else:
            pytest.fail("it still shows the other certificate")
        await asked(secure, INFORMATION, ssl=False)


async def test_https_asks_clients_for_a_certificate_if_it_is_told_to(tmp_path: Path) -> None:
    async with running(tmp_path, https=True) as (device, _):
        plain, secure = served(device), served(device, secure=True)
        made = await asked(plain, message("tds:CreateCertificate", CertificateID="authority"))
        authority = {"CertificateID": "ca", "Certificate": {"Data": b""}}
        data = made.findtext(f".//{expanded('tt:Data')}")
        assert data is not None
        request = message("tds:LoadCACertificates", CACertificate=[authority])
        await asked(
            plain,
            request.replace(b"<tt:Data/>", b"<tt:Data>" + data.encode() + b"</tt:Data>").replace(
                b"<tt:Data></tt:Data>", b"<tt:Data>" + data.encode() + b"</tt:Data>"
            ),
        )
        await asked(plain, message("tds:SetClientCertificateMode", Enabled=True))

        async def refused() -> bool:
            try:
                await post(secure, INFORMATION, ssl=False)
            except (aiohttp.ClientError, ssl.SSLError):
                return True
            return False

        for _ in range(100):
            if await refused():
                break
            await asyncio.sleep(0.05)
        else:
            pytest.fail("who has no certificate is still let in")


async def test_the_state_is_there_at_the_next_start(tmp_path: Path) -> None:
    async with running(tmp_path) as (device, _):
        await asked(served(device), message("tds:AddScopes", ScopeItem=["urn:kept"]))
        port = device.server.port(secure=False)
    kept = StateStore(DeviceState, tmp_path / "onvifrun.cfg").state
    assert "urn:kept" in [scope.uri for scope in kept.scopes]
    assert kept.network.protocols.http.port == port
