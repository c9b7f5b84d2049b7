"""Asks a web server for things, through redirects and logins. Imports aiohttp: import it late."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from socket import AF_INET, AF_INET6, AddressFamily
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from manycast.hub.source import SourceDenied, SourceError
from manycast.sources.dialling import CONNECT_TIMEOUT_S, DialOptions, check_redirect, resolve, tls_context
from manycast.sources.loops import LoopGuard
from manycast.wire.address import MalformedAddress, SourceAddress
from manycast.wire.login import ClientLogin, LoginRefused
from manycast.wire.via import serialize_via

SILENCE_S = 10.0  # without a byte
READ_TIMEOUT_S = 30  # for a picture or a playlist, however slowly it drips
MAX_REDIRECTS = 5
MAX_CONNECTIONS = 4  # to one source: its playlists and segments may come from several servers
OK, PARTIAL_CONTENT, LOOP_DETECTED = 200, 206, 508


class NotThere(SourceError):
    """The server does not have it, or not any more."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found, and where, behind all redirects. The response is to be closed."""

    response: aiohttp.ClientResponse
    address: SourceAddress
    head: bytes = b""  # of the body, where it has been read already

    async def with_head(self, size_bytes: int, *, limit_s: float) -> Self:
        """With the first bytes of the body, fewer where it ends before. Raises SourceError when they do not come."""
        head = bytearray()
        try:
            async with asyncio.timeout(limit_s) as timeout:
                while len(head) < size_bytes and (piece := await self.response.content.read(size_bytes - len(head))):
                    head += piece
        except TimeoutError:
            if not timeout.expired():
                raise
            raise SourceError(f"{size_bytes} bytes that take longer than {limit_s} s") from None
        return replace(self, head=bytes(head))

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes."""
        if self.head:
            yield self.head
        async for piece in self.response.content.iter_any():
            yield piece

    async def read(self, limit_bytes: int, what: str, *, limit_s: float | None) -> bytes:
        """The whole body. Raises SourceError for one that is too long, or takes too long."""
        data = bytearray()
        try:
            async with asyncio.timeout(limit_s) as timeout, self.response:
                async for piece in self.pieces():
                    data += piece
                    if len(data) > limit_bytes:
                        raise SourceError(f"{what} of more than {limit_bytes} bytes")
        except TimeoutError:
            if not timeout.expired():
                raise
            raise SourceError(f"{what} that takes longer than {limit_s} s") from None
        return bytes(data)


class HttpClient:
    """All that is asked of a source's servers during one connection's time."""

    def __init__(self, session: aiohttp.ClientSession, options: DialOptions, guard: LoopGuard) -> None:
        self._session = session
        self._options = options
        self._guard = guard
        self._logins: dict[tuple[str, str | None], ClientLogin] = {}  # by the server, and its user
        self._first_peer: str | None = None

    async def get(
        self, address: SourceAddress, headers: Mapping[str, str] | None = None, *, is_stream: bool = True
    ) -> Answer:
        """Ask. `is_stream` says that the address is a stream's, rather than that of a part of it.

        Raises SourceError, NotThere.
        """
        redirects = 0
        while True:
            login = self._login_for(address)
            authorization = login.answer("GET", address.target or "/")
            fields = {**(headers or {}), **({} if authorization is None else {"Authorization": authorization})}
            if is_stream:
                fields["Via"] = serialize_via("1.1", self._guard.marks())
            self._check_peer((await resolve(address.host, address.port))[0])
            url = URL(address.uri, encoded=True)
            response = await self._session.get(url, headers=fields, allow_redirects=False)
            try:
                self._check(address, response, is_stream=is_stream)
                location = response.headers.get("Location")
                if 300 <= response.status < 400 and location:
                    redirects += 1
                    if redirects > MAX_REDIRECTS:
                        raise SourceError(f"redirected more than {MAX_REDIRECTS} times, last to {address}")
                    address = _redirected(address, location)
                elif response.status == 401:
                    login.take(response.headers.getall("WWW-Authenticate", []))
                elif response.status in (OK, PARTIAL_CONTENT):
                    login.accepted()
                    return Answer(response, address)
                elif response.status == LOOP_DETECTED:
                    raise SourceDenied("a loop: the server there gets the stream from here (508)")
                else:
                    error = NotThere if response.status in (404, 410) else SourceError
                    raise error(f"the server answers with {response.status} {response.reason}")
            except LoginRefused as error:
                response.close()
                raise SourceDenied(str(error)) from error
            except MalformedAddress as error:
                response.close()
                raise SourceError(str(error)) from error
            except BaseException:
                response.close()
                raise
            response.close()

    def _login_for(self, address: SourceAddress) -> ClientLogin:
        key = f"{address.scheme}://{address.authority}", address.user
        login = self._logins.get(key)
        if login is None:
            login = self._logins[key] = ClientLogin(address.user, address.password, cnonce=secrets.token_hex(8))
        return login

    def _check(self, address: SourceAddress, response: aiohttp.ClientResponse, *, is_stream: bool) -> None:
        transport = response.connection.transport if response.connection is not None else None
        if transport is None:
            return  # a short answer, which has come whole
        local, peer = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        if is_stream:
            self._guard.check(address, local[:2], peer[:2])
        self._check_peer(peer[0])

    def _check_peer(self, peer: str) -> None:
        self._first_peer = self._first_peer or peer
        check_redirect(self._first_peer, peer, self._options)


@asynccontextmanager
async def http_client(
    address: SourceAddress, options: DialOptions, guard: LoopGuard, agent: str
) -> AsyncIterator[HttpClient]:
    """A client for a source at an address. What goes wrong with it inside the block is raised as SourceError."""
    timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT_S, sock_read=SILENCE_S)
    connector = aiohttp.TCPConnector(
        resolver=_Resolver(), ssl=tls_context(options.verify_tls), limit=MAX_CONNECTIONS, use_dns_cache=False
    )
    session = aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        headers={"User-Agent": agent, "Accept": "*/*"},
        auto_decompress=False,
        trust_env=False,
    )
    try:
        async with session:
            yield HttpClient(session, options, guard)
    except aiohttp.ClientConnectorCertificateError as error:
        raise SourceDenied(
            f"the certificate of {address.authority} cannot be trusted; set tls_verify to 0 in the proxy "
            "to take it all the same"
        ) from error
    except TimeoutError:
        raise SourceError(f"nothing has come from {address.authority} for {SILENCE_S:.0f} s") from None
    except (aiohttp.ClientError, ValueError) as error:
        raise SourceError(f"{address.authority}: {_text_of(error)}") from error


def _redirected(address: SourceAddress, location: str) -> SourceAddress:
    target = address.redirected(location)
    if target.scheme not in ("http", "https"):
        raise SourceError(f"redirected to {target}, which is no web server")
    return target


class _Resolver(AbstractResolver):
    """Looks names up as all sources do."""

    async def resolve(self, host: str, port: int = 0, family: AddressFamily = AF_INET) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=found,
                port=port,
                family=AF_INET6 if ":" in found else AF_INET,
                proto=0,
                flags=0,
            )
            for found in await resolve(host, port)
        ]

    async def close(self) -> None:
        pass


def _text_of(error: Exception) -> str:
    """In one line, and without the address that some of these texts hold."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect: {error.os_error.strerror or error.os_error}"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"no HTTP as it should be: {_one_line(error.message)}"
    if isinstance(error, aiohttp.InvalidURL):
        return "not an address that can be asked for"
    return _one_line(str(error)) or type(error).__name__


def _one_line(text: str) -> str:
    """aiohttp shows over several lines where in a head it stumbled."""
    return " ".join(text.split())[:200]
