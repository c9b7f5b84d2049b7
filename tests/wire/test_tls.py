"""RTSPS, RTSP over HTTPS and over secure WebSocket: the same inside TLS; certificates."""

from __future__ import annotations

import socket
import ssl
import time
from pathlib import Path

import pytest
from support.inprocess import HOST, blocking
from support.inprocess_http import HttpInProcess, make_files, publishing_through, serving_http
from support.rtsp import RawRtsp
from support.tunnels import plain_connection, read_head
from support.waiting import until

from manycast.self_signed import make_certificate
from manycast.servers import certificate as certificate_module
from manycast.servers.certificate import Certificate, CertificateError

SHORT_S = 0.6
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # how TLS begins


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_files(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def certificate(files: tuple[Path, Path]) -> Certificate:
    return Certificate(*files)


async def connect(server: HttpInProcess, transport: str) -> RawRtsp:
    match transport:
        case "rtsps":
            sock = await blocking(lambda: plain_connection(HOST, server.rtsps_port, secure=True))
            return RawRtsp(sock, f"rtsp://{HOST}:{server.rtsps_port}")
        case "rtsp on the HTTPS port":
            sock = await blocking(lambda: plain_connection(HOST, server.secure_port, secure=True))
            return RawRtsp(sock, f"rtsp://{HOST}:{server.secure_port}")
        case "https":
            return (await server.tunnel(secure=True))[0]
        case _:
            return (await server.websocket(secure=True))[0]


TRANSPORTS = ("rtsps", "rtsp on the HTTPS port", "https", "websocket")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_streams_are_published_and_watched(certificate: Certificate, transport: str) -> None:
    async with serving_http(certificate=certificate) as server:
        publisher, viewer = await connect(server, transport), await connect(server, transport)
        async with publishing_through(publisher):
            await blocking(viewer.play, "live")
            packets = await blocking(viewer.rtp, 100)
            assert (packets[-1].sequence - packets[0].sequence) & 0xFFFF == 99
            viewer.close()
            await until(lambda: len(server.rtsp.sessions) == 1, "only the publisher's session is left")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_viewer_that_stands_still_is_ended_and_disturbs_nobody(
    certificate: Certificate, transport: str
) -> None:
    async with serving_http(certificate=certificate, stall_s=1.0) as server, server.publishing() as publisher:
        stuck = await connect(server, transport)
        await blocking(stuck.play, "live")
        viewer = await connect(server, transport)
        await blocking(viewer.play, "live")
        publisher.speed = 50.0

        def read_until_the_other_is_gone() -> int:
            end_s = time.monotonic() + 20
            while server.rtsp.rtsp.connections > 2 and time.monotonic() < end_s:
                viewer.rtp(20)
            return server.rtsp.rtsp.connections

        assert await blocking(read_until_the_other_is_gone) == 2


async def test_a_page_is_served(certificate: Certificate) -> None:
    async with serving_http(certificate=certificate) as server:
        sock = await blocking(lambda: plain_connection(HOST, server.secure_port, secure=True))
        sock.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        head, _ = await blocking(read_head, sock)
        assert head.startswith("HTTP/1.1 200 OK")


async def test_plain_http_on_the_https_port_is_answered(
    certificate: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving_http(certificate=certificate) as server:
        sock = await blocking(plain_connection, HOST, server.secure_port)
        sock.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        head, body = await blocking(read_head, sock)
        assert head.startswith("HTTP/1.1 400 ")
        assert b"https://" in body
    assert "plain HTTP on the HTTPS port" in caplog.text


async def test_plain_rtsp_on_the_rtsps_port_is_named_in_the_log(
    certificate: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving_http(certificate=certificate) as server:
        sock = await blocking(plain_connection, HOST, server.rtsps_port)
        sock.sendall(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
        assert await blocking(ended, sock)
    assert "does not speak TLS" in caplog.text


@pytest.mark.parametrize("data", [HELLO, HELLO + bytes(500), b"\x16", b""])
async def test_a_broken_or_endless_handshake_is_ended(certificate: Certificate, data: bytes) -> None:
    async with serving_http(certificate=certificate, head_timeout_s=SHORT_S, first_request_timeout_s=SHORT_S) as server:
        for port in (server.secure_port, server.rtsps_port):
            sock = await blocking(plain_connection, HOST, port)
            sock.sendall(data)
            assert await blocking(ended, sock)
        viewer = await connect(server, "rtsps")
        assert (await blocking(viewer.ask, "OPTIONS", "*")).status == 200


async def test_tls_1_1_is_refused(certificate: Certificate) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with serving_http(certificate=certificate) as server:
        for port in (server.secure_port, server.rtsps_port):
            sock = await blocking(plain_connection, HOST, port)
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await blocking(context.wrap_socket, sock)


async def test_a_renewed_certificate_is_used_for_new_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificate_module, "CHECK_INTERVAL_S", 0.0)
    files = make_files(tmp_path)
    async with serving_http(certificate=Certificate(*files)) as server:

        def seen(port: int) -> bytes | None:
            sock = plain_connection(HOST, port, secure=True)
            assert isinstance(sock, ssl.SSLSocket)
            return sock.getpeercert(binary_form=True)

        before = await connect(server, "rtsps")
        ports = (server.secure_port, server.rtsps_port)
        first = {await blocking(seen, port) for port in ports}
        make_certificate(*files, ["renewed"], force=True)
        second = {await blocking(seen, port) for port in ports}
        files[1].write_text("half written")
        third = {await blocking(seen, port) for port in ports}
        assert len(first) == len(second) == 1
        assert first != second
        assert third == second, "what cannot be read is not used"
        assert (await blocking(before.ask, "OPTIONS", "*")).status == 200


@pytest.mark.parametrize(
    ("certificate_text", "key_text", "reason"),
    [
        (None, "", "No such file"),
        ("no PEM", None, "PEM"),
        (None, "no PEM", "PEM"),
        ("", "", "PEM"),
    ],
)
def test_files_that_cannot_be_used_are_named(
    tmp_path: Path, files: tuple[Path, Path], certificate_text: str | None, key_text: str | None, reason: str
) -> None:
    cert_file, key_file = tmp_path / "c.pem", tmp_path / "k.pem"
    cert_file.write_text(files[0].read_text() if certificate_text is None else certificate_text)
    key_file.write_text(files[1].read_text() if key_text is None else key_text)
    if reason == "No such file":
        cert_file.unlink()
    with pytest.raises(CertificateError, match=reason) as caught:
        Certificate(cert_file, key_file)
    assert "c.pem" in str(caught.value)


def test_a_key_of_another_certificate_is_named(tmp_path: Path, files: tuple[Path, Path]) -> None:
    _, other = make_files(tmp_path)
    with pytest.raises(CertificateError, match="does not belong"):
        Certificate(files[0], other)


def test_an_encrypted_key_is_named_and_nobody_is_asked_for_a_password(tmp_path: Path, files: tuple[Path, Path]) -> None:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(files[1].read_bytes(), None)
    encrypted = tmp_path / "k.pem"
    encrypted.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(CertificateError, match="encrypted"):
        Certificate(files[0], encrypted)


def ended(sock: socket.socket) -> bool:
    try:
        while sock.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True
