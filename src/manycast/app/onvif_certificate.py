"""The certificate by which an ONVIF device is reached over HTTPS."""

from __future__ import annotations

import logging
import os

from manycast.app.tls import TlsPlan, open_certificate
from manycast.config.schema.http import DEFAULT_CERT_FILE, DEFAULT_KEY_FILE
from manycast.onvif.state.store import StateStore

log = logging.getLogger(__name__)


def _plan_of(store: StateStore) -> TlsPlan:
    server = store.state.server
    names = (server.cert_file.name, server.key_file.name)
    return TlsPlan(
        cert_file=server.cert_file,
        key_file=server.key_file,
        origin="onvif",
        make=names == (DEFAULT_CERT_FILE.name, DEFAULT_KEY_FILE.name),
        required=False,
        demanded=False,
    )


def has_certificate(store: StateStore, notes: list[str]) -> bool:
    """Whether HTTPS can be served. The default certificate is made when a device is loaded, where there is none."""
    plan = _plan_of(store)
    if plan.make and not plan.cert_file.exists() and not plan.key_file.exists():
        return os.access(plan.cert_file.parent, os.W_OK)
    return open_certificate(plan, notes) is not None


def make_certificate(store: StateStore, name: str) -> bool:
    """Where there is none yet; whether there is one then. `name` is the device's in the log. It blocks."""
    notes: list[str] = []
    made = open_certificate(_plan_of(store), notes) is not None
    for note in notes:
        log.warning("%s: %s", name, note)
    return made
