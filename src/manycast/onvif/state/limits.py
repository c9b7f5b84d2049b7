"""How many of each thing a device keeps: what clients are allowed, and what a file or a backup may hold."""

from __future__ import annotations

MAX_USERS = 64
MAX_PASSWORD_HISTORY = 10
MAX_SCOPES = 100
MAX_SCOPE_CHARS = 1000  # of the configuration's; those of clients are shorter
MAX_PROXIES = 16
MAX_FILTER_ENTRIES = 128
MAX_STORAGES = 16
MAX_LOCATIONS = 32
MAX_CERTIFICATES = 32
MAX_NTP_SERVERS = 8
MAX_SERVERS = 16  # of DNS, and as many domains
MAX_ADDRESSES = 16  # of an interface, and as many gateways
MAX_INTERFACES = 1024
MAX_LISTENING = 64  # addresses
MAX_PORTS = 64  # relays, and as many inputs
MAX_PROFILES = 1000
