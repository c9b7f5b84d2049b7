"""RTSP through HTTP, the client's side: a GET whose answer never ends, a POST that is never answered."""

from __future__ import annotations

import asyncio
import secrets
from base64 import b64encode
from collections.abc import Callable

from manycast.hub.source import SourceDenied, SourceError
from manycast.sources.dialling import DialOptions, Link, dial
from manycast.wire.address import SourceAddress
from manycast.wire.http import HttpError, ResponseHead, find_head_end
from manycast.wire.login import ClientLogin, LoginRefused
from manycast.wire.rtsp.tunnel import open_get, open_post

ANSWER_TIMEOUT_S = 8.0


class TunnelLink:
    """Both connections as one."""

    def __init__(self, down: Link, up: Link) -> None:
        self._down = down
        self._up = up

    @classmethod
    async def open(
        cls,
        address: SourceAddress,
        options: DialOptions,
        user_agent: str,
        on_data: Callable[[bytes], None],
        on_end: Callable[[str], None],
    ) -> TunnelLink:
        """Raises SourceError."""
        login = ClientLogin(address.user, address.password, cnonce=secrets.token_hex(8))
        while True:
            cookie = secrets.token_hex(11)
            answers: asyncio.Future[tuple[ResponseHead, bytes]] = asyncio.get_running_loop().create_future()
            down = await dial(address, lambda answers=answers: _first(answers, on_end), options)  # type: ignore[misc]
            up: Link | None = None
            try:
                down.write(open_get(address, cookie, user_agent, login.answer("GET", address.target or "/")))
                head, rest = await _answer(answers)
                if head.status == 401:
                    login.take(head.get_all("WWW-Authenticate"))
                    down.close()
                    continue
                if head.status != 200:
                    raise SourceError(f"the tunnel is answered with {head.status} {head.reason}")
                up = await dial(address, lambda: Link(_ignore, on_end), options)
                up.write(open_post(address, cookie, user_agent, login.answer("POST", address.target or "/")))
            except LoginRefused as error:
                down.close()
                raise SourceDenied(str(error)) from error
            except BaseException:
                down.close()
                if up is not None:
                    up.close()
                raise
            down.on_data = on_data
            if rest:
                on_data(rest)
            return cls(down, up)

    def write(self, data: bytes) -> None:
        if data:
            self._up.write(b64encode(data))

    def close(self) -> None:
        self._up.close()
        self._down.close()

    @property
    def peer(self) -> tuple[str, int]:
        return self._down.peer

    @property
    def local(self) -> tuple[str, int]:
        return self._down.local


def _first(answers: asyncio.Future[tuple[ResponseHead, bytes]], on_end: Callable[[str], None]) -> Link:
    """A connection up to the head of the answer."""
    received = bytearray()

    def data(piece: bytes) -> None:
        if answers.done():
            received.extend(piece)
            return
        received.extend(piece)
        try:
            end = find_head_end(received)
            if end is not None:
                answers.set_result((ResponseHead.parse(bytes(received[:end])), bytes(received[end:])))
        except HttpError as error:
            answers.set_exception(SourceError(f"what answers there does not speak HTTP: {error}"))

    def ended(reason: str) -> None:
        if answers.done():
            on_end(reason)
        else:
            answers.set_exception(SourceError(reason))

    return Link(data, ended)


async def _answer(answers: asyncio.Future[tuple[ResponseHead, bytes]]) -> tuple[ResponseHead, bytes]:
    try:
        return await asyncio.wait_for(answers, ANSWER_TIMEOUT_S)
    except TimeoutError:
        raise SourceError(f"no answer to the GET of a tunnel for {ANSWER_TIMEOUT_S:.0f} s") from None


def _ignore(_data: bytes) -> None:
    pass
