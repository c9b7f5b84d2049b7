"""What all sessions of one RTSP server share."""

from __future__ import annotations

import time

from manycast.hub.catalogue import Catalogue
from manycast.hub.srtp import SrtpOffers
from manycast.servers.faults import FaultLog
from manycast.servers.rtsp.login import Login
from manycast.servers.rtsp.multicast import MulticastGroups
from manycast.servers.rtsp.options import RtspOptions
from manycast.servers.rtsp.session import RtspSession
from manycast.servers.rtsp.udp_ports import UdpPorts


class RtspContext:
    def __init__(self, catalogue: Catalogue, options: RtspOptions) -> None:
        self.catalogue = catalogue
        self.options = options
        self.faults = FaultLog()
        self.login = None
        if options.users is not None:
            self.login = Login(options.users, self.faults, basic_in_clear=options.basic_in_clear)
        self.sessions: dict[str, RtspSession] = {}
        catalogue.hub.sessions.count_by(lambda: len(self.sessions))
        self.srtp_offers = SrtpOffers(encrypt=options.srtp_encrypt)
        self.udp_ports = UdpPorts(options.udp_base_port)
        self.multicast = MulticastGroups(self.udp_ports, ttl=options.multicast_ttl, segmentation=options.segmentation)
        self.started_unix_s = time.time()
