"""ONVIF Access Policy Device Test Specification: who may do what, by the default policy of ONVIF Core."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from conformance.base.features import GET_SERVICES, HTTP_DIGEST, NTP, USERS, capability, has
from conformance.base.requests import ask, boolean, xml
from conformance.client import BadReply, SoapClient, SoapFault
from conformance.device import Device
from conformance.frame import Failed, Feature, Specification, require

SPECIFICATION = Specification("Access Policy", "ONVIF Access Policy Device Test Specification")

LOGIN = Feature("a login, from an operator", lambda device: bool(device.user))
DEFAULT_POLICY = has("Security", "DefaultAccessPolicy")
NEEDS = (GET_SERVICES, DEFAULT_POLICY, HTTP_DIGEST, LOGIN)
PASSWORD = "OnvifTest123"
ACCOUNTS = {"User": "OnvifUser", "Operator": "OnvifOperator"}

# The policy file that comes with the test tool, by service: what each level may do that the one below it may not.
POLICY: dict[str, dict[str, str]] = {
    "Administrator": {
        "tds": "SetHostname SetHostnameFromDHCP SetDNS SetNTP SetDynamicDNS SetNetworkInterfaces SetNetworkProtocols "
        "SetNetworkDefaultGateway SetZeroConfiguration SetIPAddressFilter AddIPAddressFilter RemoveIPAddressFilter "
        "GetSystemBackup RestoreSystem StartSystemRestore SetSystemDateAndTime SetSystemFactoryDefault "
        "UpgradeSystemFirmware StartFirmwareUpgrade GetSystemLog GetSystemSupportInformation SystemReboot SetScopes "
        "AddScopes RemoveScopes SetDiscoveryMode SetGeoLocation DeleteGeoLocation GetAccessPolicy SetAccessPolicy "
        "GetUsers CreateUsers DeleteUsers SetUser SetRemoteUser SetPasswordComplexityConfiguration "
        "SetPasswordHistoryConfiguration SetAuthFailureWarningConfiguration",
        "tev": "AddEventBroker DeleteEventBroker",
        "tmd": "GetVideoOutputConfigurationOptions",
    },
    "Operator": {
        "tds": "SetRelayOutputSettings SetRelayOutputState SendAuxiliaryCommand CreateStorageConfiguration "
        "SetStorageConfiguration DeleteStorageConfiguration",
        "tmd": "SetVideoOutputConfiguration SetRelayOutputSettings SetDigitalInputConfigurations "
        "SetSerialPortConfiguration SendReceiveSerialCommand",
    },
    "User": {
        "tds": "GetDNS GetNTP GetDynamicDNS GetNetworkInterfaces GetNetworkProtocols GetNetworkDefaultGateway "
        "GetZeroConfiguration GetIPAddressFilter GetDot11Capabilities GetDot11Status ScanAvailableDot11Networks "
        "GetDeviceInformation GetSystemUris GetScopes GetDiscoveryMode GetGeoLocation GetRemoteUser "
        "GetPasswordComplexityOptions GetPasswordComplexityConfiguration GetPasswordHistoryConfiguration "
        "GetAuthFailureWarningOptions GetAuthFailureWarningConfiguration GetRelayOutputs GetStorageConfigurations "
        "GetStorageConfiguration",
        "tev": "CreatePullPointSubscription GetEventProperties GetEventBrokers",
        "tmd": "GetVideoOutputs GetVideoOutputConfiguration GetAudioOutputs GetAudioSources GetDigitalInputs "
        "GetDigitalInputConfigurationOptions GetSerialPorts GetSerialPortConfiguration "
        "GetSerialPortConfigurationOptions",
    },
}
# ONVIF Core lets users change their own password, so that the arguments count.
ARGUMENTS = {
    "SetUser": "<tds:User><tt:Username>Test</tt:Username><tt:Password>Test12345</tt:Password>"
    "<tt:UserLevel>Administrator</tt:UserLevel></tds:User>"
}
BELOW = {"Administrator": "Operator", "Operator": "User", "User": None}

SET_SCOPES = "<tds:SetScopes><tds:Scopes>onvif://www.onvif.org/location/test</tds:Scopes></tds:SetScopes>"
SET_DISCOVERY = "<tds:SetDiscoveryMode><tds:DiscoveryMode>Discoverable</tds:DiscoveryMode></tds:SetDiscoveryMode>"
CREATE_USER = (
    "<tds:CreateUsers><tds:User><tt:Username>Test</tt:Username><tt:Password>Test</tt:Password>"
    "<tt:UserLevel>Administrator</tt:UserLevel></tds:User></tds:CreateUsers>"
)
SET_CLOCK = (
    "<tds:SetSystemDateAndTime><tds:DateTimeType>NTP</tds:DateTimeType><tds:DaylightSavings>true</tds:DaylightSavings>"
    "</tds:SetSystemDateAndTime>"
)


@contextmanager
def _account(device: Device, level: str) -> Iterator[SoapClient]:
    """A client with an account of this level, which is there while the block runs."""
    name = ACCOUNTS[level]
    account = (
        f"<tds:User><tt:Username>{name}</tt:Username><tt:Password>{PASSWORD}</tt:Password>"
        f"<tt:UserLevel>{level}</tt:UserLevel></tds:User>"
    )
    ask(device, f"<tds:CreateUsers>{account}</tds:CreateUsers>")
    try:
        client = SoapClient(name, PASSWORD)
        client.clock_offset = device.client.clock_offset
        yield client
    finally:
        ask(device, f"<tds:DeleteUsers><tds:Username>{name}</tds:Username></tds:DeleteUsers>")


def _ask_as(device: Device, client: SoapClient | None, text: str) -> None:
    """Ask as the user of a client, or as nobody."""
    body = xml(text)
    to = device.services[text[1:].partition(":")[0]]
    (client or SoapClient()).ask(to, body, device.action_of(body))


def _keep_out(device: Device, client: SoapClient | None, text: str) -> None:
    """HTTP 401, or ActionNotSupported, which a device may say of what it does not have."""
    try:
        _ask_as(device, client, text)
    except SoapFault as fault:
        known = fault.says("ActionNotSupported", "NotAuthorized")
        require(fault.status == 401 or known, f"{text}: {fault} with HTTP {fault.status}, not 401")
    except BadReply as error:
        require("HTTP 401" in str(error), f"{text}: {error}")
    else:
        raise Failed(f"{text} is allowed to one who may not")


@SPECIFICATION.case(
    "ACCESS_POLICY-1-1-1", "ACCESS POLICY (ACCESS NOT ALLOWED)", HTTP_DIGEST, DEFAULT_POLICY, LOGIN, USERS
)
def not_allowed(device: Device) -> None:
    """Each operation is asked for by the highest level that may not; without arguments, for who asks comes first."""
    with _account(device, "User") as user, _account(device, "Operator") as operator:
        clients = {None: None, "User": user, "Operator": operator}
        for level, services in POLICY.items():
            for prefix, operations in services.items():
                for operation in operations.split() if prefix in device.services else ():
                    name = f"{prefix}:{operation}"
                    _keep_out(device, clients[BELOW[level]], f"<{name}>{ARGUMENTS.get(operation, '')}</{name}>")


@SPECIFICATION.case("ACCESS_POLICY-1-1-2", "DEFAULT ACCESS POLICY - ANONYMOUS", *NEEDS)
def anonymous(device: Device) -> None:
    services = "<tds:GetServices><tds:IncludeCapability>false</tds:IncludeCapability></tds:GetServices>"
    names = ("GetServiceCapabilities", "GetHostname", "GetSystemDateAndTime")
    for text in (services, *(f"<tds:{name}/>" for name in names)):
        _ask_as(device, None, text)


@SPECIFICATION.case("ACCESS_POLICY-1-1-3", "DEFAULT ACCESS POLICY - USER", *NEEDS, USERS)
def user(device: Device) -> None:
    texts = ["<tds:GetNetworkInterfaces/>", "<tds:GetScopes/>", "<tds:GetDiscoveryMode/>", "<tev:GetEventProperties/>"]
    if NTP.supported(device):
        texts.insert(0, "<tds:GetNTP/>")
    with _account(device, "User") as client:
        for text in texts:
            _keep_out(device, None, text)
            _ask_as(device, client, text)


def _administration(device: Device) -> list[str]:
    policy = ["<tds:GetAccessPolicy/>"] if boolean(capability(device, "Security", "AccessPolicyConfig")) else []
    return [SET_SCOPES, SET_DISCOVERY, *policy, CREATE_USER, SET_CLOCK]


@SPECIFICATION.case("ACCESS_POLICY-1-1-4", "DEFAULT ACCESS POLICY - ADMINISTRATOR AND ANONYMOUS", *NEEDS)
def administration_by_nobody(device: Device) -> None:
    for text in _administration(device):
        _keep_out(device, None, text)


@SPECIFICATION.case("ACCESS_POLICY-1-1-5", "DEFAULT ACCESS POLICY - ADMINISTRATOR AND USER/OPERATOR", *NEEDS, USERS)
def administration_by_others(device: Device) -> None:
    for level in ("User", "Operator"):
        with _account(device, level) as client:
            for text in _administration(device):
                _keep_out(device, client, text)
