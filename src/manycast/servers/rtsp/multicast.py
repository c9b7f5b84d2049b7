"""Multicast: what a stream's sessions share, so that its data is on the network once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from manycast.hub.fanout import BacklogLimit
from manycast.hub.rtp_packager import UdpLayout
from manycast.hub.udp_viewer import Sender, UdpViewer
from manycast.servers.rtsp.connection import RtspConnection
from manycast.servers.rtsp.link import family_of
from manycast.servers.rtsp.multicast_sockets import GroupSockets, random_group
from manycast.servers.rtsp.shared_target import SharedTarget
from manycast.servers.rtsp.targets import JoinableTarget
from manycast.servers.rtsp.transports import RtcpSink, RtpSink, agreed_transport, is_udp
from manycast.servers.rtsp.udp_ports import NoPortsLeft, SessionPorts, UdpPorts
from manycast.wire.rtsp.errors import NotEnoughBandwidth, UnsupportedTransport
from manycast.wire.rtsp.headers import TransportSpec

OnEnd = Callable[[str], None]


class MulticastGroups:
    """The groups of one RTSP server: one for each stream or file that is played by multicast, and interface."""

    def __init__(self, ports: UdpPorts, *, ttl: int, segmentation: bool) -> None:
        self.ttl = ttl
        self.segmentation = segmentation
        self._ports = ports
        self._groups: dict[tuple[str, str], MulticastGroup] = {}

    def __len__(self) -> int:
        return len(self._groups)

    async def find(
        self, path: str, local_address: str, open_target: Callable[[OnEnd], Awaitable[JoinableTarget]]
    ) -> MulticastGroup:
        """The group that has what is at a path, made for its first session; it goes with its last one.

        `open_target` gives what is played, with the function to be called at its end; its errors are passed on.
        """
        key = (path, local_address)
        if key not in self._groups:
            main = SharedTarget()
            target = await open_target(main.ended)
            if key in self._groups:  # another session was faster
                target.close(say_goodbye=False)
            else:
                main.target = target
                address = self._free_address(local_address)
                ports = SessionPorts(self._ports, local_address)
                self._groups[key] = MulticastGroup(self, key, address, ports, main)
        return self._groups[key]

    def forget(self, key: tuple[str, str]) -> None:
        del self._groups[key]

    def _free_address(self, local_address: str) -> str:
        taken = {group.address for group in self._groups.values()}
        while True:
            address = random_group(family_of(local_address))
            if address not in taken:
                return address


@dataclass(frozen=True, slots=True)
class _Feed:
    """What goes out to a group by one clock: the tracks of the stream or file, or of what is at its side."""

    tracks: range  # in the numbers of the sessions
    viewer: UdpViewer
    layout: UdpLayout
    senders: dict[int, Sender]  # by the viewer's slots
    limit: BacklogLimit


class MulticastGroup:
    """A group's address, the sockets of its tracks, and what it plays."""

    def __init__(
        self, groups: MulticastGroups, key: tuple[str, str], address: str, ports: SessionPorts, main: SharedTarget
    ) -> None:
        self.address = address
        self.local_address = key[1]
        self.ttl = groups.ttl
        self.main = main
        self._groups = groups
        self._key = key
        self._ports = ports
        self._side: SharedTarget | None = None
        self._sockets: dict[int, GroupSockets] = {}  # by track
        self._feeds: dict[range, _Feed] = {}
        self._members: set[MulticastTransport] = set()
        self._loop = asyncio.get_running_loop()

    def side(self, open_target: Callable[[OnEnd], JoinableTarget]) -> SharedTarget:
        """What is at the side of what the group plays, opened for the first session that wants it."""
        if self._side is None or not len(self._side):
            self._side = SharedTarget()
            self._side.target = open_target(self._side.ended)
        return self._side

    def join(self, member: MulticastTransport) -> None:
        self._members.add(member)

    def leave(self, member: MulticastTransport) -> None:
        self._members.discard(member)
        for track_index in tuple(member.tracks):
            self.drop(member, track_index)
        if not self._members:
            for feed in self._feeds.values():
                feed.viewer.clear()
            self._ports.close()
            self._groups.forget(self._key)

    def drop(self, member: MulticastTransport, track_index: int) -> None:
        """A session does without a track; it goes out while another one has it."""
        member.tracks.discard(track_index)
        if not any(track_index in other.tracks for other in self._members):
            self._drop(track_index)

    def sockets(self, track_index: int, slot: int) -> GroupSockets:
        """Those of a track. Raises NotEnoughBandwidth, UnsupportedTransport."""
        found = self._sockets.get(track_index)
        if found is None:
            try:
                found = self._sockets[track_index] = GroupSockets(
                    self._ports,
                    slot,
                    group=self.address,
                    local_address=self.local_address,
                    ttl=self.ttl,
                    segmentation=self._groups.segmentation,
                    on_rtcp=lambda data, sender: self._rtcp_received(track_index, data, sender),
                )
            except NoPortsLeft as error:
                raise NotEnoughBandwidth(str(error)) from error
            except OSError as error:
                raise UnsupportedTransport(f"no multicast from {self.local_address}: {error.strerror}") from error
        return found

    def viewer(self, tracks: range, limit: BacklogLimit) -> tuple[UdpViewer, UdpLayout]:
        """The one viewer of these tracks, who sends those that were set up by now."""
        feed = self._feeds.get(tracks)
        if feed is None or feed.limit is not limit:  # what is at the side may have ended and begun anew
            senders: dict[int, Sender] = {}
            viewer = UdpViewer(senders, limit, self._loop, _nobody_refuses)
            feed = self._feeds[tracks] = _Feed(tracks, viewer, UdpLayout((True,) * len(tracks)), senders, limit)
        for number, track_index in enumerate(tracks):
            found = self._sockets.get(track_index)
            if found is not None:
                feed.senders[2 * number], feed.senders[2 * number + 1] = found.senders
        return feed.viewer, feed.layout

    def _drop(self, track_index: int) -> None:
        self._sockets.pop(track_index).close()
        for feed in self._feeds.values():
            if track_index in feed.tracks:
                slot = 2 * feed.tracks.index(track_index)
                feed.senders.pop(slot, None)
                feed.senders.pop(slot + 1, None)

    def _rtcp_received(self, track_index: int, data: bytes, sender: str) -> None:
        """Nothing but its address says which session a report belongs to.

        Of those behind one address it goes to all who still have their connection, or else to all.
        """
        there = [member for member in self._members if member.peer_address == sender and track_index in member.tracks]
        for member in [member for member in there if member.connected] or there:
            member.on_rtcp(track_index, data)


