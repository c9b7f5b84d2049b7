"""What the device can do, and where."""

from __future__ import annotations

from typing import Any

from manycast.onvif.device.auxiliary import COMMANDS
from manycast.onvif.device.part import DevicePart
from manycast.onvif.device.storage import TYPES
from manycast.onvif.device.users import MAX_NAME_CHARS, MAX_PASSWORD_CHARS
from manycast.onvif.security.access import Access
from manycast.onvif.soap.catalogue import SERVICES
from manycast.onvif.soap.fault import Fault
from manycast.onvif.soap.service import Caller, Reply, operation
from manycast.onvif.state.limits import MAX_LOCATIONS, MAX_NTP_SERVERS, MAX_PASSWORD_HISTORY, MAX_STORAGES, MAX_USERS

CORE_VERSION = SERVICES["tds"].version
_TLS_VERSIONS = {"TLS1.0": False, "TLS1.1": False, "TLS1.2": True}
_NO_TOKENS = {"X.509Token": False, "SAMLToken": False, "KerberosToken": False, "RELToken": False}


class Capabilities(DevicePart):
    @operation(Access.PRE_AUTH)
    async def get_services(self, request: Any, caller: Caller) -> Reply:
        found = []
        for prefix in self.device.prefixes():
            service = SERVICES[prefix]
            entry: dict[str, Any] = {
                "Namespace": service.namespace,
                "XAddr": caller.base_url + service.path,
                "Version": _version(service.version),
            }
            if request.IncludeCapability:
                capabilities = await self.device.capabilities(prefix, caller)
                if capabilities is not None:
                    entry["Capabilities"] = {"_value_1": capabilities}
            found.append(entry)
        return {"Service": found}

    @operation(Access.PRE_AUTH)
    async def get_service_capabilities(self, request: Any, caller: Caller) -> Reply:
        return {"Capabilities": await self.capabilities(caller)}

    async def capabilities(self, caller: Caller) -> Reply:
        return {
            "Network": {
                "IPFilter": True,
                "ZeroConfiguration": True,
                "IPVersion6": True,
                "DynDNS": True,
                "Dot11Configuration": False,
                "Dot1XConfigurations": 0,
                "HostnameFromDHCP": True,
                "NTP": MAX_NTP_SERVERS,
                "DHCPv6": False,
            },
            "Security": {
                **_TLS_VERSIONS,
                **_NO_TOKENS,
                "OnboardKeyGeneration": True,
                "AccessPolicyConfig": True,
                "DefaultAccessPolicy": True,
                "Dot1X": False,
                "RemoteUserHandling": True,
                "UsernameToken": True,
                "HttpDigest": True,
                "MaxUsers": MAX_USERS,
                "MaxUserNameLength": MAX_NAME_CHARS,
                "MaxPasswordLength": MAX_PASSWORD_CHARS,
                "SecurityPolicies": ["ModifyPassword", "PasswordComplexity", "AuthFailureWarnings"],
                "MaxPasswordHistory": MAX_PASSWORD_HISTORY,
                "HashingAlgorithms": [each.value for each in self.state.hashing_algorithms],
            },
            "System": {
                "DiscoveryResolve": True,
                "DiscoveryBye": True,
                "RemoteDiscovery": False,
                "SystemBackup": False,
                "SystemLogging": True,
                "HttpFirmwareUpgrade": True,
                "HttpSystemBackup": True,
                "HttpSystemLogging": True,
                "HttpSupportInformation": True,
                "StorageConfiguration": True,
                "MaxStorageConfigurations": MAX_STORAGES,
                "StorageTypesSupported": list(TYPES),
                "GeoLocationEntries": MAX_LOCATIONS,
            },
            "Misc": {"AuxiliaryCommands": list(COMMANDS)},
        }

    @operation(Access.PRE_AUTH)
    async def get_capabilities(self, request: Any, caller: Caller) -> Reply:
        """For clients of the older kind: only what existed when this operation was made."""
        known = {
            category: capabilities
            for category, prefix in _CATEGORIES.items()
            if prefix in self.device.prefixes() and (capabilities := self._legacy(prefix, caller)) is not None
        }
        wanted = set(request.Category or ["All"])
        if "All" in wanted:
            extension = self._legacy_extension(caller)
            return {"Capabilities": {**known, **({"Extension": extension} if extension else {})}}
        if missing := wanted - known.keys():
            reason = f"no service {', '.join(sorted(missing))}"
            raise Fault.receiver("ter:ActionNotSupported", "ter:NoSuchService", reason=reason)
        return {"Capabilities": {category: each for category, each in known.items() if category in wanted}}

    def _legacy(self, prefix: str, caller: Caller) -> Reply | None:
        address = {"XAddr": caller.base_url + SERVICES[prefix].path}
        if prefix == "tds":
            return {**address, **self._legacy_device()}
        if prefix == "tev":
            return {
                **address,
                "WSSubscriptionPolicySupport": True,
                "WSPullPointSupport": True,
                "WSPausableSubscriptionManagerInterfaceSupport": False,
            }
        return self.device.legacy_capabilities(prefix, caller)

    def _legacy_device(self) -> dict[str, Any]:
        state = self.state
        return {
            "Network": {
                "IPFilter": True,
                "ZeroConfiguration": True,
                "IPVersion6": True,
                "DynDNS": True,
                "Extension": {"Dot11Configuration": False},
            },
            "System": {
                "DiscoveryResolve": True,
                "DiscoveryBye": True,
                "RemoteDiscovery": False,
                "SystemBackup": False,
                "SystemLogging": True,
                "FirmwareUpgrade": False,
                "SupportedVersions": [_version(CORE_VERSION)],
                "Extension": {
                    "HttpFirmwareUpgrade": True,
                    "HttpSystemBackup": True,
                    "HttpSystemLogging": True,
                    "HttpSupportInformation": True,
                },
            },
            "IO": {
                "InputConnectors": len(state.digital_inputs),
                "RelayOutputs": len(state.relays),
                "Extension": {"Auxiliary": True, "AuxiliaryCommands": list(COMMANDS), "Extension": {}},
            },
            "Security": {
                "TLS1.1": False,
                "TLS1.2": True,
                "OnboardKeyGeneration": True,
                "AccessPolicyConfig": True,
                **_NO_TOKENS,
                "Extension": {"TLS1.0": False, "Extension": {"Dot1X": False, "RemoteUserHandling": True}},
            },
        }

    def _legacy_extension(self, caller: Caller) -> dict[str, Any]:
        """The services that came later."""
        found: dict[str, Any] = {}
        for name, prefix in _EXTENSIONS.items():
            if prefix in self.device.prefixes():
                capabilities = self.device.legacy_capabilities(prefix, caller)
                if capabilities is not None:
                    found[name] = capabilities
        return found


_CATEGORIES = {
    "Analytics": "tan",
    "Device": "tds",
    "Events": "tev",
    "Imaging": "timg",
    "Media": "trt",
    "PTZ": "tptz",
}
_EXTENSIONS = {"DeviceIO": "tmd", "Recording": "trc", "Search": "tse", "Replay": "trp", "Receiver": "trv"}


def _version(version: tuple[int, int]) -> Reply:
    """tt:OnvifVersion."""
    return {"Major": version[0], "Minor": version[1]}
