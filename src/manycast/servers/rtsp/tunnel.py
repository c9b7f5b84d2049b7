"""RTSP over HTTP and HTTPS: a GET that carries what we send, joined with the POSTs that carry what the client sends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from manycast import __version__
from manycast.hub.pipe import HungUp, receive
from manycast.hub.rtp_packager import Framing
from manycast.hub.tcp_viewer import TcpOutbox
from manycast.servers.client import Client
from manycast.servers.connection_log import ConnectionLog
from manycast.servers.http.request import HttpRequest
from manycast.servers.rtsp.options import RECLAIM_TIMEOUT_S
from manycast.servers.rtsp.reply import complete
from manycast.servers.rtsp.server import RtspServer
from manycast.servers.waiting_room import WaitingRoom
from manycast.wire.http import CONTINUE, HttpError
from manycast.wire.rtsp.errors import BadRequest
from manycast.wire.rtsp.headers import http_date
from manycast.wire.rtsp.message import Response
from manycast.wire.rtsp.tunnel import PostBody, WrongTunnelData, get_reply, is_tunnel_request, tunnel_cookie

ORPHAN_S = 30.0  # for a GET without a POST, and a POST without a GET
REOPEN_S = RECLAIM_TIMEOUT_S  # for the next POST of a tunnel that was whole
MAX_HALF_OPEN = 2000
MAX_HALF_OPEN_PER_ADDRESS = 1000  # behind one there may be a whole network, whose viewers all come back at once
MAX_UNASKED_BYTES = 64 * 1024  # on the GET's connection, where the client has nothing to say
MAX_EARLY_BYTES = 64 * 1024  # of a POST whose GET has not come: more than clients say before they have an answer


Note = Callable[[Client, str], None]  # tells people of a client's fault


class TunnelRoute:
    """The tunnels of one port: joins GET and POST, whichever comes first, by their cookie."""

    def __init__(self, server: RtspServer, *, orphan_s: float = ORPHAN_S) -> None:
        self._server = server
        self._orphan_s = orphan_s
        self._links: dict[str, TunnelLink] = {}  # every GET, by cookie
        self._posts: dict[str, Post] = {}  # those that came before their GET
        self._half_open: WaitingRoom[TunnelLink | Post] = WaitingRoom(MAX_HALF_OPEN, MAX_HALF_OPEN_PER_ADDRESS)

    @property
    def half_open(self) -> int:
        """GETs without a POST, and POSTs without a GET."""
        return len(self._half_open)

    def take(self, request: HttpRequest) -> bool:
        if not is_tunnel_request(request.head):
            return False
        cookie = tunnel_cookie(request.head)
        if request.head.method == "GET":
            self._take_get(request, cookie)
        else:
            self._take_post(request, cookie)
        return True

    def close(self) -> None:
        """Hang up on those that wait for their other half. Whole tunnels are the RTSP server's to close."""
        halves: list[TunnelLink | Post] = [*self._links.values(), *self._posts.values()]
        for half in halves:
            if half in self._half_open:
                half.close()

    def _take_get(self, request: HttpRequest, cookie: str) -> None:
        if cookie in self._links:
            raise HttpError(409, "there is an RTSP tunnel with this x-sessioncookie already")
        link = TunnelLink(request.client, self._orphan_s, self._note, lambda: self._forget_link(cookie, link))
        self._links[cookie] = link
        post = self._posts.get(cookie)
        if post is None:
            self._wait(link)
        else:
            self._forget_post(cookie, post)
            link.use(post)
            self._server.adopt(link)

    def _take_post(self, request: HttpRequest, cookie: str) -> None:
        post = Post(request, self._orphan_s, self._note, lambda: self._forget_post(cookie, post))
        link = self._links.get(cookie)
        if link is None:
            if cookie in self._posts:
                self._posts[cookie].close()
            self._posts[cookie] = post
            self._wait(post)
            return
        first = link in self._half_open
        self._half_open.remove(link)
        link.use(post)
        if first:
            self._server.adopt(link)

    def _wait(self, half: TunnelLink | Post) -> None:
        gone = self._half_open.add(half, half.client.peer[0])
        if gone is not None:
            self._note(half.client, "too many half-open RTSP tunnels, the oldest is closed")
            gone.close()

    def _forget_link(self, cookie: str, link: TunnelLink) -> None:
        self._links.pop(cookie, None)
        self._half_open.remove(link)

    def _forget_post(self, cookie: str, post: Post) -> None:
        if self._posts.get(cookie) is post:
            del self._posts[cookie]
        self._half_open.remove(post)

    def _note(self, client: Client, text: str) -> None:
        self._server.faults.note(ConnectionLog(self._server.log, f"RTSP over {_name(client)} {client}"), text)


