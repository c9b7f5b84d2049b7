"""The servers that the device has, and their ports."""

from __future__ import annotations

from typing import Any

from manycast.onvif.device.arguments import invalid
from manycast.onvif.device.part import DevicePart
from manycast.onvif.security.access import Access
from manycast.onvif.soap.fault import Fault
from manycast.onvif.soap.service import NOTHING, Caller, Reply, operation
from manycast.onvif.state.network import Protocol, Protocols


class NetworkProtocols(DevicePart):
    @operation(Access.READ_SYSTEM)
    async def get_network_protocols(self, request: Any, caller: Caller) -> Reply:
        return {
            "NetworkProtocols": [
                {"Name": name, "Enabled": protocol.enabled, "Port": [protocol.port]}
                for name, protocol in self._protocols().items()
            ]
        }

    @operation(Access.WRITE_SYSTEM)
    async def set_network_protocols(self, request: Any, caller: Caller) -> Reply:
        """All servers that are named change their ports at once, or none does."""
        protocols = self._protocols()
        for wanted in request.NetworkProtocols:
            if wanted.Name not in protocols:
                raise invalid("ter:ServiceNotSupported", f"{wanted.Name} is not supported")
            if len(wanted.Port) > 1 or not all(1 <= port <= 65535 for port in wanted.Port):
                raise Fault.sender("ter:InvalidArgVal", reason="one port is wanted, of 1 to 65535")
            port = wanted.Port[0] if wanted.Port else protocols[wanted.Name].port
            protocols[wanted.Name] = Protocol(enabled=wanted.Enabled, port=port)
        kept = self.state.network.protocols
        changed = Protocols(
            http=protocols["HTTP"], https=protocols.get("HTTPS", kept.https), rtsp=protocols.get("RTSP", kept.rtsp)
        )
        if not changed.http.enabled and not ("HTTPS" in protocols and changed.https.enabled):
            raise Fault.sender("ter:InvalidArgVal", reason="without HTTP and HTTPS nobody could reach the device")
        await self._apply(changed)
        self.state.network.protocols = changed
        self.save()
        return NOTHING

    async def _apply(self, protocols: Protocols) -> None:
        """Raises Fault."""
        ports = [each.port for each in (protocols.http, protocols.https, protocols.rtsp) if each and each.enabled]
        if len(set(ports)) < len(ports):
            raise invalid("ter:PortAlreadyInUse", "two servers on one port")
        around, before = self.device.surroundings, self._protocols().get("RTSP")
        try:
            self._move_rtsp(protocols.rtsp)
            if around.listen is not None:
                await around.listen(protocols)
        except OSError as error:
            try:
                self._move_rtsp(before)
            except OSError as trouble:  # somebody has taken it meanwhile
                self.device.log.error("%s: RTSP cannot go back to its port: %s", self.device.name, trouble)
            raise invalid("ter:PortAlreadyInUse", f"a port cannot be opened: {error.strerror or error}") from error

    def _move_rtsp(self, rtsp: Protocol | None) -> None:
        """Raises OSError."""
        move = self.device.surroundings.move_rtsp
        if move is not None and rtsp is not None:
            move(rtsp.port if rtsp.enabled else None)

    def _protocols(self) -> dict[str, Protocol]:
        """What there is, by ONVIF's names."""
        kept, around = self.state.network.protocols, self.device.surroundings
        protocols = {"HTTP": kept.http}
        if around.https:
            protocols["HTTPS"] = kept.https
        if kept.rtsp is not None:
            protocols["RTSP"] = kept.rtsp
        elif around.rtsp_port is not None:
            protocols["RTSP"] = Protocol(port=around.rtsp_port)
        return protocols
