"""What a recorder does with a camera that it has never heard of: finds it, logs in, and is told what happens."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from support.network import CLIENT_IPV4, SERVER_IPV4, Host, cabled_hosts
from support.server import ServerProcess

USER, PASSWORD = "recorder", "a long secret"
CONFIGURATION = f"""
<config>
  <https_enable>0</https_enable>
  <need_auth>1</need_auth>
  <name>Gate</name>
  <user><username>{USER}</username><password>{PASSWORD}</password><userlevel>Administrator</userlevel></user>
</config>
"""
RECORDER = f"""
import json, time
from onvif import ONVIFClient, ONVIFParser
from onvif.utils.discovery import ONVIFDiscovery

search = ONVIFDiscovery(timeout=2, interface={CLIENT_IPV4!r})
found, end = [], time.monotonic() + 60
while not found and time.monotonic() < end:  # the port is open before the device is there
    found = search.discover(search="Gate")
(camera,) = found
topics = ONVIFParser({{"topic": ".//{{http://docs.oasis-open.org/wsn/b-2}}Topic"}})
client = ONVIFClient(camera["host"], camera["port"], {USER!r}, {PASSWORD!r}, plugins=[topics])
device, events = client.devicemgmt(), client.events()
pullpoint = client.pullpoint(events.CreatePullPointSubscription(InitialTerminationTime="PT60S"))
device.SetRelayOutputState(RelayOutputToken="Relay1", LogicalState="active")
seen = []
while ["Changed", "active"] not in seen and time.monotonic() < end:
    for message in pullpoint.PullMessages(Timeout="PT5S", MessageLimit=100).NotificationMessage:
        content = message.Message.Message
        items = content["Data"]["SimpleItem"]
        for item in items if isinstance(items, list) else [items]:
            if item["Name"] == "LogicalState":
                seen.append([content["PropertyOperation"], item["Value"]])
print(json.dumps({{
    "host": camera["host"], "port": camera["port"], "services": camera["services"], "seen": seen,
    "serial": device.GetDeviceInformation().SerialNumber,
}}))
"""


def asked_by(host: Host) -> subprocess.CompletedProcess[str]:
    with host.entered():
        command = [sys.executable, "-c", RECORDER]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


async def test_a_recorder_finds_a_camera_logs_in_and_hears_of_events(tmp_path: Path) -> None:
    (tmp_path / "onvif.cfg").write_text(CONFIGURATION)
    with cabled_hosts() as (server_host, client_host):
        with server_host.entered():
            arguments = ("-c", str(tmp_path / "onvif.cfg"))
            server = ServerProcess(tmp_path, host=SERVER_IPV4, onvif=True, arguments=arguments)
        with server:
            done = await asyncio.to_thread(asked_by, client_host)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["host"], told["port"]) == (SERVER_IPV4, server.onvif_port)
    assert {"devicemgmt", "events"} <= set(told["services"])
    assert told["serial"]
    assert told["seen"][-1] == ["Changed", "active"]
