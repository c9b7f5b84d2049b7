"""A web server or a camera as a source. Imports aiohttp: import it late."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from socket import AF_INET, AF_INET6, AddressFamily

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from manycast.hub.source import FrameSink, SourceDenied, SourceError
from manycast.media.track import Track
from manycast.sources.dialling import CONNECT_TIMEOUT_S, DialOptions, check_redirect, resolve, tls_context
from manycast.sources.http.intake import Pictures, intake_for
from manycast.sources.loops import LoopGuard
from manycast.wire.address import MalformedAddress, SourceAddress
from manycast.wire.login import ClientLogin, LoginRefused
from manycast.wire.multipart import MAX_PART_BYTES

SILENCE_S = 10.0  # without a byte
MAX_REDIRECTS = 5
POLL_S = 0.2  # from the beginning of one single picture to that of the next
PIECE_BYTES = 64 * 1024


class HttpSource:
    """Plays what an address gives: pictures in multipart or one by one, FLV, MPEG-TS."""

    def __init__(self, address: SourceAddress, *, options: DialOptions, guard: LoopGuard, agent: str) -> None:
        self._address = address
        self._options = options
        self._guard = guard
        self._agent = agent

    async def run(self, publish: Callable[[Sequence[Track]], FrameSink]) -> None:
        """As `hub.source.Source` says."""
        timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT_S, sock_read=SILENCE_S)
        connector = aiohttp.TCPConnector(
            resolver=_Resolver(), ssl=tls_context(self._options.verify_tls), limit=1, use_dns_cache=False
        )
        headers = {"User-Agent": self._agent, "Accept": "*/*"}
        session = aiohttp.ClientSession(
            connector=connector, timeout=timeout, headers=headers, auto_decompress=False, trust_env=False
        )
        try:
            async with session:
                await _Visit(session, self._address, self._options, self._guard).stay(publish)
        except aiohttp.ClientConnectorCertificateError as error:
            raise SourceDenied(
                f"the certificate of {self._address.authority} cannot be trusted; set tls_verify to 0 in the proxy "
                "to take it all the same"
            ) from error
        except TimeoutError:
            raise SourceError(f"nothing has come from {self._address.authority} for {SILENCE_S:.0f} s") from None
        except (aiohttp.ClientError, ValueError) as error:
            raise SourceError(f"{self._address.authority}: {_text_of(error)}") from error


class _Visit:
    """All requests of one connection's time."""

    def __init__(
        self, session: aiohttp.ClientSession, address: SourceAddress, options: DialOptions, guard: LoopGuard
    ) -> None:
        self._session = session
        self._address = address
        self._options = options
        self._guard = guard
        self._login = ClientLogin(address.user, address.password, cnonce=secrets.token_hex(8))
        self._first_peer: str | None = None

    async def stay(self, publish: Callable[[Sequence[Track]], FrameSink]) -> None:
        response = await self._get()
        if response.content_type == "image/jpeg":
            await self._poll(response, Pictures(publish))
            return
        intake = intake_for(response.headers.get("Content-Type", ""), self._address.path, publish)
        began_s = time.monotonic()
        async with response:
            async for data in response.content.iter_any():
                now_s = time.monotonic()
                intake.push(data, now_s=now_s)
                if not intake.published and now_s - began_s > SILENCE_S:
                    raise SourceError(intake.last_fault or f"no picture and no sound for {SILENCE_S:.0f} s")
        raise SourceError(intake.last_fault if not intake.published and intake.last_fault else "the server hung up")

    async def _poll(self, response: aiohttp.ClientResponse, pictures: Pictures) -> None:
        """One picture after the other."""
        while True:
            began_s = time.monotonic()
            async with response:
                data = bytearray()
                async for piece in response.content.iter_chunked(PIECE_BYTES):
                    data += piece
                    if len(data) > MAX_PART_BYTES:
                        raise SourceError(f"a picture of more than {MAX_PART_BYTES} bytes")
            pictures.picture(bytes(data), now_s=time.monotonic())
            if pictures.last_fault:
                raise SourceError(pictures.last_fault)
            await asyncio.sleep(began_s + POLL_S - time.monotonic())
            response = await self._get()

    async def _get(self) -> aiohttp.ClientResponse:
        """Ask, through redirects and logins. Raises SourceError."""
        redirects = 0
        while True:
            address = self._address
            authorization = self._login.answer("GET", address.target or "/")
            headers = {} if authorization is None else {"Authorization": authorization}
            self._check_peer((await resolve(address.host, address.port))[0])
            url = URL(address.uri, encoded=True)
            response = await self._session.get(url, headers=headers, allow_redirects=False)
            try:
                self._check(response)
                location = response.headers.get("Location")
                if 300 <= response.status < 400 and location:
                    redirects += 1
                    if redirects > MAX_REDIRECTS:
                        raise SourceError(f"redirected more than {MAX_REDIRECTS} times, last to {address}")
                    self._follow(location)
                elif response.status == 401:
                    self._login.take(response.headers.getall("WWW-Authenticate", []))
                elif response.status != 200:
                    raise SourceError(f"the server answers with {response.status} {response.reason}")
                else:
                    self._login.accepted()
                    return response
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

    def _check(self, response: aiohttp.ClientResponse) -> None:
        transport = response.connection.transport if response.connection is not None else None
        if transport is None:
            return  # a short answer, which has come whole
        local, peer = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        self._guard.check(self._address, local[:2], peer[:2])
        self._check_peer(peer[0])

    def _check_peer(self, peer: str) -> None:
        self._first_peer = self._first_peer or peer
        check_redirect(self._first_peer, peer, self._options)

    def _follow(self, location: str) -> None:
        target = self._address.redirected(location)
        if target.scheme not in ("http", "https"):
            raise SourceError(f"redirected to {target}, which is no web server")
        self._address = target
        self._login = ClientLogin(target.user, target.password, cnonce=secrets.token_hex(8))


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
    """Without the address that some of these texts hold."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect: {error.os_error.strerror or error.os_error}"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"no HTTP as it should be: {error.message[:200]}"
    if isinstance(error, aiohttp.InvalidURL):
        return "not an address that can be asked for"
    return str(error)[:200] or type(error).__name__
