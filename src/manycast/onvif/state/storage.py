"""Where recordings may be kept, as clients set it."""

from __future__ import annotations

from pydantic import Field

from manycast.onvif.state.base import Part, Token


class StorageCredential(Part):
    username: str
    password: str | None = Field(None, repr=False)


class Storage(Part):
    """tds:StorageConfiguration."""

    token: Token
    type: str
    local_path: str | None = None
    storage_uri: str | None = None
    user: StorageCredential | None = None
    cert_path_validation_policy_id: str | None = None
    region: str | None = None
