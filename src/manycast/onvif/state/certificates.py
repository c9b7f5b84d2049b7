"""Certificates that clients load, and what they are used for."""

from __future__ import annotations

from pydantic import Field

from manycast.onvif.state.base import Part
from manycast.onvif.state.limits import MAX_CERTIFICATES


class Certificate(Part):
    id: str = Field(min_length=1, max_length=64)
    der: bytes
    private_key_der: bytes | None = Field(None, repr=False)  # PKCS #8
    enabled: bool = False  # used by the HTTPS server


class KeyPair(Part):
    """Of a signing request whose certificate has not come yet."""

    certificate_id: str = Field(min_length=1, max_length=64)
    private_key_der: bytes = Field(repr=False)


class Certificates(Part):
    own: list[Certificate] = Field(default_factory=list, max_length=MAX_CERTIFICATES)
    authorities: list[Certificate] = Field(default_factory=list, max_length=MAX_CERTIFICATES)
    requested: list[KeyPair] = Field(default_factory=list, max_length=MAX_CERTIFICATES)
    client_authentication: bool = False  # HTTPS clients have to show a certificate
