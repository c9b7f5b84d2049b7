"""How soon the server takes connections and answers by ONVIF, and how much memory it has when nobody uses it."""

from __future__ import annotations

import argparse
import http.client
import time

from figures import percentile, row, spread, verdict
from server import HOST, Server, add_server_option

TARGET_S, TARGET_ONVIF_S, TARGET_MB = 1.5, 1.0, 80.0
REST_S = 2.0  # for what is done beside the first reply
DATE_AND_TIME = (
    '<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"><e:Body>'
    '<GetSystemDateAndTime xmlns="http://www.onvif.org/ver10/device/wsdl"/></e:Body></e:Envelope>'
)


def main() -> None:
    options = _options()
    print(f"{options.runs} starts for each figure, after one that warms the file cache")
    starts_s, cpus_s, resident_mb = [], [], []
    replies_s, first_replies_s, with_onvif_mb = [], [], []
    for run in range(options.runs + 1):
        with Server(options.server, onvif=True) as server:
            time.sleep(REST_S)
            cpu_s, idle_mb = server.cpu().total_s, server.resident_bytes() / 1024**2
            asked_s = time.monotonic()
            _ask(server)
            reply_s = time.monotonic() - asked_s
            time.sleep(REST_S)
            if run:
                starts_s.append(server.ready_s)
                cpus_s.append(cpu_s)
                resident_mb.append(idle_mb)
                replies_s.append(reply_s)
                with_onvif_mb.append(server.resident_bytes() / 1024**2)
        with Server(options.server, onvif=True) as server:
            _ask(server)
            if run:
                first_replies_s.append(time.monotonic() - server.started_s)
    print("result")
    row("until the port takes connections", spread(starts_s, "s", 2))
    row("CPU time of a start", spread(cpus_s, "s", 2))
    row("RSS of the idle server", spread(resident_mb, "MB"))
    row("ONVIF reply, asked at the start", spread(first_replies_s, "s", 2))
    row("ONVIF reply, the first when idle", spread(replies_s, "s", 2))
    row("RSS after an ONVIF request", spread(with_onvif_mb, "MB"))
    verdict("start, median", percentile(starts_s, 0.5), TARGET_S, " s")
    verdict("first ONVIF reply, median", percentile(first_replies_s, 0.5), TARGET_ONVIF_S, " s")
    verdict("RSS when idle, max", max(resident_mb), TARGET_MB, " MB")


def _ask(server: Server) -> None:
    connection = http.client.HTTPConnection(HOST, server.ports["onvif"], timeout=20.0)
    while connection.sock is None:
        try:
            connection.connect()
        except ConnectionRefusedError:  # this port is opened after that of RTSP
            time.sleep(0.005)
    connection.request("POST", "/onvif/device_service", DATE_AND_TIME, {"Content-Type": "application/soap+xml"})
    response = connection.getresponse()
    assert response.status == http.HTTPStatus.OK, response.read()
    response.read()
    connection.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    add_server_option(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
