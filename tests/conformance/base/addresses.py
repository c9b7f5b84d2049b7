"""IP configuration: cases that need a DHCP server, routers and a network of their own."""

from __future__ import annotations

from conformance.base.features import IPV6, NETWORK, SPECIFICATION
from conformance.frame import Feature

TEST_NETWORK = Feature("a test network with DHCP and routers, from an operator", lambda device: False)

SPECIFICATION.unwritten("IPCONFIG-1-1-3", "IPV4 DHCP", NETWORK, TEST_NETWORK)
SPECIFICATION.unwritten("IPCONFIG-1-1-5", "IPV4 LINK LOCAL ADDRESS", NETWORK, TEST_NETWORK)
SPECIFICATION.unwritten(
    "IPCONFIG-2-1-2", "IPV6 STATELESS IP CONFIGURATION - ROUTER ADVERTISEMENT", NETWORK, IPV6, TEST_NETWORK
)
SPECIFICATION.unwritten(
    "IPCONFIG-2-1-3", "IPV6 STATELESS IP CONFIGURATION - NEIGHBOUR DISCOVERY", NETWORK, IPV6, TEST_NETWORK
)
SPECIFICATION.unwritten("IPCONFIG-2-1-4", "IPV6 STATEFUL IP CONFIGURATION", NETWORK, IPV6, TEST_NETWORK)
