"""A notification consumer: an HTTP server that takes Notify messages."""

from __future__ import annotations

import queue
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import urlsplit

from lxml import etree

from conformance.client import NAMESPACES, BadReply, qualified, validate
from conformance.frame import Failed

ACTION = "http://docs.oasis-open.org/wsn/bw-2/NotificationConsumer/Notify"


class Consumer:
    """Listens where the device can reach it, while it is entered."""

    def __init__(self, device_url: str) -> None:
        self._notifications: queue.Queue[list[etree._Element] | Exception] = queue.Queue()
        host = _own_address(device_url)
        self._server = _Server((host, 0), self._take_message)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self._server.server_port}/onvif_notify_server"

    def __enter__(self) -> Consumer:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take(self, timeout_s: float) -> list[etree._Element]:
        """The wsnt:NotificationMessages of the next Notify; none if none comes. Raises Failed for a bad one."""
        try:
            taken = self._notifications.get(timeout=timeout_s)
        except queue.Empty:
            return []
        if isinstance(taken, Exception):
            raise taken
        return taken

    def _take_message(self, path: str, data: bytes) -> None:
        try:
            self._notifications.put(_read(path, data))
        except (Failed, BadReply, etree.XMLSyntaxError) as error:
            self._notifications.put(Failed(f"bad Notify: {error}"))


def _read(path: str, data: bytes) -> list[etree._Element]:
    if path != "/onvif_notify_server":
        raise Failed(f"it was sent to {path}")
    root = etree.fromstring(data)
    action = root.findtext("env:Header/wsa:Action", "", NAMESPACES).strip()
    if action != ACTION:
        raise Failed(f"{action!r} as its action, expected {ACTION}")
    if root.find("env:Header/wsa:ReplyTo", NAMESPACES) is not None:
        identifier = root.findtext("env:Header/wsa:MessageID", "", NAMESPACES).strip()
        if ":" not in identifier:
            raise Failed(f"{identifier!r} as its message id, beside a ReplyTo")
    notify = root.find("env:Body/wsnt:Notify", NAMESPACES)
    if notify is None:
        raise Failed(f"no {qualified('wsnt:Notify')} in its body")
    validate(notify)
    return notify.findall("wsnt:NotificationMessage", NAMESPACES)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], take: object) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.take = take
        super().__init__(address, _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A device that leaves in the middle is no news here; what it did not say is missed by the case."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            data = b"".join(iter(self._chunk, b""))
        else:
            data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()
        assert isinstance(self.server, _Server)
        assert callable(self.server.take)
        self.server.take(self.path, data)

    def _chunk(self) -> bytes:
        size = int(self.rfile.readline().split(b";")[0], 16)
        data = self.rfile.read(size)
        self.rfile.readline()
        return data

    def log_message(self, format: str, *args: object) -> None:
        pass


def _own_address(device_url: str) -> str:
    """The address of ours that the way to the device begins at."""
    parts = urlsplit(device_url)
    family, _, _, _, address = socket.getaddrinfo(parts.hostname, parts.port or 80, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect(address)
        return str(probe.getsockname()[0])
