"""What a client asks for on an RTMP connection (RTMP 1.0 section 7.2)."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from urllib.parse import unquote

from manycast import __version__
from manycast.hub.catalogue import Catalogue
from manycast.hub.sessions import TooManySessions
from manycast.hub.source import SourceError, SourceMissing
from manycast.hub.stored_player import StoredPlayer
from manycast.hub.stream import Stream
from manycast.servers.rtmp.connection import Host, RtmpConnection
from manycast.servers.rtmp.login import RtmpLogin
from manycast.servers.rtmp.names import StreamAddress, address_of
from manycast.servers.rtmp.play import COMPLETE_TIMEOUT_S, FilePlay, NotPlayable, Play
from manycast.servers.rtmp.publish import Publication
from manycast.wire.amf import Value
from manycast.wire.flv.mux import PLAIN_CODECS, known_codecs
from manycast.wire.rtmp.chunk import RtmpMessage
from manycast.wire.rtmp.commands import (
    FOURCCS,
    Command,
    MalformedCommand,
    UserControl,
    information,
    refusal,
    result,
    set_peer_bandwidth,
    status,
    user_control,
    window_acknowledgement_size,
)

WINDOW_BYTES = 5_000_000
MAX_STREAMS = 16  # of one connection
LINGER_S = 10.0  # for the client to hang up after what it played has ended

Activity = Publication | Play | FilePlay


class RtmpSession:
    """One connection's streams, each of which publishes or plays."""

    def __init__(
        self,
        host: Host,
        catalogue: Catalogue,
        login: RtmpLogin | None,
        connection: RtmpConnection,
        *,
        adobe_auth: bool,
    ) -> None:
        self._host = host
        self._catalogue = catalogue
        self._login = login
        self._connection = connection
        self._adobe_auth = adobe_auth
        self._app: str | None = None  # as `connect` said it
        self._via: tuple[str, ...] = ()  # what it said of servers behind the client
        self._logged_in = login is None
        self._streams: dict[int, Activity | None] = {}
        self._names: dict[int, str] = {}
        self._close_by_s: float | None = None
        self._carried = PLAIN_CODECS  # what the client can take, as far as it says

    @property
    def active(self) -> int:
        return sum(activity is not None for activity in tuple(self._streams.values()))

    # What the connection calls

    async def command(self, message: RtmpMessage) -> None:
        call = Command.parse(message)
        handler = _HANDLERS.get(call.name)
        if call.name != "connect" and self._app is None:
            raise MalformedCommand(f"{call.name} before connect")
        if handler is not None:
            await handler(self, call, message.stream_id)
        elif call.transaction and call.name not in ("_result", "_error"):
            self._send(refusal(call, "NetConnection.Call.Failed", f"{call.name} is not known here"))

    def media(self, message: RtmpMessage) -> None:
        activity = self._streams.get(message.stream_id)
        if isinstance(activity, Publication):
            activity.push(message)

    def handle_timer(self, now_s: float) -> None:
        options = self._host.options
        active = [activity for activity in self._streams.values() if activity is not None]
        if not active:
            if self._close_by_s is None and now_s - self._connection.opened_s > options.beginning_s:
                self._connection.close(f"neither published nor played within {options.beginning_s:.0f} s")
            elif self._close_by_s is not None and now_s > self._close_by_s:
                self._connection.close("what it played has ended")
        for activity in active:
            if isinstance(activity, Publication):
                activity.handle_timer(now_s)
                if now_s - activity.latest_s > options.publisher_silence_s:
                    self._connection.close(f"nothing published for {options.publisher_silence_s:.0f} s")
                    return

    def close(self, reason: str) -> None:
        for stream_id in tuple(self._streams):
            self._end(stream_id, reason)

    # The connection itself

    async def _connect(self, call: Command, _stream_id: int) -> None:
        app = call.property("app")
        if self._app is not None or not isinstance(app, str):
            raise MalformedCommand("connect twice, or without an app")
        via = call.property("via")
        self._via = (via,) if isinstance(via, str) else ()
        query = address_of(app, "-")
        parameters = query.parameters if query is not None else {}
        if self._login is not None:
            address, log = self._connection.peer_address, self._connection.log
            self._logged_in = await self._login.accepts(parameters, address, log)
            if not self._logged_in and self._adobe_auth:
                said = await self._login.refusal(parameters, address, log)
                if said is not None:
                    self._send(refusal(call, "NetConnection.Connect.Rejected", said))
                    return
                self._logged_in = True
        application = unquote(app.partition("?")[0]).strip("/").partition("/")[0]
        if application and not self._catalogue.has_application(application):
            said = f"no application is called {application!r}"
            self._host.faults.note(self._connection.log, f"connect refused: {said}")
            self._send(refusal(call, "NetConnection.Connect.InvalidApp", said))
            return
        self._app = app
        self._carried = known_codecs(call.fourccs())
        connection = self._connection
        connection.send(window_acknowledgement_size(WINDOW_BYTES))
        connection.send(set_peer_bandwidth(WINDOW_BYTES))
        encoding = call.property("objectEncoding")
        accepted: dict[str, Value] = {
            **information("NetConnection.Connect.Success", "Connection succeeded."),
            "objectEncoding": encoding if isinstance(encoding, float) else 0.0,
            "fourCcList": list(FOURCCS),
        }
        server: dict[str, Value] = {
            "fmsVer": f"FMS/3,5,7,7009 manycast/{__version__}",
            "capabilities": 31.0,
            "mode": 1.0,
        }
        self._send(result(call, server, accepted))

    async def _create_stream(self, call: Command, _stream_id: int) -> None:
        if len(self._streams) >= MAX_STREAMS:
            self._send(refusal(call, "NetConnection.Call.Failed", f"more than {MAX_STREAMS} streams"))
            return
        stream_id = max(self._streams, default=0) + 1
        self._streams[stream_id] = None
        self._send(result(call, None, float(stream_id)))

    async def _delete_stream(self, call: Command, _stream_id: int) -> None:
        number = call.number(0)
        if number is not None and int(number) in self._streams:
            self._end(int(number), "the client ended it")
            del self._streams[int(number)]
            self._close_by_s = time.monotonic() + LINGER_S

    async def _close_stream(self, _call: Command, stream_id: int) -> None:
        self._end(stream_id, "the client ended it")
        self._close_by_s = time.monotonic() + LINGER_S

    async def _unpublish(self, call: Command, _stream_id: int) -> None:
        """The stream of a name, or all where none is said."""
        assert self._app is not None
        said = call.arguments[0] if call.arguments else None
        address = address_of(self._app, said) if isinstance(said, str) else None
        path = None if address is None else self._catalogue.path_of(address.name)
        for stream_id, activity in self._streams.items():
            if isinstance(activity, Publication) and path in (None, activity.path):
                self._end(stream_id, "the client ended it")
                self._status(stream_id, "NetStream.Unpublish.Success", "The stream has ended.")
                self._close_by_s = time.monotonic() + LINGER_S

    async def _acknowledge(self, call: Command, _stream_id: int) -> None:
        """Calls that need no more than an answer, with which clients begin."""
        if call.transaction:
            self._send(result(call, None))

    # Publishing

    async def _publish(self, call: Command, stream_id: int) -> None:
        address = await self._admitted(call, stream_id, "NetStream.Publish.Denied")
        if address is None:
            return
        path = self._catalogue.path_of(address.name)
        taken = self._catalogue.taken_by(path)
        if taken is not None:
            self._refuse(stream_id, "NetStream.Publish.BadName", f"{path} is taken by {taken}")
            return
        connection = self._connection
        source = f"RTMP publisher {connection.peer}"
        self._streams[stream_id] = Publication(
            self._catalogue.hub,
            path,
            source,
            self._host.faults,
            connection.log,
            lambda reason: self._lost(stream_id, reason),
        )
        self._names[stream_id] = path
        connection.send(user_control(UserControl.STREAM_BEGIN, stream_id))
        self._status(stream_id, "NetStream.Publish.Start", f"{path} is now published.")

    def _lost(self, stream_id: int, reason: str) -> None:
        """The path went to somebody else while the first frames came."""
        self._end(stream_id, reason)
        self._refuse(stream_id, "NetStream.Publish.BadName", reason)

    # Playing

    async def _play(self, call: Command, stream_id: int) -> None:
        address = await self._admitted(call, stream_id, "NetStream.Play.Failed")
        if address is None:
            return
        try:
            activity = await self._open(address, stream_id)
            if isinstance(activity, FilePlay):
                await self._go_to_start(activity, call)
        except SourceMissing as error:
            self._refuse(stream_id, "NetStream.Play.StreamNotFound", str(error))
            return
        except (SourceError, NotPlayable) as error:
            self._refuse(stream_id, "NetStream.Play.Failed", str(error))
            return
        if activity is None:
            self._refuse(stream_id, "NetStream.Play.StreamNotFound", f"nothing is called {address.name!r}")
            return
        self._streams[stream_id] = activity
        self._names[stream_id] = address.name
        if isinstance(activity, FilePlay):
            self._connection.send(user_control(UserControl.STREAM_IS_RECORDED, stream_id))
        self._connection.send(user_control(UserControl.STREAM_BEGIN, stream_id))
        self._status(stream_id, "NetStream.Play.Reset", f"Playing and resetting {address.name}.")
        self._status(stream_id, "NetStream.Play.Start", f"Started playing {address.name}.")
        self._connection.log.info("plays %s", address.name)
        activity.begin()

    async def _go_to_start(self, activity: FilePlay, call: Command) -> None:
        """Where in a file to begin, and for how long: in ms, as all clients send them, where RTMP 1.0 says s.

        Raises SourceError and NotPlayable.
        """
        start_ms, duration_ms = call.number(1) or 0.0, call.number(2)
        if start_ms > 0:
            try:
                start_ms = await activity.seek(start_ms)
            except (SourceError, NotPlayable):
                activity.close()
                raise
        if duration_ms is not None and duration_ms >= 0:
            activity.stop_at(max(0.0, start_ms) + duration_ms)

    async def _open(self, address: StreamAddress, stream_id: int) -> Play | FilePlay | None:
        """Raises SourceError and NotPlayable."""
        self._catalogue.asked(address.name, self._via)
        for name in address.names:
            found = await self._catalogue.find(name)
            if found is not None:
                break
        else:
            return None
        outbox = self._connection.outbox
        old_hevc = address.parameters.get("codecid") == "12"
        if isinstance(found, Stream):
            found = await self._catalogue.stream_for(found, self._carried)
            await found.wait_complete(COMPLETE_TIMEOUT_S)
            return Play(
                found, outbox, stream_id, old_hevc=old_hevc, on_end=lambda reason: self._play_ended(stream_id, reason)
            )
        hub = self._catalogue.hub
        found = await self._catalogue.media_for(found, self._carried)
        player = StoredPlayer(
            found, self._host.options.loops, hub.limits, lambda reason: self._file_ended(stream_id, reason)
        )
        return FilePlay(
            player, outbox, stream_id, old_hevc=old_hevc, on_end=lambda reason: self._play_ended(stream_id, reason)
        )

    def _play_ended(self, stream_id: int, reason: str) -> None:
        """A live source is gone for good."""
        self._status(stream_id, "NetStream.Play.UnpublishNotify", f"The stream has ended: {reason}.")
        self._ended(stream_id, reason)

    def _file_ended(self, stream_id: int, reason: str) -> None:
        # No onPlayStatus, as Flash had it: ffmpeg takes that for a track of its own, and ffprobe crashes.
        self._status(stream_id, "NetStream.Play.Stop", f"Stopped: {reason}.")
        self._ended(stream_id, reason)

    def _ended(self, stream_id: int, reason: str) -> None:
        self._connection.send(user_control(UserControl.STREAM_EOF, stream_id))
        self._end(stream_id, reason)
        self._close_by_s = time.monotonic() + LINGER_S

    async def _pause(self, call: Command, stream_id: int) -> None:
        activity = self._streams.get(stream_id)
        if not isinstance(activity, Play | FilePlay):
            return
        if call.arguments[:1] == (True,):
            activity.pause()
            self._status(stream_id, "NetStream.Pause.Notify", "Paused.")
        else:
            self._status(stream_id, "NetStream.Unpause.Notify", "Goes on.")
            activity.begin()

    async def _seek(self, call: Command, stream_id: int) -> None:
        activity = self._streams.get(stream_id)
        position_ms = call.number(0)
        if not isinstance(activity, FilePlay) or position_ms is None:
            self._refuse(stream_id, "NetStream.Seek.Failed", "only files can be searched")
            return
        try:
            found_ms = await activity.seek(position_ms)
        except (SourceError, NotPlayable) as error:
            self._refuse(stream_id, "NetStream.Seek.Failed", str(error))
            return
        self._connection.send(user_control(UserControl.STREAM_BEGIN, stream_id))
        self._status(stream_id, "NetStream.Seek.Notify", f"Seeking {found_ms}.")
        self._status(stream_id, "NetStream.Play.Start", f"Plays from {found_ms} ms.")
        if not activity.paused:
            activity.begin()

    # Common

    async def _admitted(self, call: Command, stream_id: int, denied: str) -> StreamAddress | None:
        """The address a stream is opened for; None when it has been refused."""
        if stream_id not in self._streams or self._streams[stream_id] is not None:
            raise MalformedCommand(f"{call.name} on stream {stream_id}, which is not there or in use")
        assert self._app is not None
        try:
            self._catalogue.hub.sessions.check_room()
        except TooManySessions as error:
            self._refuse(stream_id, denied, str(error))
            return None
        address = address_of(self._app, call.text(0))
        if address is None:
            self._refuse(stream_id, denied, "no stream can be called so")
            return None
        if self._logged_in:
            return address
        assert self._login is not None
        connection = self._connection
        if await self._login.accepts(address.parameters, connection.peer_address, connection.log):
            self._logged_in = True
            return address
        self._refuse(stream_id, denied, "a login is needed: add ?user=NAME&pass=PASSWORD to the address")
        return None

    def _end(self, stream_id: int, reason: str) -> None:
        activity = self._streams.get(stream_id)
        if activity is None:
            return
        self._streams[stream_id] = None
        name = self._names.pop(stream_id, "")
        if isinstance(activity, Publication):
            activity.close(reason)
        else:
            activity.close()
            self._connection.log.info("viewer of %s closed: %s; %s", name, reason, activity)

    def _refuse(self, stream_id: int, code: str, description: str) -> None:
        self._host.faults.note(self._connection.log, f"refused with {code}: {description}")
        self._status(stream_id, code, description, level="error")
        self._close_by_s = time.monotonic() + LINGER_S

    def _status(self, stream_id: int, code: str, description: str, *, level: str = "status") -> None:
        self._send(status(code, description, level=level), stream_id)

    def _send(self, command: Command, stream_id: int = 0) -> None:
        self._connection.send(command.message(stream_id))


_Handler = Callable[[RtmpSession, Command, int], Awaitable[None]]

_HANDLERS: dict[str, _Handler] = {
    "connect": RtmpSession._connect,
    "createStream": RtmpSession._create_stream,
    "initStream": RtmpSession._acknowledge,
    "deleteStream": RtmpSession._delete_stream,
    "closeStream": RtmpSession._close_stream,
    "releaseStream": RtmpSession._acknowledge,
    "FCPublish": RtmpSession._acknowledge,
    "FCUnpublish": RtmpSession._unpublish,
    "FCSubscribe": RtmpSession._acknowledge,
    "_checkbw": RtmpSession._acknowledge,
    "getStreamLength": RtmpSession._acknowledge,
    "publish": RtmpSession._publish,
    "play": RtmpSession._play,
    "pause": RtmpSession._pause,
    "pauseRaw": RtmpSession._pause,
    "seek": RtmpSession._seek,
}