class TunnelLink:
    """A GET, and the POST of the moment; a client may close its POST and open another when it has more to say."""

    framing: Framing | None = None

    def __init__(self, client: Client, orphan_s: float, note: Note, on_gone: Callable[[], None]) -> None:
        """Answers the GET. `on_gone` is called once, when the link is closed."""
        self.client = client
        self.name = _name(client)
        self.secure = client.secure
        self.peer_address, self.peer_port = client.peer
        self.local_address = client.local_address
        self._note = note
        self._on_gone = on_gone
        self._on_data: Callable[[bytes], None] | None = None
        self._on_end: Callable[[str], None] | None = None
        self._post: Post | None = None
        self._paused = False
        self._closed = False
        self._unasked_bytes = 0
        self._loop = asyncio.get_running_loop()
        self.outbox = TcpOutbox(client.pipe, self._loop, self._end)
        self._timer: asyncio.TimerHandle | None = None
        self._wait_for_post("no POST came", orphan_s)
        client.pipe.when_readable(self._readable)
        self.outbox.write(get_reply(f"manycast/{__version__}", http_date(time.time())))

    def use(self, post: Post) -> None:
        """Take what the client says from this POST on; an earlier one is closed, after what it has brought."""
        earlier, self._post = self._post, None
        if earlier is not None:
            earlier.read()
            earlier.close()
        self._stop_waiting()
        if self._closed:  # by what the earlier POST said
            post.close()
            return
        self._post = post
        if self._on_data is not None:
            self._start_post()

    def start(self, on_data: Callable[[bytes], None], on_end: Callable[[str], None]) -> None:
        self._on_data, self._on_end = on_data, on_end
        self._start_post()

    def pause_reading(self) -> None:
        self._paused = True
        if self._post is not None:
            self._post.pause()

    def resume_reading(self) -> None:
        self._paused = False
        if self._post is not None:
            self._post.resume()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._stop_waiting()
        self.outbox.close()
        self.client.pipe.close()
        if self._post is not None:
            self._post.close()
        self._on_gone()

    def _start_post(self) -> None:
        assert self._post is not None
        self._post.start(self._received, self._post_ended)
        if self._paused:
            self._post.pause()

    def _received(self, data: bytes) -> None:
        if self._on_data is not None and not self._closed:
            self._on_data(data)

    def _post_ended(self, fault: str | None) -> None:
        """`fault` is None for a POST that ended as it may."""
        if fault is not None:
            self.outbox.write(complete(Response.of_error(BadRequest(fault)), None).serialize())
            self._note(self.client, fault)
            self._end(fault)
        elif self._post is not None:
            self._post.close()
            self._post = None
            # One who opens a POST for each request comes back for its next keep-alive.
            self._wait_for_post("its POST ended and no other came", REOPEN_S)

    def _wait_for_post(self, what: str, wait_s: float) -> None:
        self._timer = self._loop.call_later(wait_s, self._orphaned, f"{what} for {wait_s:.0f} s")

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _orphaned(self, reason: str) -> None:
        self._note(self.client, reason)
        self._end(reason)

    def _readable(self) -> None:
        """On the GET's connection, where the client has nothing to say but that it hangs up."""
        try:
            self._unasked_bytes += len(receive(self.client.pipe))
        except HungUp as reason:
            self._end(str(reason))
            return
        if self._unasked_bytes > MAX_UNASKED_BYTES:
            self._end("floods the GET of its tunnel")

    def _end(self, reason: str) -> None:
        if self._closed:
            return
        if self._on_end is not None:
            self._on_end(reason)  # which closes us
        else:
            self.close()


class Post:
    """One POST: reads its body."""

    def __init__(self, request: HttpRequest, orphan_s: float, note: Note, on_gone: Callable[[], None]) -> None:
        """What comes before `start` is kept. `on_gone` is called once, when it is closed."""
        self.client = request.client
        self._body = PostBody(request.head)
        self._early = request.received
        self._note = note
        self._on_gone = on_gone
        self._on_data: Callable[[bytes], None] | None = None
        self._on_end: Callable[[str | None], None] | None = None
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(orphan_s, self._orphaned, orphan_s)
        if request.head.expects_continue:
            try:
                self.client.pipe.send(CONTINUE)
            except OSError:
                pass  # it will be seen when it is read
        self.client.pipe.when_readable(self._keep)

    def start(self, on_data: Callable[[bytes], None], on_end: Callable[[str | None], None]) -> None:
        """Pass on the RTSP in it; `on_end` is called with what was wrong, or None where nothing was."""
        self._timer.cancel()
        self._on_data, self._on_end = on_data, on_end
        self.resume()
        if self._early:
            early, self._early = self._early, b""
            self._loop.call_soon(self._receive, early)

    def pause(self) -> None:
        if not self._closed:
            self.client.pipe.when_readable(None)

    def resume(self) -> None:
        if not self._closed:
            self.client.pipe.when_readable(self.read)

    def _keep(self) -> None:
        """Before there is somebody to pass it on to."""
        try:
            self._early += receive(self.client.pipe)
        except HungUp:
            if self._early:
                self.pause()  # its GET may still be on the way
            else:
                self.close()
            return
        if len(self._early) > MAX_EARLY_BYTES:
            self.pause()

    def read(self) -> None:
        """Take what has come."""
        try:
            data = receive(self.client.pipe)
        except HungUp as reason:
            self._end(f"its POST broke off: {reason}" if self._body.pending else None)
            return
        if data:
            self._receive(data)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._timer.cancel()
        self.client.pipe.close()
        self._on_gone()

    def _receive(self, data: bytes) -> None:
        if self._closed:
            return
        try:
            decoded = self._body.receive(data)
        except WrongTunnelData as error:
            self._end(str(error))
            return
        if decoded and self._on_data is not None:
            self._on_data(decoded)

    def _end(self, fault: str | None) -> None:
        if self._on_end is not None and not self._closed:
            self._on_end(fault)

    def _orphaned(self, orphan_s: float) -> None:
        self._note(self.client, f"no GET came to its POST for {orphan_s:.0f} s")
        self.close()


def _name(client: Client) -> str:
    return "HTTPS" if client.secure else "HTTP"