class MulticastTransport:
    """A session's part in a group."""

    answers = True
    drops_started = True

    def __init__(self, group: MulticastGroup, connection: RtspConnection, on_rtcp: RtcpSink) -> None:
        self.peer_address = connection.peer_address
        self.on_rtcp = on_rtcp
        self.tracks: set[int] = set()
        self._group = group
        self._connection = connection
        group.join(self)

    def __str__(self) -> str:
        return f"multicast to {self._group.address}"

    @property
    def connected(self) -> bool:
        return not self._connection.closed

    def fits(self, connection: RtspConnection, spec: TransportSpec) -> bool:
        return is_udp(spec) and spec.multicast and connection.local_address == self._group.local_address

    def set_up(self, spec: TransportSpec, track_index: int, slot: int, on_rtp: RtpSink | None = None) -> TransportSpec:
        """The same for every session, whatever it asks for. Raises NotEnoughBandwidth, UnsupportedTransport."""
        sockets = self._group.sockets(track_index, slot)
        self.tracks.add(track_index)
        return replace(
            agreed_transport(spec),
            destination=self._group.address,
            source=self._group.local_address.partition("%")[0],
            client_port=None,
            port=sockets.ports,
            ttl=self._group.ttl,
        )

    def side(self, open_target: Callable[[OnEnd], JoinableTarget]) -> SharedTarget:
        return self._group.side(open_target)

    def send_rtcp(self, track_index: int, data: bytes) -> None:
        """Nothing comes in by multicast, so there is nothing to report of."""

    def viewer(self, tracks: range, limit: BacklogLimit, *, overhead_bytes: int = 0) -> tuple[UdpViewer, UdpLayout]:
        return self._group.viewer(tracks, limit)

    def drop(self, track_index: int) -> None:
        self._group.drop(self, track_index)

    def close(self) -> None:
        self._group.leave(self)


def _nobody_refuses() -> None:
    """To a group's packets no host answers that it does not want them."""
