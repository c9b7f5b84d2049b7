"""Several devices of one server: found, changed, and what is left of that after a restart."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Container
from pathlib import Path

import pytest
from lxml import etree
from onvif.utils.discovery import ONVIFDiscovery
from support.ports import free_tcp_port
from support.rtsp import RawRtsp
from support.server import ServerProcess
from support.waiting import wait_until

from manycast.config import load
from manycast.config.onvif_state import configured_devices
from manycast.wire.challenges import parse_challenges, respond
from manycast.wire.digest import DigestChallenge

NAMES = {"tds": "http://www.onvif.org/ver10/device/wsdl", "tt": "http://www.onvif.org/ver10/schema"}
PORTS_OFF = (
    "--rtsp-port",
    str(free_tcp_port()),
    "--http-port",
    "0",
    "--https-port",
    "0",
    "--rtmp-port",
    "0",
    "--srt-port",
    "0",
)
CONFIGURATION = """
<config>
  <https_enable>0</https_enable>
  <information><SerialNumber>TEST</SerialNumber></information>
  <device><name>Gate</name><http_port>8001</http_port></device>
  <device><name>Yard</name><http_port>8002</http_port></device>
</config>
"""


def ask(port: int, operation: str, content: str = "", login: tuple[str, str] | None = None) -> etree._Element:
    """What a device answers."""
    envelope = f"""<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:tds="{NAMES["tds"]}"
        xmlns:tt="{NAMES["tt"]}">
        <s:Body><tds:{operation}>{content}</tds:{operation}></s:Body></s:Envelope>"""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/onvif/device_service", envelope.encode())
    request.add_header("Content-Type", "application/soap+xml")
    if login is not None:
        request.add_header("Authorization", authorization(request.full_url, *login))
    with urllib.request.urlopen(request, timeout=20) as reply:
        return etree.fromstring(reply.read())


def authorization(url: str, user: str, password: str) -> str:
    """By HTTP Digest, for a POST to a device that asks for it."""
    with pytest.raises(urllib.error.HTTPError, match="401") as refused:
        urllib.request.urlopen(url, b"", timeout=20)
    with refused.value as answer:
        challenge = parse_challenges(answer.headers.get_all("WWW-Authenticate", []))[0]
    assert isinstance(challenge, DigestChallenge)
    path = "/" + url.split("/", 3)[3]
    return respond(challenge, username=user, password=password, method="POST", uri=path, cnonce="0123")


def scopes_of(port: int, login: tuple[str, str] | None = None) -> list[str]:
    found: list[str] = []

    def asked() -> bool:
        """The port is open before there are answers."""
        try:
            found.extend(
                each.text or "" for each in ask(port, "GetScopes", login=login).iterfind(".//tt:ScopeItem", NAMES)
            )
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
        return True

    wait_until(asked, "the device answers", deadline_s=60)
    return found


def found_on(ports: Container[int]) -> dict[int, list[str]]:
    """The scopes that discovery tells, by port. Servers of other tests may be on the loopback as well."""
    search = ONVIFDiscovery(timeout=2, interface="127.0.0.1")
    search._process_device = lambda devices: devices  # only found, not asked
    return {each["port"]: each["scopes"] for each in search.discover() if each["port"] in ports}


def running(folder: Path) -> ServerProcess:
    return ServerProcess(folder, onvif=True, arguments=("-c", str(folder / "onvif.cfg")))


def test_devices_are_found_changed_and_remembered(tmp_path: Path) -> None:
    (tmp_path / "onvif.cfg").write_text(CONFIGURATION)
    own = "onvif://www.onvif.org/location/city/Bern"
    with running(tmp_path) as server:
        ports = range(server.onvif_port, server.onvif_port + 2)
        for port, name in zip(ports, ("Gate", "Yard"), strict=True):
            assert f"onvif://www.onvif.org/name/{name}" in scopes_of(port)
        wait_until(lambda: found_on(ports).keys() == set(ports), "both devices are found")
        ask(ports[1], "AddScopes", f"<tds:ScopeItem>{own}</tds:ScopeItem>")
        assert [own in scopes for _, scopes in sorted(found_on(ports).items())] == [False, True]
    assert sorted(path.name for path in tmp_path.glob("onvifrun*")) == ["onvifrun-TEST-1.cfg", "onvifrun-TEST-2.cfg"]
    assert (tmp_path / "onvifrun-TEST-2.cfg").stat().st_mode & 0o777 == 0o600

    with running(tmp_path) as server:
        assert [own in scopes_of(server.onvif_port + number) for number in range(2)] == [False, True]

    (tmp_path / "onvifrun-TEST-2.cfg").unlink()
    with running(tmp_path) as server:
        assert own not in scopes_of(server.onvif_port + 1)


USER = (
    "<tds:User><tt:Username>{}</tt:Username><tt:Password>{}</tt:Password><tt:UserLevel>User</tt:UserLevel></tds:User>"
)


def rtsp_status(server: ServerProcess, user: str, password: str) -> int:
    """Of a question for a stream that is not there: 404 for who is let in."""
    with RawRtsp.connect(server.host, server.port) as client:
        refused = client.ask("DESCRIBE", "nothing")
        assert refused.status == 401
        challenge = next(each for each in parse_challenges(refused.challenges) if isinstance(each, DigestChallenge))
        authorization = respond(
            challenge, username=user, password=password, method="DESCRIBE", uri=client.url("nothing"), cnonce="0123"
        )
        return client.ask("DESCRIBE", "nothing", {"Authorization": authorization}).status


RTSP_WITH_LOGIN = "rtsp: {need_auth: 1, udp_base_port: UDP_BASE}\nusers: [{username: own, password: own}]"


def test_the_users_of_a_device_may_use_its_streams(tmp_path: Path) -> None:
    admin = "<user><username>admin</username><password>boss</password><userlevel>Administrator</userlevel></user>"
    text = f"<config><https_enable>0</https_enable><need_auth>1</need_auth>{admin}</config>"
    (tmp_path / "onvif.cfg").write_text(text)
    login = ("admin", "boss")
    arguments = ("-c", str(tmp_path / "onvif.cfg"))
    with ServerProcess(tmp_path, config=RTSP_WITH_LOGIN, onvif=True, arguments=arguments) as server:
        assert scopes_of(server.onvif_port, login)
        assert [rtsp_status(server, "own", "own"), rtsp_status(server, "rec", "first")] == [404, 401]
        ask(server.onvif_port, "CreateUsers", USER.format("rec", "first"), login)
        assert [rtsp_status(server, "own", "own"), rtsp_status(server, "rec", "first")] == [404, 404]
        ask(server.onvif_port, "SetUser", USER.format("rec", "second"), login)
        assert [rtsp_status(server, "rec", "first"), rtsp_status(server, "rec", "second")] == [401, 404]
        ask(server.onvif_port, "CreateUsers", USER.format("own", "another"), login)
        assert [rtsp_status(server, "own", "own"), rtsp_status(server, "own", "another")] == [404, 401]


def test_who_makes_a_user_of_a_device_without_login_does_not_get_past_that_of_rtsp(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, config=RTSP_WITH_LOGIN, onvif=True) as server:
        assert scopes_of(server.onvif_port)
        for name in ("rec", "own"):
            ask(server.onvif_port, "CreateUsers", USER.format(name, "evil"))
            assert [rtsp_status(server, name, "evil"), rtsp_status(server, "own", "own")] == [401, 404]


def test_fifty_devices_live_in_one_process(tmp_path: Path) -> None:
    ports = [free_tcp_port() for _ in range(50)]
    devices = "".join(f"<device><http_port>{port}</http_port></device>" for port in ports)
    (tmp_path / "onvif.cfg").write_text(f"<config><https_enable>0</https_enable>{devices}</config>")
    with ServerProcess(tmp_path, onvif=None, arguments=("-c", str(tmp_path / "onvif.cfg"))) as server:
        wait_until(lambda: found_on(ports).keys() == set(ports), "all of them are found", deadline_s=60)
        for port in ports[::10]:
            assert scopes_of(port)
        assert server.memory_bytes < 400 * 1024 * 1024
    assert len(list(tmp_path.glob("onvifrun-*.cfg"))) == 50


def test_a_runtime_file_that_cannot_be_used_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "onvif.cfg").write_text(CONFIGURATION)
    (first, _) = configured_devices(load([tmp_path / "onvif.cfg"]))
    first.runtime_file.write_text("<config/>")
    command = [sys.executable, "-m", "manycast", "serve", "-c", "onvif.cfg", "--host", "127.0.0.1", *PORTS_OFF]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert f"{first.runtime_file} cannot be used: the root node is not <onvifrun version='1'>" in done.stderr
    assert "delete it to begin with the configuration" in done.stderr
