"""A client of WS-Discovery, on sockets."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass
from uuid import uuid4

from lxml import etree

from manycast.onvif.discovery.messages import ADDRESSING, DEVICE_WSDL, DISCOVERY, NETWORK_WSDL, SOAP_12
from support.sockets import kept
from support.waiting import DEADLINE_S

GROUP, GROUP_6 = "239.255.255.250", "ff02::c"
LOOPBACK = socket.inet_aton("127.0.0.1")
NAMES = {"s": SOAP_12, "a": ADDRESSING, "d": DISCOVERY}


@dataclass(frozen=True, slots=True)
class Heard:
    """A message, and where it came from."""

    root: etree._Element
    sender: tuple[str, int]

    @property
    def action(self) -> str:
        return self.header("a:Action").rpartition("/")[2]

    @property
    def scopes(self) -> list[str]:
        return self.body("d:Scopes").split()

    @property
    def xaddrs(self) -> list[str]:
        return self.body("d:XAddrs").split()

    @property
    def endpoint(self) -> str:
        return self.body("a:EndpointReference/a:Address")

    @property
    def number(self) -> int:
        sequence = self.root.find("s:Header/d:AppSequence", NAMES)
        assert sequence is not None
        return int(sequence.get("MessageNumber", ""))

    def header(self, path: str) -> str:
        return self.root.findtext(f"s:Header/{path}", "", NAMES)

    def body(self, path: str) -> str:
        return self.root.findtext(f"s:Body//{path}", "", NAMES)


def message(action: str, content: str, message_id: str | None = None) -> bytes:
    return f"""<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="{SOAP_12}" xmlns:a="{ADDRESSING}"
        xmlns:d="{DISCOVERY}" xmlns:dn="{NETWORK_WSDL}" xmlns:tds="{DEVICE_WSDL}"><s:Header>
        <a:Action>{DISCOVERY}/{action}</a:Action><a:MessageID>{message_id or uuid4().urn}</a:MessageID>
        <a:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To></s:Header>
        <s:Body><d:{action}>{content}</d:{action}></s:Body></s:Envelope>""".encode()


def probe(types: str = "", scopes: str = "", rule: str = "", message_id: str | None = None) -> bytes:
    match_by = f' MatchBy="{rule}"' if rule else ""
    return message("Probe", f"<d:Types>{types}</d:Types><d:Scopes{match_by}>{scopes}</d:Scopes>", message_id)


def resolve(endpoint: str) -> bytes:
    address = f"<a:Address>{endpoint}</a:Address>"
    return message("Resolve", f"<a:EndpointReference>{address}</a:EndpointReference>")


class DiscoveryClient:
    """On the loopback: asks, and hears what devices say to everybody."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._asking = kept(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self._asking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, LOOPBACK)
        self._asking.bind(("127.0.0.1", 0))
        self._hearing = kept(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self._hearing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._hearing.bind((GROUP, port))
        membership = struct.pack("=4s4s", socket.inet_aton(GROUP), LOOPBACK)
        self._hearing.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        for sock in (self._asking, self._hearing):
            sock.setblocking(False)

    def ask_all(self, data: bytes) -> None:
        self._asking.sendto(data, (GROUP, self._port))

    def ask(self, data: bytes) -> None:
        """Whoever is at this address."""
        self._asking.sendto(data, ("127.0.0.1", self._port))

    async def answer(self) -> Heard:
        return await self._next(self._asking)

    async def announcement(self, action: str) -> Heard:
        """The next Hello or Bye; probes are heard, too."""
        while True:
            heard = await self._next(self._hearing)
            if heard.action == action:
                return heard

    async def _next(self, sock: socket.socket) -> Heard:
        async with asyncio.timeout(DEADLINE_S):
            data, sender = await asyncio.get_running_loop().sock_recvfrom(sock, 65536)
        return Heard(etree.fromstring(data), sender)
