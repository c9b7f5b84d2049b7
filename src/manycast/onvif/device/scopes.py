"""What the device is found by, and whether it is."""

from __future__ import annotations

from typing import Any

from manycast.onvif.device.arguments import invalid, network_host, written_host
from manycast.onvif.device.part import DevicePart
from manycast.onvif.security.access import Access
from manycast.onvif.soap.fault import Fault
from manycast.onvif.soap.service import NOTHING, Caller, Reply, operation
from manycast.onvif.state.discovery import DiscoveryMode
from manycast.onvif.state.limits import MAX_PROXIES, MAX_SCOPES
from manycast.onvif.state.scopes import Scope

MAX_SCOPE_CHARS = 500  # all of them go into one datagram of discovery


class Scopes(DevicePart):
    @operation(Access.READ_SYSTEM)
    async def get_scopes(self, request: Any, caller: Caller) -> Reply:
        return {
            "Scopes": [
                {"ScopeDef": "Fixed" if scope.fixed else "Configurable", "ScopeItem": scope.uri}
                for scope in self.state.scopes
            ]
        }

    @operation(Access.WRITE_SYSTEM)
    async def set_scopes(self, request: Any, caller: Caller) -> Reply:
        """In place of all that are not fixed."""
        self._put([scope for scope in self.state.scopes if scope.fixed], request.Scopes)
        return NOTHING

    @operation(Access.WRITE_SYSTEM)
    async def add_scopes(self, request: Any, caller: Caller) -> Reply:
        self._put(list(self.state.scopes), request.ScopeItem)
        return NOTHING

    @operation(Access.WRITE_SYSTEM)
    async def remove_scopes(self, request: Any, caller: Caller) -> Reply:
        """All or none."""
        known = {scope.uri: scope for scope in self.state.scopes}
        for uri in request.ScopeItem:
            if uri not in known:
                raise invalid("ter:NoScope", f"no scope {uri[:100]!r}")
            if known[uri].fixed:
                raise Fault.sender("ter:OperationProhibited", "ter:FixedScope", reason=f"{uri[:100]!r} is fixed")
        self.state.scopes = [scope for scope in self.state.scopes if scope.uri not in request.ScopeItem]
        self._announce()
        return {"ScopeItem": list(request.ScopeItem)}

    @operation(Access.READ_SYSTEM)
    async def get_discovery_mode(self, request: Any, caller: Caller) -> Reply:
        return {"DiscoveryMode": self.state.discovery.mode.value}

    @operation(Access.WRITE_SYSTEM)
    async def set_discovery_mode(self, request: Any, caller: Caller) -> Reply:
        self.state.discovery.mode = DiscoveryMode(request.DiscoveryMode)
        self.save()
        return NOTHING

    @operation(Access.READ_SYSTEM)
    async def get_remote_discovery_mode(self, request: Any, caller: Caller) -> Reply:
        return {"RemoteDiscoveryMode": self.state.discovery.remote_mode.value}

    @operation(Access.WRITE_SYSTEM)
    async def set_remote_discovery_mode(self, request: Any, caller: Caller) -> Reply:
        self.state.discovery.remote_mode = DiscoveryMode(request.RemoteDiscoveryMode)
        self.save()
        return NOTHING

    @operation(Access.READ_SYSTEM)
    async def get_dp_addresses(self, request: Any, caller: Caller) -> Reply:
        return {"DPAddress": [written_host(host) for host in self.state.discovery.proxies]}

    @operation(Access.WRITE_SYSTEM)
    async def set_dp_addresses(self, request: Any, caller: Caller) -> Reply:
        if len(request.DPAddress) > MAX_PROXIES:
            raise Fault.sender("ter:InvalidArgVal", reason=f"at most {MAX_PROXIES} proxies")
        self.state.discovery.proxies = [network_host(each) for each in request.DPAddress]
        self.save()
        return NOTHING

    def _put(self, scopes: list[Scope], uris: list[str]) -> None:
        """Add what is new."""
        known = {scope.uri for scope in scopes}
        for uri in uris:
            if not uri or len(uri) > MAX_SCOPE_CHARS or any(character.isspace() for character in uri):
                raise Fault.sender("ter:InvalidArgVal", reason=f"no scope: {uri[:100]!r}")
            if uri not in known:
                known.add(uri)
                scopes.append(Scope(uri=uri))
        if len(scopes) > MAX_SCOPES:
            raise Fault.receiver("ter:Action", "ter:TooManyScopes", reason=f"at most {MAX_SCOPES} scopes")
        self.state.scopes = scopes
        self._announce()

    def _announce(self) -> None:
        self.state.discovery.metadata_version += 1
        self.save()
