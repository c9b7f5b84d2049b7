"""What a recorder does first: it finds the device, logs in, and hears of its events. Over a network of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.network import CLIENT_IPV4, SERVER_IPV4, Host, cabled_hosts
from support.server import ServerProcess

CONFIG = """
rtsp: {udp_base_port: UDP_BASE}
onvif:
  http_port: 8000
  https_enable: 0
  need_auth: 1
  users: [{username: recorder, password: secret, userlevel: User}]
  event: {simulate_enable: 1}
"""

RECORDER = f"""
import json, sys
from onvif import ONVIFClient, ONVIFParser
from onvif.utils.discovery import ONVIFDiscovery

discovery = ONVIFDiscovery(timeout=3, interface={CLIENT_IPV4!r})
discovery._process_device = lambda devices: devices  # it would ask for more, without a login
devices = []
while not devices:  # the device may just have started
    devices = discovery.discover()
(found,) = devices
parser = ONVIFParser({{"topic": ".//{{http://docs.oasis-open.org/wsn/b-2}}Topic"}})
client = ONVIFClient(found["host"], found["port"], "recorder", sys.argv[1], plugins=[parser])
made = client.events().CreatePullPointSubscription(InitialTerminationTime="PT60S")
pullpoint = client.pullpoint(made)
heard = []
while not any(operation == "Changed" and "VideoSource" in topic for topic, operation in heard):
    messages = pullpoint.PullMessages(Timeout="PT20S", MessageLimit=100).NotificationMessage or []
    topics = parser.get_extracted_texts("topic", len(messages))
    heard += [[topic, each.Message.Message.get("PropertyOperation")] for topic, each in zip(topics, messages)]
pullpoint.Unsubscribe()
print(json.dumps({{"host": found["host"], "types": found["types"], "heard": heard}}))
"""


def run_recorder(host: Host, password: str) -> subprocess.CompletedProcess[str]:
    with host.entered():
        command = [sys.executable, "-c", RECORDER, password]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=90)


def test_a_recorder_finds_the_device_logs_in_and_hears_of_its_events(tmp_path: Path) -> None:
    with cabled_hosts() as (server_host, client_host):
        with server_host.entered():
            server = ServerProcess(tmp_path, config=CONFIG, host=None, onvif=None)
        with server:
            done = run_recorder(client_host, "secret")
            assert done.returncode == 0, done.stderr
            seen: dict[str, Any] = json.loads(done.stdout)
            assert seen["host"] == SERVER_IPV4
            assert "dn:NetworkVideoTransmitter" in seen["types"]
            assert ["tns1:Device/Trigger/Relay", "Initialized"] in seen["heard"]
            refused = run_recorder(client_host, "wrong")
            assert refused.returncode != 0
            assert "NotAuthorized" in refused.stderr or "401" in refused.stderr
